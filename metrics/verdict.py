"""What a table of results means for somebody who wants to use the rows, or to share them.

In: what table1.json holds, and the association matrix of the train rows. Out: sentences, the most
important first: which model to use, which to learn from, whose rows not to share, and where each
model is farthest from real rows. A sentence is left out where its numbers were not measured.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from .registry import all_numbers

LEAKS = ("membership AUC", "closer to train", "exact share", "worst inference risk")
ALIKE = 0.01  # of C2ST: models that a page of one run does not tell apart
SEEN = 0.05  # a difference of association below it is no news
OFF = 3.0  # times its floor from which a column is named


def sentences(result: dict, real: pd.DataFrame) -> list[tuple[str, str]]:
    """(head, sentence) of a result; `real` is the association matrix of train."""
    found = [*_use(result), *_learn(result), *_share(result)]
    return found + [(row["model"], _weakest(row, result["floor"], real)) for row in result["rows"]]


def grade(row: dict, key: str, floor: dict) -> str:
    """ "good", "fair", "bad", or "" where it was not measured."""
    return all_numbers()[key].grade(row, floor)


def counts(result: dict, row: dict, names: list[str]) -> dict[str, int]:
    """How many of the numbers of a row are good, fair and bad."""
    grades = [grade(row, name, result["floor"]) for name in names]
    return {word: grades.count(word) for word in ("good", "fair", "bad")}


def _use(result: dict) -> Iterator[tuple[str, str]]:
    rows = _measured(result, "C2ST")
    if not rows:
        return
    best = min(rows, key=lambda row: row["C2ST"])
    told = (
        f"a classifier picks out its row in {_hundred(best['C2ST'])} of 100 pairs of a synthetic "
        f"and a real one, and {_hundred(result['floor']['C2ST'])} of 100 where both are real"
    )
    if grade(best, "C2ST", result["floor"]) == "bad":
        yield "Use none for questions across columns", f"of the nearest, {best['model']}, {told}."
        return
    alike = [r["model"] for r in rows if r is not best and r["C2ST"] - best["C2ST"] < ALIKE]
    words = f" {_and(alike)} cannot be told from it in this." if alike else ""
    yield f"Use {best['model']} for questions across columns", f"{told}.{words}"


def _learn(result: dict) -> Iterator[tuple[str, str]]:
    rows = [row for row in _measured(result, "diff-MLEF") if row.get("MLEF") is not None]
    if not rows:
        return
    best = min(rows, key=lambda row: row["MLEF"])
    real = best["MLEF"] - best["diff-MLEF"]
    if real <= 0:
        return
    lost = [
        f"{row['model']} {row['MLEF'] / real:.2g}"
        for row in rows
        if grade(row, "diff-MLEF", result["floor"]) == "bad"
    ]
    times, words = best["MLEF"] / real, f" Times that error: {', '.join(lost)}." if lost else ""
    yield (
        f"Learn from {best['model']} where {result['config'].get('target')} is predicted",
        f"the squared error is {times:.2f} times that after as many real rows.{words}",
    )


def _share(result: dict) -> Iterator[tuple[str, str]]:
    leaks = {row["model"]: _leaks(row, result["floor"]) for row in result["rows"]}
    for model, found in leaks.items():
        if found:
            yield f"Do not share rows of {model}", f"{', and '.join(found)}."
    safe = [model for model, found in leaks.items() if not found]
    if safe and any(_measured(result, name) for name in LEAKS):
        yield (
            f"No leak was found in {_and(safe)}",
            "the attacks tried here do no better on train records than on unseen ones, as far as "
            f"{result['n_synthetic']:,} rows can show. That is no proof of privacy.",
        )


def _leaks(row: dict, floor: dict) -> list[str]:
    """What an attacker gains, in words, of each number that is bad."""
    says = {
        "membership AUC": lambda v: (
            f"in {_hundred(v)} of 100 pairs an attack tells the training record from the unseen one"
        ),
        "closer to train": lambda v: (
            f"{_hundred(v)} of 100 rows lie nearer to a training record than to an unseen one"
        ),
        "exact share": lambda v: f"{v:.2%} of the rows are training records",
        "worst inference risk": lambda v: (
            f"one column of a training record is guessed from the others {v:.0%} oftener than of "
            "an unseen one"
        ),
    }
    return [say(row[name]) for name, say in says.items() if grade(row, name, floor) == "bad"]


def _weakest(row: dict, floor: dict, real: pd.DataFrame) -> str:
    found = [words for words in (_column(row, floor), _pair(row, floor, real)) if words]
    return f"farthest from real rows in {', and in '.join(found)}." if found else "near real rows."


def _column(row: dict, floor: dict) -> str:
    """The column that is most times its floor off, in WD or JSD."""
    off = [
        (row["columns"][key][name] / real, name, key, row["columns"][key][name], real)
        for key in ("WD", "JSD")
        for name, real in floor.get("columns", {}).get(key, {}).items()
        if real and row["columns"][key][name] is not None
    ]
    far, name, key, value, real = max(off, default=(0.0, "", "", 0.0, 0.0))
    return f"{name} ({key} {value:.2g}, real rows {real:.2g})" if far >= OFF else ""


def _pair(row: dict, floor: dict, real: pd.DataFrame) -> str:
    """The pair of columns whose association is most off, beyond what it is for real rows."""
    if "association" not in row or len(real) < 2:
        return ""
    off = np.abs(_matrix(row) - real.to_numpy()) - np.abs(_matrix(floor) - real.to_numpy())
    np.fill_diagonal(off, 0.0)
    i, j = np.unravel_index(int(np.nanargmax(off)), off.shape)
    if off[i, j] < SEEN:
        return ""
    pair = f"how {real.index[i]} goes with {real.columns[j]}"
    return f"{pair} ({_matrix(row)[i, j]:.2f} for {real.to_numpy()[i, j]:.2f})"


def _matrix(row: dict) -> np.ndarray:
    return np.array(row["association"]["values"], dtype=float)


def _measured(result: dict, name: str) -> list[dict]:
    return [row for row in result["rows"] if row.get(name) is not None]


def _hundred(share: float) -> str:
    return f"{100 * share:.0f}"


def _and(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
