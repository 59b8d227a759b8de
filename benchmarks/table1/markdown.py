"""Table I as Markdown: rows, held-out baseline, published rows, notes, and the paper's claims.

In: what `table1.json` holds. Out: text.
"""

from foundations.pages import markdown
from metrics.report import TABLE_1, show


def to_markdown(result: dict) -> str:
    """The table with baselines, published rows, claims and warnings."""
    parts = [rows(result), _notes(result), _best_models(result), _claims(result["claims"])]
    return "\n".join(part for part in parts if part)


def rows(result: dict) -> str:
    """The table alone, under what it was made of."""
    attack = ["membership AUC"] if "membership AUC" in result["floor"] else []
    head = ["model", *TABLE_1, "C2ST", "closer to train", *attack, "steps", "fit s", "rows/s"]
    keys = ["model", *head[1:-2], "fit_seconds", "sample_rows_per_s"]
    found = [*result["rows"], result["floor"], *result["baselines"]]
    published = [row | {"model": f"{row['model']} (published)"} for row in result["published"]]
    lines = [[_cell(row, key) for key in keys] for row in [*found, *published]]
    return f"{_head(result)}\n{markdown(head, lines)}"


def _cell(row: dict, key: str) -> str:
    value, spread = row.get(key), row.get("spread", {}).get(key)
    if key == "model":
        return value
    if key in ("steps", "sample_rows_per_s") and value is not None:
        return f"{value:,.0f}"
    return show(value) + ("" if spread is None else f" ± {show(spread, 2)}")


def _head(result: dict) -> str:
    config = result["config"]
    target = f", target {config['transform']}({config['target']})" if config["target"] else ""
    mlef = f" (diff-MLEF {result['n_mlef']:,})" if result["n_mlef"] else ""
    return (
        f"## Table I on {config['data']}, profile {config['profile']}\n\n"
        f"Trained on {result['n_train']:,} rows, scored at n = {result['n_synthetic']:,}{mlef} "
        f"against half of {result['n_holdout']:,} held-out rows{target}{_n_seeds(result)}.\n"
    )


def _n_seeds(result: dict) -> str:
    n = result.get("n_repeats", 1)
    return f"; mean ± standard deviation of {n} seeds" if n > 1 else ""


def _notes(result: dict) -> str:
    notes = [
        "Held-out baseline: `real rows` are unseen records scored as if they were synthetic; "
        "they give the floor of every column.",
        "The paper does not state its formulas of WD and JSD, so those columns are not comparable "
        "with the published ones.",
    ]
    for row in result["rows"]:
        if row["under_trained"]:
            published = f"{result['config']['published_steps']:,}"
            steps = f"{row['steps']:,.0f} steps, published {published}"
            notes.append(f"{row['model']} is under-trained: {steps}.")
    if result["config"]["target"] is None:
        notes.append("No --target was given, so diff-MLEF is left out.")
    return "".join(f"- {note}\n" for note in notes)


def _best_models(result: dict) -> str:
    """The best model of each column, and those that do not differ from it significantly."""
    lines = []
    for lead in result.get("leads", []):
        near = [name for name, gap in lead["more"].items() if gap["low"] <= 0]
        words = f"; no significant difference (paired, 95 % CI): {', '.join(near)}" if near else ""
        lines.append(f"- {lead['metric']}: {lead['best']}{words}\n")
    return "Lowest mean over the seeds:\n\n" + "".join(lines) if lines else ""


def _claims(found: list[dict]) -> str:
    words = {True: "holds", False: "does not hold", None: "not run"}
    lines = [f"- {words[c['holds']]}: {c['claim']}" for c in found]
    numbers = [f" ({c['detail']})" if c["holds"] is not None else "" for c in found]
    return "The paper's claims:\n\n" + "".join(map("{}{}\n".format, lines, numbers))
