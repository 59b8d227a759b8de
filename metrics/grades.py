"""How far a number is from its real floor, in three grades: good, fair, bad.

In: a number's name, the row it stands in and the floor's row. Out: the grade, by one literal table
of rules. The bounds are conventions of this project, for reading a page at a glance; no number
depends on them.
"""

from collections.abc import Callable

Rule = Callable[[float, float, dict], float]  # value, floor, floor's row -> how far off


def times(value: float, real: float, floor: dict) -> float:
    """How many times the floor; without a floor nothing is near."""
    return value / real if real > 0 else (0.0 if value <= 0 else float("inf"))


def factor(value: float, real: float, floor: dict) -> float:
    """The factor between value and floor, whichever way."""
    least, most = sorted((value, real))
    if least == most:
        return 1.0
    return most / least if least > 0 else float("inf")


def above(value: float, real: float, floor: dict) -> float:
    """How much more than the floor."""
    return value - real


def below(value: float, real: float, floor: dict) -> float:
    """How much less than the floor."""
    return real - value


def apart(value: float, real: float, floor: dict) -> float:
    """How far from the floor, whichever way."""
    return abs(value - real)


def relative(value: float, real: float, floor: dict) -> float:
    """How far from the floor, whichever way, in parts of it; for numbers of either sign."""
    return abs(value - real) / abs(real) if real else (0.0 if value == 0 else float("inf"))


def plain(value: float, real: float, floor: dict) -> float:
    """The number itself."""
    return value


def error(value: float, real: float, floor: dict) -> float:
    """In parts of the error that the regressor trained on real rows makes."""
    return times(value, floor["MLEF"] - real, floor)


RULES: dict[str, tuple[Rule, float, float]] = {  # rule, still good, still fair
    "WD": (times, 2, 10), "JSD": (times, 2, 10), "diff-CORR": (times, 2, 10),
    "hour JSD": (times, 2, 10), "weekday JSD": (times, 2, 10), "site x week JSD": (times, 2, 10),
    "gap KS": (times, 2, 10),
    "DCR": (factor, 1.25, 2), "DCR median": (factor, 1.25, 2), "DCR 5%": (factor, 1.25, 2),
    "NNDR": (factor, 1.25, 2), "NNDR 5%": (factor, 1.25, 2),
    "day peak": (factor, 1.5, 3), "week peak": (factor, 1.5, 3),
    "dispersion 1h": (relative, 0.5, 1.5), "dispersion 6h": (relative, 0.5, 1.5),
    "dispersion 24h": (relative, 0.5, 1.5), "dispersion 168h": (relative, 0.5, 1.5),
    "exact share": (above, 0.02, 0.05), "closer to train": (above, 0.02, 0.05),
    "membership AUC": (above, 0.02, 0.05), "membership AUC distance": (above, 0.02, 0.05),
    "membership found": (above, 0.01, 0.05),
    "invalid share": (above, 0.002, 0.02), "unseen pair share": (apart, 0.01, 0.05),
    "missing categories": (apart, 0.02, 0.1),
    "tail q99": (above, 0.05, 0.25), "tail q99.9": (above, 0.1, 0.5),
    "above q99": (apart, 0.002, 0.01),
    "alpha-precision": (below, 0.03, 0.1), "beta-recall": (below, 0.03, 0.1),
    "diff-accuracy": (below, 0.02, 0.1), "diff-log-loss": (above, 0.1, 0.5),
    "C2ST": (plain, 0.6, 0.8), "diff-MLEF": (error, 0.1, 1.0),
}  # fmt: skip


def grade(key: str, row: dict, floor: dict) -> str:
    """ "good", "fair" or "bad" by the rule of the number; "" where there is none or no value."""
    value, real = row.get(key), floor.get(key)
    if key not in RULES or value is None or real is None:
        return ""
    rule, good, fair = RULES[key]
    off = rule(value, real, floor)
    return "good" if off <= good else "fair" if off <= fair else "bad"
