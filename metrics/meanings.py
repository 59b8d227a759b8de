"""What every number of the suite says, in one literal table.

Out: `MEANINGS`, from which report, README and docs are rendered: the group that measures a number,
the better direction, its range, plain words and its source. `table()` is the Markdown of it.
"""

from dataclasses import dataclass

TABLE_1 = ("WD", "JSD", "diff-CORR", "DCR", "diff-MLEF")
GROUPS = (
    *TABLE_1, "C2ST", "NNDR", "tails", "validity", "temporal", "density", "membership", "MLE",
    "diff-MLEF lr 0.1",
)  # fmt: skip
DEFAULT = tuple(group for group in GROUPS if group not in ("MLE", "diff-MLEF lr 0.1"))
BETTER = {
    "lower": "lower is better",
    "higher": "higher is better",
    "floor": "best at the floor",
}

PARK = "Park et al. 2024, arXiv 2410.07940"
ALAA = "Alaa et al. 2022, arXiv 2102.08921"
OURS = "this project"


@dataclass(frozen=True)
class Meaning:
    """What a number says.

    "floor" in `better` marks numbers that are best at the value real rows get, neither below nor
    above; "lower" and "higher" are read beside the floor too, which no honest table beats.
    """

    better: str
    range: str
    words: str
    source: str
    group: str


