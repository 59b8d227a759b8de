"""Means of policies and paired differences between them, with intervals.

In: rows of episodes, one a policy and seed (`benchmarks.play.episodes`). Out: a table of means, and
of differences taken world by world, so that what is common to all policies in a world drops out.

Where rows have the bound of their world (column `bound`), the gap of a policy is its flow over that
bound, less 1, both averaged over a window first.

Episodes of one window share their jobs, so they are averaged first and windows are what counts: the
interval is Student's, 95 %, over the means of the windows. Beside it stands a block bootstrap
(windows drawn with replacement, then seeds inside each), which assumes no normal law; with eight
windows its percentiles are about a fifth too narrow (Student's quantile is 2.36, not 1.96, and the
spread of a bootstrap sample is sqrt(7/8) of the true one), so both must agree.
"""

import numpy as np
import pandas as pd
from scipy import stats

MEASURES = ("return", "flow", "cost", "flow_h", "wait_h", "lost")
"""What is measured of an episode, see `benchmarks.play.episodes`."""


CONFIDENCE = 0.95
N_DRAWS = 2_000


def interval(values) -> dict[str, float]:
    """Mean of independent values with its Student interval; a single value has no interval."""
    values = np.asarray(values, dtype=np.float64)
    mean, n = float(values.mean()), len(values)
    if n < 2:
        return {"mean": mean, "low": mean, "high": mean, "n": n}
    half = stats.t.ppf(0.5 + CONFIDENCE / 2, n - 1) * values.std(ddof=1) / np.sqrt(n)
    return {"mean": mean, "low": float(mean - half), "high": float(mean + half), "n": n}


def bootstrap(values: np.ndarray, window: np.ndarray, seed: int = 0) -> list[float]:
    """Interval of the mean of windows' means (n values, their windows): blocks, then values."""
    groups = [values[window == w] for w in np.unique(window)]
    rng = np.random.default_rng(seed)
    means = np.stack(
        [g[rng.integers(len(g), size=(N_DRAWS, len(groups), len(g)))].mean(axis=2) for g in groups]
    )  # (groups, N_DRAWS, groups): of each block, one drawing for each time it may be drawn
    drawn = rng.integers(len(groups), size=(N_DRAWS, len(groups)))
    totals = means[drawn, np.arange(N_DRAWS)[:, None], np.arange(len(groups))].mean(axis=1)
    edges = np.quantile(totals, [0.5 - CONFIDENCE / 2, 0.5 + CONFIDENCE / 2])
    return [float(edge) for edge in edges]


def summary(episodes: pd.DataFrame, against: str = "random") -> list[dict]:
    """Means of each policy with intervals, least flow first.

    `saved` is the flow of the policy `against` minus its own, paired; None for that policy. `flows`
    are its flows window by window, in order.
    """
    return sorted(
        (
            {
                "policy": name,
                **{key: interval(column[name]) for key, column in _columns(episodes).items()},
                "saved": reduction(episodes, name, against),
                "flows": _by_window(episodes, "flow")[name].tolist(),
                **({"gap": gap(episodes, name)} if "bound" in episodes else {}),
            }
            for name in episodes["policy"].unique()
        ),
        key=lambda row: row["flow"]["mean"],
    )


def gap(episodes: pd.DataFrame, name: str) -> dict[str, float]:
    """Flow of a policy over the bound of the same worlds, less 1, window by window."""
    ratio = _by_window(episodes, "flow")[name] / _by_window(episodes, "bound")[name]
    return interval(ratio - 1)


def reduction(episodes: pd.DataFrame, name: str, against: str) -> dict | None:
    """Flow of the policy `against` minus that of `name`, paired; None for the same policy."""
    if name == against:
        return None
    flow = _by_seed(episodes, "flow")
    gain = flow[against] - flow[name]
    window = gain.index.get_level_values("window").to_numpy()
    means = gain.groupby(level="window").mean()
    return interval(means) | {"bootstrap": bootstrap(gain.to_numpy(), window)}


def differences(episodes: pd.DataFrame, of: str) -> list[dict]:
    """Return of one policy minus that of each other one, paired; above 0 is better."""
    means = _by_window(episodes, "return")
    return [
        {"policy": of, "minus": other, "return": interval(means[of] - means[other])}
        for other in means.columns
        if other != of
    ]


def excludes_zero(difference: dict) -> bool:
    """Whether both intervals of a paired difference lie on one side of 0."""
    edges = [difference["low"], difference["high"], *difference.get("bootstrap", ())]
    return min(edges) > 0 or max(edges) < 0


def _columns(episodes: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Means by window of every measure the episodes have."""
    return {key: _by_window(episodes, key) for key in MEASURES if key in episodes}


def _by_window(episodes: pd.DataFrame, key: str) -> pd.DataFrame:
    """Mean of a quantity, one row a window and one column a policy."""
    return episodes.pivot_table(key, index="window", columns="policy", aggfunc="mean")


def _by_seed(episodes: pd.DataFrame, key: str) -> pd.DataFrame:
    return episodes.pivot_table(key, index=["window", "seed"], columns="policy", aggfunc="mean")


# --- tables ---------------------------------------------------------------------------------------


def to_markdown(rows: list[dict]) -> str:
    """The summary as a table."""
    against = next(row["policy"] for row in rows if row["saved"] is None)
    said = {"panda_analysis": "panda"}.get(against, against)  # the column there is already
    heads = ["policy", "flow time / m", f"reduction vs {against} (95 % CI)"]
    cells = [
        (lambda row: row["policy"]),
        _number("flow", ".3f"),
        lambda row: with_interval(row["saved"]),
    ]
    for key, head, form in PAIRED:
        if key in rows[0] and key != said:
            heads.append(head)
            cells.append(lambda row, key=key, form=form: with_interval(row[key], form))
    for key, head, form in EXTRAS:
        if key in rows[0]:
            heads.append(head)
            cells.append(_number(key, form))
    return table(heads, [[cell(row) for cell in cells] for row in rows])


def table(heads: list[str], lines: list[list[str]]) -> str:
    """A Markdown table; all columns but the first are numbers."""
    rule = f"|---|{'--:|' * (len(heads) - 1)}"
    head, *rest = (f"| {' | '.join(line)} |" for line in [heads, *lines])
    return "\n".join([head, rule, *rest])


PAIRED = (
    ("panda", "reduction vs PanDA's rule (95 % CI)", ".3f"),
    ("greedy", "reduction vs greedy (95 % CI)", ".3f"),
    ("gap", "gap to the bound (95 % CI)", ".1%"),
)
EXTRAS = (
    ("return", "return", ",.0f"),
    ("flow_h", "flow time, h", ".2f"),
    ("wait_h", "wait, h", ".2f"),
    ("lost", "lost jobs", ".2%"),
    ("cost", "limit violations per job", ".4f"),
)


def _number(key: str, form: str):
    return lambda row: format(row[key]["mean"], form)


def with_interval(found: dict | None, form: str = ".3f") -> str:
    """A mean with its interval, where there is more than one value."""
    if found is None:
        return ""
    mean, low, high = (format(found[key], form) for key in ("mean", "low", "high"))
    return f"{mean} ({low} to {high})" if found["n"] > 1 else mean
