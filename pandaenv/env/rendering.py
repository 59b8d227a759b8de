"""Pictures of a grid: one screen of text, or a map.

In: (grid, worlds, w) as the kernels take them, and the catalogue that names the sites. Out: text of
at most 24 lines of 80 characters, or an image (HEIGHT, WIDTH, 3) uint8. Nothing is changed.

The map is a scheme: regions ("clouds") lie about where their countries do, Europe enlarged, as far
as there is room; a region nobody knows begins at the lower edge. Inside a region the largest site
lies in the middle. One area stands for one core, for one busy core and for one queued job alike.
"""

from functools import lru_cache

import numpy as np

from pandaenv.simulator.state import (
    FAILED,
    FINISHED,
    LOST,
    MOVING,
    QUEUED,
    REJECTED,
    RUNNING,
    Grid,
    Worlds,
)
from pandaenv.sites import Catalogue

MODES = ("ansi", "rgb_array", "human")
N_LINES, N_COLUMNS = 24, 80
WIDTH, HEIGHT, DPI = 960, 600, 100
DAY_S, WEEKDAYS = 86_400, ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
HISTORY_S = DAY_S
"""How far back the lower panel of the map looks."""
CLOUDS = {
    "CA": (2.2, 7.0), "US": (3.0, 3.0), "UK": (7.0, 6.6), "NL": (9.8, 7.2), "ND": (13.0, 8.2),
    "DE": (12.6, 5.6), "RU": (17.0, 7.0), "FR": (8.2, 4.2), "CERN": (10.7, 3.6), "ES": (7.0, 1.6),
    "IT": (13.0, 2.2), "TW": (18.4, 2.6),
}  # fmt: skip
"""Where a region's middle would lie on a map of MAP_SIZE."""
MAP_SIZE = (20.0, 9.0)
DISC_SHARE = 0.17
"""Share of the map that the cores of all sites cover."""
RADII = (0.1, 0.8)
"""Least and largest radius of a disc; between them its area is exact."""
MAX_QUEUE = 1.5
"""Queued jobs a core beyond which a site's ring grows no more."""
USUAL_FAILURES = 0.25
"""Share of failed attempts above which a site gets a red rim."""
N_NAMED = 16
"""Sites whose name is written on the map."""
WINDOW = "PandaSiteAllocation"
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


def render(mode: str, grid: Grid, worlds: Worlds, w: int, catalogue: Catalogue):
    """World w in one of MODES: text, an image, or None after showing the image in a window."""
    if mode == "ansi":
        return screen(grid, worlds, w, catalogue)
    image = picture(grid, worlds, w, catalogue)
    return show(image) if mode == "human" else image


# --- text -----------------------------------------------------------------------------------------


def screen(grid: Grid, worlds: Worlds, w: int, catalogue: Catalogue) -> str:
    """World w as text: totals, then one line a site, the largest first."""
    head = [headline(worlds.world[w]), *_totals(worlds, w), ""]
    columns = f"{'site':<24}{'cores':>6}  {'busy':<22}{'queue':>6}{'moving':>8}{'failing':>9}"
    room = N_LINES - len(head) - 2
    order = np.argsort(-catalogue.cores, kind="stable")
    shown = order if len(order) <= room else order[: room - 1]
    lines = [_site_line(grid, worlds, w, s, catalogue.names[s]) for s in shown]
    if len(shown) < len(order):
        lines.append(_other_sites(grid, worlds, w, order[len(shown) :]))
    legend = "# busy cores, . free; failing: share of attempts that failed of late"
    return "\n".join(line[:N_COLUMNS] for line in [*head, columns, *lines, legend])


def headline(world: np.void) -> str:
    """Time and progress of a world."""
    day, second = divmod(int(world["now"]), DAY_S)
    clock = f"{second // 3600:02d}:{second // 60 % 60:02d}"
    own, placed = world["n_rows"] - world["first_own"], world["next"] - world["first_own"]
    weekday = WEEKDAYS[day % 7]
    return f"week {day // 7 + 1}, {weekday} {clock} UTC - job {max(placed, 0):,} of {own:,} placed"


def _totals(worlds: Worlds, w: int) -> list[str]:
    """What jobs do now, and how the agent's have ended."""
    moving, queued, running = (worlds.site[w][n].sum() for n in ("moving", "queued", "running"))
    now = worlds.world[w]["in_system"]
    finished, failed, lost, rejected = ends(worlds, w)
    return [
        f"in the grid: {now:,} jobs: {moving:,} move input, {queued:,} queued, {running:,} running",
        f"ended: {finished:,} finished, {failed:,} failed, {lost:,} lost, {rejected:,} rejected",
    ]


