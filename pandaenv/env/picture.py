"""A picture of a grid: a map of its sites, the transfers between them, and the last day.

In: (grid, worlds, w) as the kernels take them, and the catalogue that names the sites. Out: an
image (HEIGHT, WIDTH, 3) uint8. Nothing is changed. One area stands for one core, for one busy core
and for one queued job alike; `pandaenv.env.site_map` says where sites lie.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from foundations.units import DAY_S, HOUR_S
from pandaenv.simulator.state import MOVING, QUEUED, REJECTED, RUNNING, Grid, Worlds
from pandaenv.sites import Catalogue

from .screen import failure_share, headline, totals
from .site_map import MAP_SIZE, layout

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT, DPI = 960, 600, 100
HISTORY_S = DAY_S
"""How far back the lower panel looks."""
MAX_QUEUE = 1.5
"""Queued jobs per core beyond which the ring of a site grows no more."""
USUAL_FAILURES = 0.25
"""Share of failed attempts above which a site gets a red rim."""
N_NAMED = 16
"""Number of sites, the largest, whose names are written on the map."""
COLOURS = {
    "running": "#1f5fa8",
    "free": "#d5e4f3",
    "queued": "#f2a33a",
    "moving": "#12806a",
    "failed": "#c8102e",
    "down": "#5a5a5a",
    "ink": "#222222",
    "faint": "#e9edf1",
}


def picture(grid: Grid, worlds: Worlds, w: int, catalogue: Catalogue) -> np.ndarray:
    """World w as a map above a history of the last day, uint8 (HEIGHT, WIDTH, 3)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((WIDTH / DPI, HEIGHT / DPI), dpi=DPI, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0.01, 0.19, 0.98, 0.725), xlim=(0, MAP_SIZE[0]), ylim=(0, MAP_SIZE[1]))
    axes.set_aspect("equal")
    axes.axis("off")
    sites, regions = layout(tuple(catalogue.cloud), tuple(int(c) for c in catalogue.cores))
    _draw_regions(axes, dict.fromkeys(catalogue.cloud), regions)
    _draw_sites(axes, grid, worlds.site[w], sites)
    _draw_names(axes, catalogue, sites)
    _draw_transfers(axes, *transfers(grid, worlds, w, sites[:, :2]))
    _draw_history(figure.add_axes((0.07, 0.055, 0.5, 0.12)), worlds, w)
    _draw_headline(figure, worlds, w)
    _draw_legend(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def transfers(
    grid: Grid, worlds: Worlds, w: int, place: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Inputs being moved: lines (n, 2, 2) from source to site, and where each input is (n, 2).

    Those that wait for a channel are left out. `place` (S, 2) is where the sites lie.
    """
    job = worlds.job[w, : int(worlds.world[w]["next"])]
    job = job[job["state"] == MOVING]
    source, site = job["source"], job["site"]
    rate = np.minimum(grid.link[source, site], grid.sites["channel"][site])
    length = grid.stream["nbytes"][job["index"]] / rate
    done = 1 - _full_speed_s(worlds.world[w]["now"], job["end"], worlds.slow[w][site]) / length
    left = done >= 0
    lines = np.stack([place[source], place[site]], axis=1)[left]
    share = np.minimum(done[left], 1.0)[:, None]
    return lines, lines[:, 0] * (1 - share) + lines[:, 1] * share


def history(worlds: Worlds, w: int, n: int = 145) -> tuple[np.ndarray, np.ndarray]:
    """Hours before now (n,), and how many of the agent's jobs ran, waited and moved then (3, n).

    A job that was restarted counts as running from its first start on.
    """
    world = worlds.world[w]
    job = worlds.job[w, int(world["first_own"]) : int(world["next"])]
    job = job[job["state"] != REJECTED]
    time = world["now"] - HISTORY_S * np.linspace(1, 0, n)
    never = np.inf
    submit = job["submit"]
    ready = np.where(job["state"] == MOVING, never, job["ready"])
    start = np.where(np.isnan(job["first_start"]), never, job["first_start"])
    end = np.where(np.isin(job["state"], (MOVING, QUEUED, RUNNING)), never, job["end"])
    passed = [
        np.searchsorted(np.sort(moment), time, side="right")
        for moment in (submit, ready, start, end)
    ]
    counts = np.array([passed[2] - passed[3], passed[1] - passed[2], passed[0] - passed[1]])
    return (time - world["now"]) / HOUR_S, counts


def _draw_regions(axes: "Axes", clouds: Iterable[str], regions: np.ndarray) -> None:
    from matplotlib.patches import Circle

    for name, (x, y, radius) in zip(clouds, regions, strict=True):
        axes.add_patch(Circle((x, y), radius, color=COLOURS["faint"], zorder=0))
        axes.text(
            x,
            y + radius - 0.08,
            name,
            ha="center",
            va="top",
            fontsize=8,
            color="#56616c",
            weight="bold",
            zorder=7,
        )


def _draw_sites(axes: "Axes", grid: Grid, state: np.ndarray, sites: np.ndarray) -> None:
    """Three concentric discs for running, free and queued; a red rim where attempts fail."""
    from matplotlib.collections import EllipseCollection

    cores, down = grid.sites["cores"], state["n_switches"] % 2 == 1
    running = np.sqrt(1 - state["free"] / cores)
    queued = np.sqrt(1 + np.minimum(state["queued"] / cores, MAX_QUEUE))
    rim = 8 * np.maximum(failure_share(state["failed"], state["finished"]) - USUAL_FAILURES, 0)
    discs = (
        (queued, [COLOURS["queued"]] * len(cores), 0.0),
        (np.ones(len(cores)), [COLOURS["down" if d else "free"] for d in down], rim),
        (running, [COLOURS["running"]] * len(cores), 0.0),
    )
    for scale, face, width in discs:
        size = 2 * sites[:, 2] * scale
        axes.add_collection(
            EllipseCollection(
                size,
                size,
                np.zeros(len(size)),
                units="xy",
                offsets=sites[:, :2],
                transOffset=axes.transData,
                facecolors=face,
                edgecolors=COLOURS["failed"],
                linewidths=width,
                zorder=3,
            )
        )
    axes.scatter(
        *sites[down, :2].T, marker="x", s=900 * sites[down, 2] ** 2, color="white", zorder=4
    )


def _draw_names(axes: "Axes", catalogue: Catalogue, sites: np.ndarray) -> None:
    """Names of the largest sites, with a white edge to be legible on dark discs."""
    from matplotlib.patheffects import withStroke

    for s in np.argsort(-catalogue.cores, kind="stable")[:N_NAMED]:
        x, y, radius = sites[s]
        axes.text(
            x,
            y - radius - 0.03,
            catalogue.names[s],
            ha="center",
            va="top",
            fontsize=5.5,
            color=COLOURS["ink"],
            zorder=6,
            path_effects=[withStroke(linewidth=1.4, foreground="white", alpha=0.8)],
        )


def _draw_transfers(axes: "Axes", lines: np.ndarray, dots: np.ndarray) -> None:
    from matplotlib.collections import LineCollection

    axes.add_collection(
        LineCollection(lines, colors=COLOURS["moving"], linewidths=0.6, alpha=0.25, zorder=2)
    )
    axes.scatter(
        dots[:, 0],
        dots[:, 1],
        s=9,
        color=COLOURS["moving"],
        edgecolors="white",
        linewidths=0.3,
        zorder=5,
    )


def _full_speed_s(start: float, end: np.ndarray, slow: np.ndarray) -> np.ndarray:
    """Seconds at full speed in which each link moves what it moves from `start` to `end`."""
    within = np.minimum(end, slow["end"]) - np.maximum(start, slow["begin"])
    return end - start - (1 - slow["factor"]) * np.maximum(within, 0.0)


def _draw_history(axes: "Axes", worlds: Worlds, w: int) -> None:
    """The agent's jobs that were moving, queued and running over the last day."""
    hours, counts = history(worlds, w)
    names = ("running", "queued", "moving")
    axes.stackplot(hours, counts, colors=[COLOURS[name] for name in names], linewidth=0)
    axes.set_xlim(hours[0], hours[-1])
    axes.set_ylim(0, max(10.0, 1.05 * counts.sum(axis=0).max()))
    axes.set_xticks([-24, -18, -12, -6, 0], ["24 h ago", "18 h", "12 h", "6 h", "now"])
    axes.tick_params(labelsize=6.5, length=2, colors=COLOURS["ink"])
    axes.set_ylabel("jobs placed\nby the agent", fontsize=6.5, color=COLOURS["ink"])
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _draw_headline(figure: "Figure", worlds: Worlds, w: int) -> None:
    now, ended = totals(worlds, w)
    style = {"ha": "left", "va": "top", "color": COLOURS["ink"]}
    figure.text(0.015, 0.985, headline(worlds.world[w]), fontsize=11, weight="bold", **style)
    figure.text(0.015, 0.94, f"{now}  |  {ended}", fontsize=8, **style)


def _draw_legend(figure: "Figure") -> None:
    from matplotlib.lines import Line2D

    def mark(face, label, **more):
        kind = {"marker": "o", "linestyle": "", "markersize": 7, "markeredgecolor": "none"}
        return Line2D([], [], **{**kind, "markerfacecolor": face, "label": label, **more})

    marks = [
        mark(COLOURS["running"], "running (area: cores)"),
        mark(COLOURS["free"], "free cores"),
        mark(COLOURS["queued"], "queued jobs (same scale)"),
        mark(COLOURS["moving"], "input on its way to the job", markersize=4),
        mark("white", "red rim: many attempts failed of late", markeredgecolor=COLOURS["failed"]),
        mark(COLOURS["down"], "x: site down (outage)"),
    ]
    figure.legend(
        handles=marks,
        loc="lower right",
        bbox_to_anchor=(0.99, 0.005),
        fontsize=6.5,
        ncols=2,
        frameon=False,
        title="A disc is a site in its region; where it lies is a scheme, not a map",
        title_fontsize=6.5,
        columnspacing=1.0,
        handletextpad=0.3,
    )
