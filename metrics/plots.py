"""The paper's figures redrawn from one run, and some it lacks.

In: the train table, a sample of each model, association matrices, losses, scores and, where raw
records were filtered, the cascade. Out: figures, and `svg`, their text. Names that came from data
are drawn as outlines. Figures 3(b), 4(a), 4(b) and 5 follow those of Park et al. (2024, arXiv
2410.07940).
"""

import io
import re
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from . import frames
from .temporal import DAYS

STYLE: dict[str, Any] = {
    "svg.hashsalt": "pandaenv",
    "svg.fonttype": "path",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8a939c",
    "xtick.color": "#4a545e",
    "ytick.color": "#4a545e",
    "text.parse_math": False,
}
INK = "#1b2733"
COLOURS = ("#0b7285", "#d9480f", "#5f3dc4", "#2b8a3e", "#c2255c", "#846358")
BINS = 60
TOP = 5  # categories shown, as in the paper
WEEK = 168  # hours
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
LONG = 22  # characters of a name that fit beside an axis
PRIVACY = (
    "closer to train",
    "membership AUC",
    "exact share",
    "linkability risk",
    "inference risk",
)
UNSHOWN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
"""Characters that XML or browsers refuse: control characters, halves of surrogates, no characters.
"""
NO_LOSS = ("step", "lr", "seconds")  # columns of a loss table that are no loss
SKEWED = 50  # (max - median) / (median - min) beyond which an axis is logarithmic


def svg(figure: Figure) -> str:
    """A figure as SVG text, the same bytes for the same figure; what no browser shows is U+FFFD."""
    stream = io.StringIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(stream, format="svg", metadata={"Date": None}, bbox_inches="tight")
    return UNSHOWN.sub("\ufffd", stream.getvalue())


def _grid(rows: int, cols: int, width: float, height: float, **options):
    """A figure without pyplot (which keeps state) and its axes as a (rows, cols) array."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, cols, squeeze=False, **options)


def _short(name: object, length: int = LONG) -> str:
    words = " ".join(UNSHOWN.sub("\ufffd", str(name)).split())
    return words if len(words) <= length else words[: length - 1] + "…"


@matplotlib.rc_context(STYLE)
def cascade(stages: dict) -> Figure:
    """Fig. 3(b): records left after each filter, and why the others went."""
    steps = stages["stages"]
    figure, axes = _grid(1, 1, 8, 0.75 * len(steps) + 0.4)
    axis = axes[0, 0]
    kept = [step["kept"] for step in steps]
    axis.barh(range(len(steps)), kept, color=COLOURS[0], height=0.62)
    for i, step in enumerate(steps):
        reasons = sorted(step.get("dropped", {}).items(), key=lambda item: -item[1])
        lost = ", ".join(f"{n:,} {_short(reason)}" for reason, n in reasons[:3] if n)
        words = f"{step['kept']:,}" + (f"   (out: {lost})" if lost else "")
        axis.annotate(words, (0, i - 0.42), va="bottom", color=INK, fontsize=8)
    axis.set_yticks(range(len(steps)), [_short(step["stage"], 30) for step in steps])
    axis.set_xlim(0, max(max(kept), 1) * 1.02)
    axis.set_ylim(len(steps) - 0.4, -0.75)
    axis.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
    return figure


@matplotlib.rc_context(STYLE)
def numericals(train: pd.DataFrame, samples: dict[str, pd.DataFrame]) -> Figure:
    """Fig. 4(a): one row a model, one column a numerical; train black, synthetic in colour."""
    names = frames.split(train)[0]
    rows = list(samples.items()) or [("", None)]
    figure, axes = _grid(len(rows), len(names), 2.2 * len(names), 1.45 * len(rows) + 0.5)
    for j, name in enumerate(names):
        real = train[name].to_numpy(float)
        edges, is_log = _edges(real)
        for i, (model, table) in enumerate(rows):
            axis = axes[i, j]
            axis.stairs(_density(real, edges), edges, color=INK, lw=1.1, label="train")
            if table is not None:
                shares = _density(table[name].to_numpy(float), edges)
                axis.stairs(shares, edges, color=COLOURS[i % len(COLOURS)], fill=True, alpha=0.45)
            _dress(axis, is_log, edges)
            axis.set_title(_short(name) if i == 0 else "")
            axis.set_ylabel(_short(model) if j == 0 else "")
            axis.tick_params(labelbottom=i == len(rows) - 1, labelsize=7)
    return figure


def _edges(real: np.ndarray) -> tuple[np.ndarray, bool]:
    """Edges of the bins, and whether their axis is logarithmic: positive with a long tail."""
    low, middle, high = np.min(real), np.median(real), np.max(real)
    if low == high:
        return np.linspace(low - 0.5, high + 0.5, 4), False
    positive = real[real > 0]
    if low >= 0 and positive.size and high - middle > SKEWED * max(middle - low, 1e-300):
        start = np.quantile(positive, 0.001)
        if high > 10 * start:
            return np.geomspace(start, high, BINS + 1), True
    if high - middle > SKEWED * (middle - low) or middle - low > SKEWED * (high - middle):
        low, high = np.quantile(real, [0.0005, 0.9995])
        return np.linspace(low, high if high > low else low + 1, BINS + 1), False
    return np.linspace(low, high, BINS + 1), False


def _density(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Share of all values in each bin; those outside are put into the end bins."""
    inside = np.clip(values, edges[0], edges[-1])
    return np.histogram(inside, edges)[0] / len(values)


