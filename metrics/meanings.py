"""What every number of the suite says, in one literal table.

Out: `MEANINGS`, from which report, README and docs are rendered: the group that measures a number,
the better direction, its range, plain words and its source. `table()` is the Markdown of it.
"""

from dataclasses import dataclass

TABLE_1 = ("WD", "JSD", "diff-CORR", "DCR", "diff-MLEF")
GROUPS = (
    *TABLE_1,
    "C2ST",
    "NNDR",
    "tails",
    "validity",
    "temporal",
    "density",
    "membership",
    "MLE",
    "diff-MLEF lr 0.1",
)
DEFAULT = tuple(group for group in GROUPS if group not in ("MLE", "diff-MLEF lr 0.1"))
BETTER = {
    "lower": "lower is better",
    "higher": "higher is better",
    "floor": "best at the floor",
}

PARK = "Park et al. 2024, arXiv 2410.07940"
ALAA = "Alaa et al. 2022, arXiv 2102.08921"
OURS = "this project"
UNIT, ANY_SIZE, ANY = "0 to 1", "0 or more", "any number"
FALLS = "falls as 1/√n"


@dataclass(frozen=True)
class Meaning:
    """What a number says; in `words`, "it" and "its" mean the synthetic table.

    "floor" in `better` marks numbers that are best at the value real rows get, neither below nor
    above; "lower" and "higher" are read beside the floor too, which no honest table beats by more
    than chance. `floor` says what real rows get.
    """

    better: str
    range: str
    words: str
    floor: str
    source: str
    group: str


