"""One screen of text about a grid: totals, and a line for each of the largest sites.

In: (grid, worlds, w) as the kernels take them, and the catalogue that names the sites. Out: text of
at most N_LINES lines of N_COLUMNS characters. Nothing is changed.
"""

from typing import Any

import numpy as np

from foundations.units import DAY_S
from pandaenv.simulator.state import FAILED, FINISHED, LOST, REJECTED, Grid, Worlds
from pandaenv.sites import Catalogue

N_LINES, N_COLUMNS = 24, 80
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def screen(grid: Grid, worlds: Worlds, w: int, catalogue: Catalogue) -> str:
    """World w as text: totals, then one line for each site, the largest first."""
    head = [headline(worlds.world[w]), *totals(worlds, w), ""]
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
    """Time and progress of a world, one line."""
    day, second = divmod(int(world["now"]), int(DAY_S))
    clock = f"{second // 3600:02d}:{second // 60 % 60:02d}"
    own, placed = world["n_rows"] - world["first_own"], world["next"] - world["first_own"]
    weekday = WEEKDAYS[day % 7]
    return f"week {day // 7 + 1}, {weekday} {clock} UTC - job {max(placed, 0):,} of {own:,} placed"


def totals(worlds: Worlds, w: int) -> list[str]:
    """What the jobs are doing now, and how the agent's jobs have ended; two lines."""
    moving, queued, running = (worlds.site[w][n].sum() for n in ("moving", "queued", "running"))
    now = worlds.world[w]["in_system"]
    finished, failed, lost, rejected = _outcomes(worlds, w)
    return [
        f"in the grid: {now:,} jobs: {moving:,} move input, {queued:,} queued, {running:,} running",
        f"ended: {finished:,} finished, {failed:,} failed, {lost:,} lost, {rejected:,} rejected",
    ]


def failure_share(failed: Any, finished: Any) -> Any:
    """Share of recent attempts that failed.

    One more success is counted, so that a failure among few attempts weighs little.
    """
    return failed / (failed + finished + 1.0)


def _site_line(grid: Grid, worlds: Worlds, w: int, s: int, name: str) -> str:
    site, cores = worlds.site[w, s], int(grid.sites[s]["cores"])
    busy = _bar(1 - site["free"] / cores) if site["n_switches"] % 2 == 0 else "[  down  (outage)  ]"
    numbers = _numbers(
        site["queued"], site["moving"], failure_share(site["failed"], site["finished"])
    )
    return f"{name[:23]:<24}{cores:>6,}  {busy:<22}{numbers}"


def _other_sites(grid: Grid, worlds: Worlds, w: int, rows: np.ndarray) -> str:
    cores = grid.sites["cores"][rows].sum()
    total = {name: worlds.site[w][name][rows].sum() for name in worlds.site.dtype.names}
    down = (worlds.site[w]["n_switches"][rows] % 2).sum()
    name = f"{len(rows)} smaller sites" + (f", {down} down" if down else "")
    share = failure_share(total["failed"], total["finished"])
    numbers = _numbers(total["queued"], total["moving"], share)
    return f"{name:<24}{cores:>6,}  {_bar(1 - total['free'] / cores):<22}{numbers}"


def _numbers(queued: int, moving: int, share: float) -> str:
    return f"{queued:>6,}{moving:>8,}{share:>9.0%}"


def _bar(share: float, width: int = 18) -> str:
    n = round(share * width)
    return f"[{'#' * n}{'.' * (width - n)}]"


def _outcomes(worlds: Worlds, w: int) -> list[int]:
    """How many of the agent's jobs are finished, failed, lost, rejected."""
    world = worlds.world[w]
    state = worlds.job[w, int(world["first_own"]) : int(world["next"])]["state"]
    return [int((state == end).sum()) for end in (FINISHED, FAILED, LOST, REJECTED)]
