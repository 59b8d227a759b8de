"""Planted defects against metrics: what each number of the suite detects, and what it does not.

Cuts reference records (`pandaenv.reference`) at random into train rows, holdout rows and honest
rows, which stand for a perfect generator, and plants one known defect at a time. Writes to
results/defects.json and docs/defects.md how far each number lies from its floor, for every defect.
The floor is measured on several random cuts; distances count in its standard deviation over the
cuts. A number detects a defect beyond 5 standard deviations on the worse side. Exits with 1 where a
number misses a defect that it is meant to detect.
"""

import argparse
import sys
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import pandas as pd

from benchmarks.inputs.arguments import command, command_parser, new_folder, whole
from benchmarks.inputs.engines import add_engine_options, engine
from benchmarks.inputs.places import RESULTS, ROOT, RUNS
from benchmarks.report import provenance
from metrics import Evaluator
from metrics.efficacy import Classifier, Regressor
from metrics.registry import MEASURES, all_numbers
from metrics.report import plain, show
from pandaenv import reference

LIMIT = 5.0  # spreads of the floor beyond which a number is called off its floor
LEAST = 1e-9  # spread of a floor that never moved
SKIPPED = ("diff-MLEF lr 0.1", "streams")  # that of streams: `benchmarks.streams`
GROUPS = tuple(group for group in MEASURES if group not in SKIPPED)
# Small models: a defect must show in seconds. These are not the settings of Table I.
REGRESSOR = Regressor(iterations=60, depth=6, learning_rate=0.3)
CLASSIFIER = Classifier(iterations=20)