def _dress(axis, is_log: bool, edges: np.ndarray) -> None:
    if is_log:
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter(_power)  # not the default: formulas are off
        axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_xlim(edges[0], edges[-1])
    axis.set_ylim(bottom=0)
    axis.set_yticks([])


def _power(x: float, _: int) -> str:
    return f"{x:g}" if 1e-3 < x < 1e4 else f"1e{np.log10(x):.0f}"


@matplotlib.rc_context(STYLE)
def categories(train: pd.DataFrame, samples: dict[str, pd.DataFrame]) -> Figure:
    """Fig. 4(b): shares of the most frequent categories of train in every table."""
    names = frames.split(train)[1]
    n_cols = min(2, len(names))
    n_rows = -(-len(names) // n_cols)
    figure, axes = _grid(n_rows, n_cols, 5 * n_cols, 0.4 + n_rows * (1.1 + 0.22 * len(samples)))
    for axis in axes.flat[len(names) :]:
        axis.set_axis_off()
    for axis, name in zip(axes.flat, names, strict=False):
        _category_bars(axis, name, train, samples)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=6, frameon=False)
    return figure


def _category_bars(axis, name, train: pd.DataFrame, samples: dict[str, pd.DataFrame]) -> None:
    top = train[name].value_counts(normalize=True)
    top = top[top > 0].head(TOP)
    tables = {"train": train, **samples}
    height = 0.82 / len(tables)
    for i, (model, table) in enumerate(tables.items()):
        shares = table[name].value_counts(normalize=True).to_dict()
        values = [shares.get(value, 0.0) for value in top.index]
        colour = INK if i == 0 else COLOURS[(i - 1) % len(COLOURS)]
        at = np.arange(len(top)) + (i - (len(tables) - 1) / 2) * height
        axis.barh(at, values, height * 0.9, color=colour, label=_short(model))
    axis.set_yticks(range(len(top)), [_short(value) for value in top.index])
    axis.invert_yaxis()
    axis.set_title(_short(name))
    axis.xaxis.set_major_formatter(lambda x, _: f"{100 * x:g} %")


@matplotlib.rc_context(STYLE)
def associations(real: pd.DataFrame, matrices: dict[str, pd.DataFrame]) -> Figure:
    """Fig. 5: association matrices of train and models, and below them the differences."""
    size = max(2.3, 0.27 * len(real))
    figure, axes = _grid(2, 1 + len(matrices), size * (1 + len(matrices)) + 1.2, 2 * size + 1.2)
    bars = {}
    for i, (model, matrix) in enumerate({"train": real, **matrices}.items()):
        bars["association"] = _heat(axes[0, i], matrix.to_numpy(), 1.0, "PuOr_r")
        axes[0, i].set_title(_short(model))
        if i == 0:
            axes[1, 0].set_axis_off()
            continue
        bars["difference"] = _heat(axes[1, i], matrix.to_numpy() - real.to_numpy(), 0.5, "RdBu_r")
        axes[1, i].set_title(f"{_short(model)} − train")
    labels = [_short(name, 16) for name in real.columns]
    for axis in (axes[0, 0], axes[1, min(1, len(matrices))]):
        axis.set_yticks(range(len(real)), labels, fontsize=7)
    for axis in (axes[0, 0], *axes[1, 1:]):
        axis.set_xticks(range(len(real)), labels, rotation=90, fontsize=7)
    for row, (label, image) in zip(axes, bars.items(), strict=False):
        figure.colorbar(image, ax=row, shrink=0.8, label=label)
    return figure