MEANINGS = {
    "WD": Meaning(
        "lower",
        ANY_SIZE,
        "how far its numbers are off: mean distance by which a column's values "
        "would have to move, in parts of train's range",
        FALLS,
        f"Wasserstein-1, Vallender 1973; {PARK}; the scaling is ours",
        "WD",
    ),
    "WD/sd": Meaning(
        "lower",
        ANY_SIZE,
        "WD in standard deviations of train in place of ranges",
        FALLS,
        "Vallender 1973",
        "WD",
    ),
    "WD log": Meaning(
        "lower",
        ANY_SIZE,
        "WD of the logarithms, log(1 + size), for heavy tails",
        FALLS,
        "Vallender 1973",
        "WD",
    ),
    "JSD": Meaning(
        "lower",
        UNIT,
        "how far the shares of its categories are off, in bits, mean over columns",
        "falls as 1/n, grows with the number of categories",
        f"Jensen-Shannon divergence, Lin 1991; {PARK}",
        "JSD",
    ),
    "JSD root": Meaning(
        "lower",
        UNIT,
        "mean over columns of the square root of the JSD, which is a distance",
        FALLS,
        "Endres & Schindelin 2003",
        "JSD",
    ),
    "diff-CORR": Meaning(
        "lower",
        "0 to 2",
        "how far the dependence of its pairs of columns is off: root mean "
        "square difference of the association matrices, off the diagonal",
        FALLS,
        f"Pearson, correlation ratio, Theil's U; {PARK}",
        "diff-CORR",
    ),
    "diff-CORR MAE": Meaning(
        "lower",
        "0 to 2",
        "mean absolute difference of those entries",
        FALLS,
        OURS,
        "diff-CORR",
    ),
    "diff-CORR Frobenius": Meaning(
        "lower",
        ANY_SIZE,
        "root of the sum of their squared differences",
        FALLS,
        OURS,
        "diff-CORR",
    ),
    "diff-CORR L2": Meaning(
        "lower",
        ANY_SIZE,
        "mean over the rows of the matrices of the L2 norm of the difference",
        FALLS,
        PARK,
        "diff-CORR",
    ),
    "DCR": Meaning(
        "floor",
        ANY_SIZE,
        "mean distance of its rows to the closest train record; lower than the "
        "floor is too close, higher is off",
        "falls as train grows",
        PARK,
        "DCR",
    ),
    "DCR median": Meaning(
        "floor",
        ANY_SIZE,
        "median of that distance",
        "falls as train grows",
        OURS,
        "DCR",
    ),
    "DCR 5%": Meaning(
        "floor",
        ANY_SIZE,
        "5 % quantile of that distance",
        "falls as train grows",
        "Zhao et al. 2021, arXiv 2102.08369",
        "DCR",
    ),
    "exact share": Meaning(
        "floor",
        UNIT,
        "share of its rows that copy a train record exactly",
        "real rows that happen to repeat one",
        OURS,
        "DCR",
    ),
    "closer to train": Meaning(
        "floor",
        UNIT,
        "share of its rows nearer to train than to equally many unseen rows, ties one half",
        "0.5 for a random split",
        "Platzer & Reutterer 2021, arXiv 2104.00635",
        "DCR",
    ),
    "NNDR": Meaning(
        "floor",
        UNIT,
        "mean distance to the closest train record over that to the second closest; "
        "near 0 where its rows hug single records",
        "depends on the table",
        "Zhao et al. 2021, arXiv 2102.08369; Lowe 2004",
        "NNDR",
    ),
    "NNDR 5%": Meaning(
        "floor",
        UNIT,
        "5 % quantile of that ratio, where copies show first",
        "depends on the table",
        "Zhao et al. 2021, arXiv 2102.08369",
        "NNDR",
    ),
    "diff-MLEF": Meaning(
        "lower",
        ANY,
        "how much larger the MLEF is than that of as many train rows",
        "0",
        PARK,
        "diff-MLEF",
    ),
    "MLEF": Meaning(
        "lower",
        ANY_SIZE,
        "mean squared error, on unseen real rows, of a regressor trained on it",
        "what cannot be predicted, falls with n",
        PARK,
        "diff-MLEF",
    ),
    "diff-MLEF lr 0.1": Meaning(
        "lower",
        ANY,
        "diff-MLEF with a learning rate of 0.1 in place of 1",
        "0",
        OURS,
        "diff-MLEF lr 0.1",
    ),
    "C2ST": Meaning(
        "lower",
        UNIT,
        "how well a classifier tells its rows from unseen real ones (AUC); "
        "0.5 cannot, 1 always can",
        "0.5",
        "Lopez-Paz & Oquab 2017, arXiv 1610.06545",
        "C2ST",
    ),
    "tail q99": Meaning(
        "lower",
        ANY_SIZE,
        "how far the value that 1 % of its rows exceed is off, relative to train's",
        FALLS,
        OURS,
        "tails",
    ),
    "tail q99.9": Meaning(
        "lower",
        ANY_SIZE,
        "how far the value that 0.1 % of its rows exceed is off, relative to train's",
        FALLS,
        OURS,
        "tails",
    ),
    "above q99": Meaning(
        "floor",
        UNIT,
        "share of its rows above the value that 1 % of train exceed",
        "0.01, less where many rows share that value",
        OURS,
        "tails",
    ),
    "invalid share": Meaning(
        "lower",
        UNIT,
        "share of its rows with a fraction in a whole-number column, a number "
        "outside the range of train or a category train never has",
        "near 0",
        OURS,
        "validity",
    ),
    "unseen pair share": Meaning(
        "floor",
        UNIT,
        "share of its rows with a pair of categories train never has",
        "falls as train grows",
        OURS,
        "validity",
    ),
    "missing categories": Meaning(
        "floor",
        UNIT,
        "share of train's categories that it never has, mean over columns",
        "falls with n",
        OURS,
        "validity",
    ),
    "hour JSD": Meaning(
        "lower",
        UNIT,
        "how far its profile over the 24 hours of the day is off, in bits",
        "falls as 1/n where rows are independent",
        "Lin 1991",
        "temporal",
    ),
    "weekday JSD": Meaning(
        "lower",
        UNIT,
        "how far its profile over the 7 days of the week is off, in bits",
        "falls as 1/n where rows are independent",
        "Lin 1991",
        "temporal",
    ),
    "day peak": Meaning(
        "floor",
        ANY_SIZE,
        "strength of its daily rhythm over that of train",
        "1",
        "periodogram of a point process, Bartlett 1963",
        "temporal",
    ),
    "week peak": Meaning(
        "floor",
        ANY_SIZE,
        "strength of its weekly rhythm over that of train",
        "1",
        "periodogram of a point process, Bartlett 1963",
        "temporal",
    ),
    "dispersion 1h": Meaning(
        "floor",
        ANY,
        "how bursty its counts of rows an hour are: (variance/mean - 1)/mean, 0 for "
        "a Poisson stream",
        "that of train",
        "Fano 1947; Cox & Lewis 1966",
        "temporal",
    ),
    "dispersion 6h": Meaning(
        "floor",
        ANY,
        "how bursty its counts over 6 hours are",
        "that of train",
        "Fano 1947; Cox & Lewis 1966",
        "temporal",
    ),
    "dispersion 24h": Meaning(
        "floor",
        ANY,
        "how bursty its counts over a day are",
        "that of train",
        "Fano 1947; Cox & Lewis 1966",
        "temporal",
    ),
    "dispersion 168h": Meaning(
        "floor",
        ANY,
        "how bursty its counts over a week are",
        "that of train",
        "Fano 1947; Cox & Lewis 1966",
        "temporal",
    ),
    "gap KS": Meaning(
        "lower",
        UNIT,
        "how far the times between one of its rows and the next are off: largest "
        "gap of the distribution functions",
        FALLS,
        "Kolmogorov-Smirnov, Smirnov 1948",
        "temporal",
    ),
    "site x week JSD": Meaning(
        "lower",
        UNIT,
        "how far its shares of the sites in each week are off, in bits",
        "falls as 1/n where rows are independent",
        "Lin 1991",
        "temporal",
    ),
    "alpha-precision": Meaning(
        "higher",
        UNIT,
        "whether its rows lie where real rows lie, typical ones as often as they "
        "should (integrated)",
        "near 1",
        ALAA,
        "density",
    ),
    "beta-recall": Meaning(
        "higher",
        UNIT,
        "whether it covers the real rows, rare ones too (integrated)",
        "0.97 where no rows repeat",
        ALAA,
        "density",
    ),
    "membership AUC": Meaning(
        "floor",
        UNIT,
        "how well an attacker who holds it and other real rows tells train records "
        "from unseen ones; 0.5 cannot",
        "0.5",
        "density ratio, van Breugel et al. 2023, arXiv 2302.12580",
        "membership",
    ),
    "membership AUC distance": Meaning(
        "floor",
        UNIT,
        "the same for an attacker who goes by the distance to its closest row alone",
        "0.5",
        "Chen et al. 2020, arXiv 1909.03935",
        "membership",
    ),
    "membership found": Meaning(
        "floor",
        UNIT,
        "share of train records the first attacker finds at 1 % false alarms",
        "0.01",
        "Carlini et al. 2022, arXiv 2112.03570",
        "membership",
    ),
    "diff-accuracy": Meaning(
        "higher",
        "-1 to 1",
        "accuracy of classifiers trained on it minus that of ones trained on "
        "train rows, mean over the predicted columns",
        "0",
        "train on synthetic, test on real, Esteban et al. 2017, arXiv 1706.02633",
        "MLE",
    ),
    "diff-log-loss": Meaning(
        "lower",
        ANY,
        "how much larger the log loss of those classifiers is, each class counting alike",
        "0",
        "train on synthetic, test on real, Esteban et al. 2017, arXiv 1706.02633",
        "MLE",
    ),
}


def page() -> str:
    """docs/metrics.md: what is measured, and how to read it."""
    return (
        "# What the fidelity suite measures\n\n"
        "Rendered from `metrics.meanings`, where these words stand. Every number of a report "
        "stands beside its floor: the same number with unseen real rows in the synthetic table's "
        "place, at the same size. Most numbers depend on that size, so never compare across sizes. "
        'In the meanings, "it" and "its" mean the synthetic table; n is the rows compared, and '
        "rows that come in bursts count for fewer. "
        "`evaluate(..., only=[...])` takes the groups; all but "
        + " and ".join(f'"{g}"' for g in GROUPS if g not in DEFAULT)
        + " are measured by default.\n\n"
        + table()
    )


def table() -> str:
    """The table as Markdown, one line a number."""
    lines = [
        "| number | group | better | range | meaning | real rows get | source |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, m in MEANINGS.items():
        cells = (name, m.group, BETTER[m.better], m.range, m.words, m.floor, m.source)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