def independent(train: pd.DataFrame, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Every column drawn by itself: right marginals, no dependence."""
    return pd.DataFrame({c: train[c].array.take(rng.permutation(len(train))[:n]) for c in train})


def copied(train: pd.DataFrame, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Train rows as they are."""
    return _draw(train, n, rng)


def jittered(train: pd.DataFrame, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Train rows with every number moved by up to half a per cent: no exact copy, nothing new."""
    rows = _draw(train, n, rng)
    for name in rows.select_dtypes("number"):
        moved = rows[name] * rng.uniform(0.995, 1.005, n)
        moved = moved.clip(train[name].min(), train[name].max())
        rows[name] = np.rint(moved).astype(rows[name].dtype) if _is_whole(rows[name]) else moved
    return rows


def in_blocks(honest: pd.DataFrame, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Honest rows whose times are shuffled within each week: right weeks, wrong minutes.

    Right marginals, right dependence among the other columns, right shares a week: bursts of rows
    that belong together are torn apart, which only a look at whole rows can tell.
    """
    rows = _draw(honest, n, rng)
    week = (rows["creationtime"] // 7).to_numpy()
    time = rows["creationtime"].to_numpy().copy()
    for block in np.unique(week):
        at = np.flatnonzero(week == block)
        time[at] = time[rng.permutation(at)]
    return rows.assign(creationtime=time)


def days_shuffled(honest: pd.DataFrame, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Honest rows with the days put in another order: right within each day, wrong week."""
    rows = _draw(honest, n, rng)
    day = np.floor(rows["creationtime"]).to_numpy(int)
    place = rng.permutation(day.max() + 1)
    return rows.assign(creationtime=rows["creationtime"] - day + place[day])


def shifted(honest: pd.DataFrame, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Honest rows six hours late: right gaps, right bursts, wrong time of day."""
    rows = _draw(honest, n, rng)
    end = np.ceil(honest["creationtime"].max())
    return rows.assign(creationtime=(rows["creationtime"] + 0.25) % end)


def spread_out(honest: pd.DataFrame, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Honest rows at the right hours of a week, on any of the weeks: no bursts, no drift."""
    rows = _draw(honest, n, rng)
    weeks = max(1, int(honest["creationtime"].max() // 7))
    moved = rows["creationtime"] % 7 + 7 * rng.integers(0, weeks, n) + rng.normal(0, 0.02, n)
    return rows.assign(creationtime=np.abs(moved) % (7 * weeks))


def without_rare(honest: pd.DataFrame, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Honest rows without those of the rarest levels that make up 5 % of each categorical."""
    keep = np.ones(len(honest), bool)
    for name in honest.select_dtypes("category"):
        share = honest[name].value_counts(normalize=True, ascending=True)
        rare = share.index[share.cumsum() <= 0.05]
        keep &= ~honest[name].isin(rare).to_numpy()
    rows = honest[keep]
    return rows.iloc[rng.choice(len(rows), n, replace=len(rows) < n)]


def clipped(honest: pd.DataFrame, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Honest rows with bytes and workload cut at their 98 % quantiles."""
    rows = _draw(honest, n, rng)
    for name in ("inputfilebytes", "workload"):
        top = honest[name].quantile(0.98)
        rows[name] = rows[name].clip(upper=top).astype(honest[name].dtype)
    return rows


def collapsed(honest: pd.DataFrame, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """A tenth of the honest rows, each ten times: every row is real, most of reality is missing."""
    few = _draw(honest, max(1, n // 10), rng)
    return few.iloc[rng.integers(0, len(few), n)]


def impossible(honest: pd.DataFrame, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Honest rows, one in fifty with half a file too many, in a column of whole numbers."""
    rows = _draw(honest, n, rng)
    files = rows["ninputdatafiles"].astype(float).to_numpy(copy=True)
    files[rng.random(n) < 0.02] += 0.5
    return rows.assign(ninputdatafiles=files)


def relabelled(honest: pd.DataFrame, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Honest rows whose final state is drawn anew, without looking at the row."""
    rows = _draw(honest, n, rng)
    return rows.assign(jobstatus=rows["jobstatus"].array.take(rng.permutation(n)))


def _draw(table: pd.DataFrame, n: int, rng: np.random.Generator) -> pd.DataFrame:
    return table.iloc[rng.permutation(len(table))[:n]].reset_index(drop=True)


def _is_whole(column: pd.Series) -> bool:
    return pd.api.types.is_integer_dtype(column.dtype)


DEFECTS = {  # name: (how it is made, from train or from honest rows, the numbers meant to catch it)
    "independent columns": (
        independent,
        "train",
        ("diff-CORR", "C2ST", "diff-MLEF", "global utility"),
    ),
    "train copy": (
        copied,
        "train",
        ("exact share", "NNDR 5%", "membership AUC", "inference risk"),
    ),
    "jittered train": (jittered, "train", ("membership AUC", "NNDR")),
    "shuffled in weeks": (in_blocks, "honest", ("C2ST",)),
    "days shuffled": (days_shuffled, "honest", ("weekday JSD", "site x week JSD")),
    "six hours late": (shifted, "honest", ("hour JSD",)),
    "bursts spread out": (spread_out, "honest", ("dispersion 1h", "gap KS", "site x week JSD")),
    "rare levels dropped": (without_rare, "honest", ("missing categories", "JSD")),
    "tails clipped": (clipped, "honest", ("tail q99.9", "tail q99")),
    "one row in ten, ten times": (collapsed, "honest", ("beta-recall",)),
    "half files": (impossible, "honest", ("invalid share",)),
    "state drawn anew": (relabelled, "honest", ("diff-log-loss", "diff-MLEF", "C2ST")),
}


def measure(
    records: pd.DataFrame,
    *,
    n_train: int,
    n: int,
    seeds: int = 5,
    seed: int = 0,
    only: tuple[str, ...] | None = None,
    defects: tuple[str, ...] = tuple(DEFECTS),
    resume: Path | None = None,
) -> dict:
    """Floors, honest rows and defects on `seeds` random cuts of `records`.

    Every cut has n_train train rows, 2n of holdout (halved) and n honest rows, all disjoint. The
    folder `resume` keeps what is finished, where one is given.
    Returns {"floor": {number: [one a seed]}, "tables": {name: {number: [one a seed]}}}.
    """
    need = n_train + 3 * n
    if len(records) < need:
        raise ValueError(f"records must have at least {need} rows, got {len(records)}")
    floor: dict = {}
    tables: dict = {name: {} for name in ("honest rows", *defects)}
    for s in range(seed, seed + seeds):
        real, found = _on_cut(records, s, n_train, n, only, defects, resume)
        _gather(floor, real)
        for name, values in found.items():
            _gather(tables[name], values)
    return {"floor": floor, "tables": tables}


def _on_cut(
    records: pd.DataFrame,
    s: int,
    n_train: int,
    n: int,
    only: tuple[str, ...] | None,
    defects: tuple[str, ...],
    resume: Path | None,
) -> tuple[dict, dict[str, dict]]:
    """Values of the floor, and of honest rows and each defect, on the cut of a seed."""
    rng = np.random.default_rng([s, 91])
    order = rng.permutation(len(records))[: n_train + 3 * n]
    parts = np.split(order, [n_train, n_train + 2 * n])
    train, holdout, honest = (records.iloc[at].reset_index(drop=True) for at in parts)
    evaluator = Evaluator(
        train,
        holdout,
        seed=s,
        only=only or tuple(MEASURES),
        n_max=n,
        labels=("jobstatus",),
        regressor=REGRESSOR,
        classifier=CLASSIFIER,
        resume=resume,
    )
    found = {"honest rows": evaluator.score(honest).values}
    for name in defects:
        make, source, _ = DEFECTS[name]
        made = make(train if source == "train" else honest, n, rng)
        found[name] = evaluator.score(made).values
    return evaluator.floor.values, found


def _piece(piece: tuple[int, argparse.Namespace]) -> None:
    """One cut, its scores left in the folder of finished work."""
    s, options = piece
    found = reference.records(days=options.days, seed=options.seed)
    _on_cut(found, s, options.train, options.n, GROUPS, tuple(DEFECTS), options.resume)


def _gather(into: dict, values: dict) -> None:
    for name, value in values.items():
        into.setdefault(name, []).append(value)


def distances(found: dict) -> dict[str, dict[str, float]]:
    """{table: {number: floor spreads on the worse side}}; honest rows are held to the same rule."""
    out: dict = {}
    for table, numbers in found["tables"].items():
        out[table] = {}
        for name, values in numbers.items():
            real = found["floor"][name]
            if np.isfinite([*values, *real]).all():
                out[table][name] = _worse(name, mean(values) - mean(real), stdev(real))
    return out


def _worse(name: str, gap: float, spread: float) -> float:
    """Spreads by which a number is worse than its floor, 0 where it is better."""
    better = all_numbers()[name].better
    gap = abs(gap) if better == "floor" else gap if better == "lower" else -gap
    return float(max(0.0, gap) / max(spread, LEAST))


def to_markdown(found: dict, result: dict) -> str:
    """docs/defects.md: one line a number, one column a defect."""
    far = distances(found)
    names = list(found["tables"])
    lines = [
        "# Planted defects against metrics",
        "",
        "Does the suite see what is wrong with a table? Each table below has one known defect, "
        "made by hand; honest rows, which have none, are the control. "
        f"Made by `{result['command']}`: {result['n_train']:,} train rows of "
        f"{result['records']:,} reference records, n = {result['n']:,}, "
        f"{result['seeds']} random cuts into train, holdout and honest rows, every table made anew "
        "on each. The regressor and the classifier are small ones here, not those of Table I.",
        "",
        "**How to read it.** The floor is what unseen real rows get, the mean over the cuts; the "
        "spread is its standard deviation over the cuts. A cell says how many spreads the mean of "
        "a table lies from the floor on the worse side (on either side for numbers that are best "
        f"at the floor), 0 where it is better. Beyond {LIMIT:g} the defect is caught (bold). ∞ "
        "means that the floor never moved. Underlined cells are the numbers meant to catch a "
        f"defect. {_control(far)}A zero is no miss where a number is not meant to see "
        "a defect: a copy of train is as faithful as real rows, and the privacy numbers alone "
        "tell it; rows six hours late keep every share, range and dependence of the other "
        "columns.",
        "",
        *(f"- **{name}**: {_first_line(DEFECTS[name][0])}" for name in names if name in DEFECTS),
        "- **honest rows**: other real rows, which nothing should flag.",
        "",
        "| number | floor | spread | " + " | ".join(names) + " |",
        "| --- " * (3 + len(names)) + "|",
    ]
    for number in (m for m in all_numbers() if m in found["floor"]):
        real = found["floor"][number]
        cells = [show(mean(real)), show(stdev(real), 2)]
        cells += [_cell(far[name].get(number), number, name) for name in names]
        lines.append(f"| {number} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _control(far: dict[str, dict[str, float]]) -> str:
    """A sentence on the largest cell of the honest rows."""
    honest = far["honest rows"]
    name = max(honest, key=honest.get)
    return f"The largest of the honest rows is {honest[name]:.1f} ({name}). "


def _first_line(make) -> str:
    return make.__doc__.strip().splitlines()[0]


def _cell(spreads: float | None, number: str, table: str) -> str:
    if spreads is None:
        return "–"
    text = "∞" if spreads > 1e5 else f"{spreads:.1f}" if spreads < 100 else f"{spreads:.0f}"
    text = f"**{text}**" if spreads > LIMIT else text
    meant = table in DEFECTS and number in DEFECTS[table][2]
    return f"<u>{text}</u>" if meant else text


def missed(found: dict) -> list[str]:
    """Sentences about defects that a number meant to catch them does not, and flagged honesty."""
    far = distances(found)
    out = []
    for name in found["tables"]:
        if name in DEFECTS:
            meant = [m for m in DEFECTS[name][2] if m in far[name]]
            out += [
                f"{name} is not caught by {m} ({far[name][m]:.1f} spreads)"
                for m in meant
                if far[name][m] <= LIMIT
            ]
        else:
            out += [
                f"{name} are flagged by {m} ({v:.1f} spreads)"
                for m, v in far[name].items()
                if v > LIMIT
            ]
    return out


def main(arguments: list[str] | None = None) -> int:
    """Measure, write results/defects.json and docs/defects.md; 1 where a defect was missed."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = command_parser("defects", __doc__)
    parser.add_argument("--days", type=whole(1), default=30, help="of the reference records")
    parser.add_argument("--train", type=whole(2), default=20_000, help="train rows")
    parser.add_argument("--n", type=whole(2), default=4_000, help="rows scored")
    parser.add_argument("--seeds", type=whole(1), default=5, help="number of random cuts")
    parser.add_argument(
        "--resume",
        type=new_folder,
        default=RUNS / "defects",
        help="folder of finished work, from which a run resumes",
    )
    parser.add_argument("--seed", type=whole(0), default=3, help="of the reference records")
    add_engine_options(parser)
    options = parser.parse_args(arguments)
    if options.engine != "serial":
        engine(options).run(_piece, [(s, options) for s in range(options.seeds)])
    records = reference.records(days=options.days, seed=options.seed)
    found = measure(
        records,
        n_train=options.train,
        n=options.n,
        seeds=options.seeds,
        only=GROUPS,
        resume=options.resume,
    )
    result = (
        plain(found)
        | {
            "spreads": plain(distances(found)),
            "missed": missed(found),
            "n": options.n,
            "n_train": options.train,
            "records": len(records),
            "seeds": options.seeds,
        }
        | provenance.provenance("benchmarks.defects", arguments, options.seed)
    )
    provenance.write_json(RESULTS / "defects.json", result)
    provenance.write_text(ROOT / "docs" / "defects.md", to_markdown(found, result))
    print("\n".join(result["missed"]) or "every defect is caught, honest rows are not flagged")
    return 1 if result["missed"] else 0


if __name__ == "__main__":
    command(main)