def ends(worlds: Worlds, w: int) -> list[int]:
    """How many of the agent's jobs are finished, failed, lost, rejected."""
    world = worlds.world[w]
    state = worlds.job[w, int(world["first_own"]) : int(world["next"])]["state"]
    return [int((state == end).sum()) for end in (FINISHED, FAILED, LOST, REJECTED)]


def _site_line(grid: Grid, worlds: Worlds, w: int, s: int, name: str) -> str:
    site, cores = worlds.site[w, s], int(grid.sites[s]["cores"])
    busy = _bar(1 - site["free"] / cores) if site["n_switches"] % 2 == 0 else "[  down  (outage)  ]"
    numbers = _numbers(site["queued"], site["moving"], failing(site["failed"], site["finished"]))
    return f"{name[:23]:<24}{cores:>6,}  {busy:<22}{numbers}"


def _other_sites(grid: Grid, worlds: Worlds, w: int, rows: np.ndarray) -> str:
    cores = grid.sites["cores"][rows].sum()
    total = {name: worlds.site[w][name][rows].sum() for name in worlds.site.dtype.names}
    down = (worlds.site[w]["n_switches"][rows] % 2).sum()
    name = f"{len(rows)} smaller sites" + (f", {down} down" if down else "")
    share = failing(total["failed"], total["finished"])
    numbers = _numbers(total["queued"], total["moving"], share)
    return f"{name:<24}{cores:>6,}  {_bar(1 - total['free'] / cores):<22}{numbers}"


def _numbers(queued: int, moving: int, share: float) -> str:
    return f"{queued:>6,}{moving:>8,}{share:>9.0%}"


def failing(failed, finished):
    """Share of recent attempts that failed; one more is counted, so that few say little."""
    return failed / (failed + finished + 1.0)


def _bar(share: float, width: int = 18) -> str:
    n = round(share * width)
    return f"[{'#' * n}{'.' * (width - n)}]"


# --- the map --------------------------------------------------------------------------------------


