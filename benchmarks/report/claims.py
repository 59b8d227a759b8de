"""The published table, and its claims held against rows of one's own.

In: rows {"model": name, "WD": ...}. Out: [{"claim", "holds", ...}], `holds` null where a side of
the claim was not run. Source: Park et al. (2024, arXiv 2410.07940), Table I and sec. V.B. The
formulas behind the published WD and JSD are not stated; they are quoted, never compared with ours.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

NAMES = {"tvae": "TVAE", "ctabganplus": "CTABGAN+", "smote": "SMOTE", "tabddpm": "TabDDPM"}
COLUMNS = ("WD", "JSD", "diff-CORR", "DCR", "diff-MLEF")
PUBLISHED = [
    dict(zip(("model", *COLUMNS), row, strict=True))
    for row in (
        ("tvae", 0.961, 0.806, 0.653, 0.143, 5.875),
        ("ctabganplus", 1.0, 0.820, 0.658, 0.105, 10.464),
        ("smote", 0.871, 0.799, 0.011, 0.001, 0.058),
        ("tabddpm", 0.874, 0.799, 0.036, 0.025, 0.826),
    )
]
NEAR, FAR = ("smote", "tabddpm"), ("tvae", "ctabganplus")


@dataclass(frozen=True)
class Claim:
    """`left` models stand to `right` ones as `test(left value, right value)` in one column."""

    words: str
    column: str
    left: tuple[str, ...]
    right: tuple[str, ...]
    test: Callable[[float, float], bool]


def _below(left: float, right: float) -> bool:
    return left < right


def _tenth(left: float, right: float) -> bool:
    return 10 * left < right


OTHERS = ("tvae", "ctabganplus", "tabddpm")
CLAIMS = (
    Claim("SMOTE has the lowest DCR", "DCR", ("smote",), OTHERS, _below),
    *(
        Claim(f"SMOTE and TabDDPM beat TVAE and CTABGAN+ on {column}", column, NEAR, FAR, _below)
        for column in ("WD", "JSD", "diff-CORR", "diff-MLEF")
    ),
    Claim(
        "diff-CORR of SMOTE and TabDDPM is more than 10 times smaller than of TVAE and CTABGAN+",
        "diff-CORR",
        NEAR,
        FAR,
        _tenth,
    ),
    Claim("SMOTE has the lowest diff-MLEF", "diff-MLEF", ("smote",), OTHERS, _below),
)


def check(rows: list[dict]) -> list[dict]:
    """Hold every claim against the rows that were run.

    A claim is judged among the models that are there; it needs one on either side. `not_run` names
    the rest, `detail` gives the numbers compared.
    """
    by_model = {row["model"]: row for row in rows}
    return [_judge(claim, by_model) for claim in CLAIMS]


def _judge(claim: Claim, rows: dict[str, dict]) -> dict:
    left, right = (_values(side, claim.column, rows) for side in (claim.left, claim.right))
    absent = [NAMES[m] for m in claim.left + claim.right if m not in left | right]
    if not left or not right:
        return {"claim": claim.words, "holds": None, "detail": "not run", "not_run": absent}
    holds = all(claim.test(a, b) for a in left.values() for b in right.values())
    numbers = ", ".join(f"{NAMES[m]} {v:.3g}" for m, v in (left | right).items())
    detail = f"{claim.column}: {numbers}" + (f"; not run: {', '.join(absent)}" if absent else "")
    return {"claim": claim.words, "holds": holds, "detail": detail, "not_run": absent}


def _values(models: tuple[str, ...], column: str, rows: dict[str, dict]) -> dict[str, float]:
    found = {m: rows[m].get(column) for m in models if m in rows}
    return {m: v for m, v in found.items() if v is not None and math.isfinite(v)}