MEANINGS = {
    "WD": Meaning(
        "lower", "0..", "how far each number is off, in parts of its range",
        f"Wasserstein-1, Vallender 1973; {PARK}", "WD",
    ),
    "WD/sd": Meaning("lower", "0..", "the same in standard deviations", "Vallender 1973", "WD"),
    "WD log": Meaning(
        "lower", "0..", "the same on a logarithmic scale, for heavy tails", "Vallender 1973", "WD",
    ),
    "JSD": Meaning(
        "lower", "0..1", "how far the shares of the categories are off, in bits",
        f"Jensen-Shannon divergence, Lin 1991; {PARK}", "JSD",
    ),
    "JSD root": Meaning(
        "lower", "0..1", "its square root, a distance", "Endres & Schindelin 2003", "JSD",
    ),
    "diff-CORR": Meaning(
        "lower", "0..2", "how far the dependence of pairs of columns is off",
        f"Pearson, correlation ratio, Theil's U; {PARK}", "diff-CORR",
    ),
    "diff-CORR MAE": Meaning(
        "lower", "0..2", "the same as a mean absolute difference", OURS, "diff-CORR",
    ),
    "diff-CORR Frobenius": Meaning(
        "lower", "0..", "the same as a Frobenius norm", OURS, "diff-CORR",
    ),
    "diff-CORR L2": Meaning(
        "lower", "0..", "the same as a mean L2 norm of the rows", PARK, "diff-CORR",
    ),
    "DCR": Meaning("floor", "0..", "mean distance to the closest train record", PARK, "DCR"),
    "DCR median": Meaning("floor", "0..", "its median", OURS, "DCR"),
    "DCR 5%": Meaning(
        "floor", "0..", "its 5 % quantile", "Zhao et al. 2021, arXiv 2102.08369", "DCR",
    ),
    "exact share": Meaning(
        "floor", "0..1", "share of rows that copy a train record exactly", OURS, "DCR",
    ),
    "closer to train": Meaning(
        "floor", "0..1", "share nearer to train than to equally many unseen rows",
        "Platzer & Reutterer 2021, arXiv 2104.00635", "DCR",
    ),
    "NNDR": Meaning(
        "floor", "0..1",
        "distance to the closest train record over that to the second closest, on average; "
        "near 0 where rows hug single records",
        "Zhao et al. 2021, arXiv 2102.08369; Lowe 2004", "NNDR",
    ),
    "NNDR 5%": Meaning(
        "floor", "0..1", "its 5 % quantile, where copies show first",
        "Zhao et al. 2021, arXiv 2102.08369", "NNDR",
    ),
    "diff-MLEF": Meaning(
        "lower", "..", "how much worse a regressor trained on it predicts", PARK, "diff-MLEF",
    ),
    "MLEF": Meaning(
        "lower", "0..", "mean squared error of that regressor on real rows", PARK, "diff-MLEF",
    ),
    "diff-MLEF lr 0.1": Meaning(
        "lower", "..", "diff-MLEF with a learning rate of 0.1", OURS, "diff-MLEF lr 0.1",
    ),
    "C2ST": Meaning(
        "lower", "0..1", "how well a classifier tells it from real rows (AUC); 0.5 cannot",
        "Lopez-Paz & Oquab 2017, arXiv 1610.06545", "C2ST",
    ),
    "tail q99": Meaning(
        "lower", "0..", "how far the value that 1 % exceed is off, relative to train's", OURS,
        "tails",
    ),
    "tail q99.9": Meaning(
        "lower", "0..", "how far the value that 0.1 % exceed is off, relative to train's", OURS,
        "tails",
    ),
    "above q99": Meaning(
        "floor", "0..1", "share of rows above the value that 1 % of train exceed", OURS, "tails",
    ),
    "invalid share": Meaning(
        "lower", "0..1",
        "share of rows with a fraction in a whole-number column, a number outside the range of "
        "train or a category train never has", OURS, "validity",
    ),
    "unseen pair share": Meaning(
        "floor", "0..1", "share of rows with a pair of categories train never has", OURS,
        "validity",
    ),
    "missing categories": Meaning(
        "floor", "0..1", "share of train's categories that the table never has", OURS, "validity",
    ),
    "hour JSD": Meaning(
        "lower", "0..1", "how far the profile over the hours of the day is off, in bits",
        "Lin 1991", "temporal",
    ),
    "weekday JSD": Meaning(
        "lower", "0..1", "how far the profile over the days of the week is off, in bits",
        "Lin 1991", "temporal",
    ),
    "day peak": Meaning(
        "floor", "0..", "strength of the daily rhythm over that of train",
        "periodogram of a point process, Bartlett 1963", "temporal",
    ),
    "week peak": Meaning(
        "floor", "0..", "strength of the weekly rhythm over that of train",
        "periodogram of a point process, Bartlett 1963", "temporal",
    ),
    "dispersion 1h": Meaning(
        "floor", "..", "how bursty the counts of an hour are: (variance/mean - 1)/mean, "
        "0 for a Poisson stream", "Fano 1947; Cox & Lewis 1966", "temporal",
    ),
    "dispersion 6h": Meaning(
        "floor", "..", "the same over 6 hours", "Fano 1947; Cox & Lewis 1966", "temporal",
    ),
    "dispersion 24h": Meaning(
        "floor", "..", "the same over a day", "Fano 1947; Cox & Lewis 1966", "temporal",
    ),
    "dispersion 168h": Meaning(
        "floor", "..", "the same over a week", "Fano 1947; Cox & Lewis 1966", "temporal",
    ),
    "gap KS": Meaning(
        "lower", "0..1", "how far the times between one row and the next are off",
        "Kolmogorov-Smirnov, Smirnov 1948", "temporal",
    ),
    "site x week JSD": Meaning(
        "lower", "0..1", "how far the shares of the sites in each week are off, in bits",
        "Lin 1991", "temporal",
    ),
    "alpha-precision": Meaning(
        "higher", "0..1", "do its rows lie where real rows lie, typical ones as often as they "
        "should (integrated)", ALAA, "density",
    ),
    "beta-recall": Meaning(
        "higher", "0..1", "does it cover the real rows, rare ones too (integrated)", ALAA,
        "density",
    ),
    "membership AUC": Meaning(
        "floor", "0..1", "how well an attacker with other real rows at hand tells train records "
        "from unseen ones; 0.5 cannot",
        "density ratio, van Breugel et al. 2023, arXiv 2302.12580", "membership",
    ),
    "membership AUC distance": Meaning(
        "floor", "0..1", "the same by the distance to the closest synthetic row alone",
        "Chen et al. 2020, arXiv 1909.03935", "membership",
    ),
    "membership found": Meaning(
        "floor", "0..1", "share of train records the first attacker finds at 1 % false alarms",
        "Carlini et al. 2022, arXiv 2112.03570", "membership",
    ),
    "diff-accuracy": Meaning(
        "higher", "-1..1", "accuracy of classifiers trained on it minus that of ones trained on "
        "real rows, mean over the predicted categories",
        "train on synthetic, test on real, Esteban et al. 2017, arXiv 1706.02633", "MLE",
    ),
    "diff-log-loss": Meaning(
        "lower", "..", "how much worse their probabilities are, each class counting alike",
        "train on synthetic, test on real, Esteban et al. 2017, arXiv 1706.02633", "MLE",
    ),
}  # fmt: skip


def page() -> str:
    """docs/metrics.md: what is measured, and how to read it."""
    return (
        "# What the fidelity suite measures\n\n"
        "Rendered from `metrics.meanings`, where these words stand. Every number of a report "
        "stands beside its floor: the same number with unseen real rows in the synthetic table's "
        "place, at the same size. Most numbers depend on that size, so never compare across sizes. "
        "`evaluate(..., only=[...])` takes the groups; all but "
        + " and ".join(f'"{g}"' for g in GROUPS if g not in DEFAULT)
        + " are measured by default.\n\n" + table()
    )


def table() -> str:
    """The table as Markdown, one line a number."""
    lines = ["| number | group | better | range | meaning | source |",
             "| --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    for name, m in MEANINGS.items():
        cells = (name, m.group, BETTER[m.better], m.range, m.words, m.source)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