def _heat(axis, values: np.ndarray, limit: float, colours: str):
    image = axis.imshow(values, cmap=colours, vmin=-limit, vmax=limit, interpolation="nearest")
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)
    return image


@matplotlib.rc_context(STYLE)
def arrivals(train: pd.DataFrame, samples: dict[str, pd.DataFrame]) -> Figure:
    """Share of a week's rows in each of its hours, from a time in days since a Monday."""
    rows = list(samples.items()) or [("train", train)]
    n_rows = -(-len(rows) // 2)
    figure, axes = _grid(n_rows, 2, 10, 1.5 * n_rows + 0.5, sharex=True, sharey=True)
    real = _by_hour(train)
    for axis in axes.flat[len(rows) :]:
        axis.set_axis_off()
    for i, (axis, (model, table)) in enumerate(zip(axes.flat, rows, strict=False)):
        colour = COLOURS[i % len(COLOURS)]
        axis.stairs(_by_hour(table), color=colour, fill=True, alpha=0.45)
        axis.stairs(real, color=INK, lw=0.9)
        axis.set_title(_short(model))
        axis.set_xticks(range(12, WEEK, 24), WEEKDAYS, fontsize=7)
        axis.set_xlim(0, WEEK)
        axis.set_yticks([])
        axis.tick_params(labelbottom=True)
    return figure


def _by_hour(table: pd.DataFrame) -> np.ndarray:
    """Share of the rows in each hour of the week. Shape: (168,)."""
    hour = np.floor(table[DAYS].to_numpy(float) * 24).astype(np.int64) % WEEK
    return np.bincount(hour, minlength=WEEK) / len(table)


@matplotlib.rc_context(STYLE)
def privacy(rows: list[dict], floor: dict) -> Figure:
    """How close the rows of each model lie to train: shares and an attack, with 95 % intervals.

    rows, floor: of table1.json. The dotted line is the floor.
    """
    keys = [key for key in PRIVACY if floor.get(key) is not None]
    everyone = [*rows, floor]
    figure, axes = _grid(
        1, len(keys), min(3.3 * len(keys), 13), 0.9 + 0.28 * len(everyone), sharey=True
    )
    for axis, key in zip(axes[0], keys, strict=True):
        axis.axvline(floor[key], color=INK, lw=0.8, ls=":")
        for i, row in enumerate(everyone):
            colour = INK if row is floor else COLOURS[i % len(COLOURS)]
            edges = (row.get("interval") or {}).get(key)
            if edges:
                axis.plot(edges, [i, i], color=colour, lw=1.5)
            axis.plot([row[key]], [i], "o", color=colour, ms=5)
        axis.set_title(key)
        if len({row[key] for row in everyone}) == 1:
            axis.set_xlim(floor[key] - 0.01, floor[key] + 0.01)
        axis.set_ylim(len(everyone) - 0.5, -0.5)
        axis.margins(x=0.15)
    axes[0, 0].set_yticks(range(len(everyone)), [_short(row["model"]) for row in everyone])
    return figure


@matplotlib.rc_context(STYLE)
def learning(losses: dict[str, pd.DataFrame]) -> Figure:
    """Every term of the loss of every learner over its steps, each on its own axis."""
    curves = [
        (model, name, table)
        for model, table in losses.items()
        for name in table.columns
        if name not in NO_LOSS
    ]
    n_cols = min(3, max(1, len(curves)))
    n_rows = max(1, -(-len(curves) // n_cols))
    figure, axes = _grid(n_rows, n_cols, 9, 2.1 * n_rows)
    for axis in axes.flat[len(curves) :]:
        axis.set_axis_off()
    for axis, (model, name, table) in zip(axes.flat, curves, strict=False):
        steps = table["step"] if "step" in table else table.index
        axis.plot(steps, table[name], lw=1, color=COLOURS[0])
        axis.set_title(f"{_short(model)}: {_short(name)}")
        axis.set_xlabel("step", fontsize=8)
    return figure