def picture(grid: Grid, worlds: Worlds, w: int, catalogue: Catalogue) -> np.ndarray:
    """World w as a map of its sites, what moves between them, and the last day; uint8 (H, W, 3)."""
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
    _draw_transfers(axes, *flights(grid, worlds, w, sites[:, :2]))
    _draw_history(figure.add_axes((0.07, 0.055, 0.5, 0.12)), worlds, w)
    _draw_head(figure, worlds, w)
    _draw_legend(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _draw_regions(axes, clouds, regions: np.ndarray) -> None:
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


def _draw_sites(axes, grid: Grid, state: np.ndarray, sites: np.ndarray) -> None:
    """Three discs on one middle: running in free in queued; a red rim where attempts fail."""
    from matplotlib.collections import EllipseCollection

    cores, down = grid.sites["cores"], state["n_switches"] % 2 == 1
    running = np.sqrt(1 - state["free"] / cores)
    queued = np.sqrt(1 + np.minimum(state["queued"] / cores, MAX_QUEUE))
    rim = 8 * np.maximum(failing(state["failed"], state["finished"]) - USUAL_FAILURES, 0)
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


def _draw_names(axes, catalogue: Catalogue, sites: np.ndarray) -> None:
    """Names of the largest sites, with a pale edge so that they can be read on dark discs."""
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


def _draw_transfers(axes, lines: np.ndarray, dots: np.ndarray) -> None:
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


def _draw_history(axes, worlds: Worlds, w: int) -> None:
    """Jobs moving, queued and running over the last day, as the agent's jobs tell."""
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


def _draw_head(figure, worlds: Worlds, w: int) -> None:
    now, ended = _totals(worlds, w)
    style = {"ha": "left", "va": "top", "color": COLOURS["ink"]}
    figure.text(0.015, 0.985, headline(worlds.world[w]), fontsize=11, weight="bold", **style)
    figure.text(0.015, 0.94, f"{now}  |  {ended}", fontsize=8, **style)


def _draw_legend(figure) -> None:
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


def flights(grid: Grid, worlds: Worlds, w: int, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inputs on their way: lines (n, 2, 2) from source to site, and where each is now (n, 2).

    Those that wait for a channel have not left yet. `place` is (S, 2).
    """
    job = worlds.job[w, : int(worlds.world[w]["next"])]
    job = job[job["state"] == MOVING]
    source, site = job["source"], job["site"]
    rate = np.minimum(grid.link[source, site], grid.sites["channel"][site])
    length = grid.stream["nbytes"][job["index"]] / rate
    done = 1 - _at_full_speed(worlds.world[w]["now"], job["end"], worlds.slow[w][site]) / length
    left = done >= 0
    lines = np.stack([place[source], place[site]], axis=1)[left]
    share = np.minimum(done[left], 1.0)[:, None]
    return lines, lines[:, 0] * (1 - share) + lines[:, 1] * share


def _at_full_speed(begin: float, end: np.ndarray, slow: np.ndarray) -> np.ndarray:
    """Seconds at full speed that a transfer from `begin` to `end` is worth at each site's links."""
    within = np.minimum(end, slow["end"]) - np.maximum(begin, slow["begin"])
    return end - begin - (1 - slow["factor"]) * np.maximum(within, 0.0)


def history(worlds: Worlds, w: int, n: int = 145) -> tuple[np.ndarray, np.ndarray]:
    """Hours before now (n,), and how many of the agent's jobs ran, queued and moved then (3, n).

    A job that was started again counts as running from its first start on.
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
    return (time - world["now"]) / 3600.0, counts


@lru_cache(maxsize=8)
def layout(cloud: tuple[str, ...], cores: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Where sites and regions lie: middle and radius, (S, 3) and (number of clouds, 3)."""
    area = DISC_SHARE * MAP_SIZE[0] * MAP_SIZE[1]
    radius = np.clip(np.sqrt(np.asarray(cores) / sum(cores) * area / np.pi), *RADII)
    clouds, sites = list(dict.fromkeys(cloud)), np.column_stack([np.zeros((len(cloud), 2)), radius])
    reach = np.empty(len(clouds))
    for k, name in enumerate(clouds):
        here = np.array([i for i, other in enumerate(cloud) if other == name])
        sites[here, :2] = _packed(np.zeros((len(here), 2)), 1.2 * radius[here] + 0.08)
        reach[k] = (np.hypot(*sites[here, :2].T) + 1.3 * radius[here]).max() + 0.25
    middle = _packed(np.array([_home(name, clouds) for name in clouds]), reach, reach)
    rows = [clouds.index(name) for name in cloud]
    sites[:, :2] += middle[rows]
    return sites, np.column_stack([middle, reach])


def _packed(home: np.ndarray, radius: np.ndarray, margin: np.ndarray | None = None) -> np.ndarray:
    """Middles of discs near their homes (n, 2) that overlap little; with a margin, on the map."""
    rank = np.arange(len(home))
    turn, away = rank * np.pi * (3 - np.sqrt(5)), 0.3 * np.sqrt(rank)  # a sunflower, no two alike
    place = home + away[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    for _ in range(400):
        place = place + 0.02 * (home - place)
        gap = place[:, None] - place[None]
        distance = np.hypot(gap[..., 0], gap[..., 1]) + 1e9 * np.eye(len(place)) + 1e-9
        overlap = np.maximum(radius[:, None] + radius[None] - distance, 0.0)
        place = place + 0.5 * ((overlap / distance)[..., None] * gap).sum(axis=1)
        if margin is not None:
            edge = np.minimum(margin[:, None], np.array(MAP_SIZE) / 2)
            place = np.clip(place, edge, np.array(MAP_SIZE) - edge)
    return place


def _home(cloud: str, clouds: list[str]) -> tuple[float, float]:
    """Where the region would lie; strangers stand in a row at the lower edge."""
    if cloud in CLOUDS:
        return CLOUDS[cloud]
    strangers = [name for name in clouds if name not in CLOUDS]
    return MAP_SIZE[0] * (strangers.index(cloud) + 0.5) / len(strangers), 0.8


# --- a window -------------------------------------------------------------------------------------


def show(image: np.ndarray) -> None:
    """Show the image in the one window of this process; where there is no display, do nothing."""
    import matplotlib.pyplot as plt

    figure = plt.figure(WINDOW, figsize=(WIDTH / DPI, HEIGHT / DPI), dpi=DPI)
    if figure.images:
        figure.images[0].set_data(image)
    else:
        figure.figimage(image)
    if figure.canvas.required_interactive_framework:
        plt.show(block=False)
        figure.canvas.draw_idle()
        figure.canvas.flush_events()


def close() -> None:
    """Close the window if there is one."""
    import matplotlib.pyplot as plt

    plt.close(WINDOW)
