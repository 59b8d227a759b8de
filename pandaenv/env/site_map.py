"""Where sites and regions lie on the picture of a grid.

In: the region ("cloud") and the cores of each site. Out: discs, one for each site and one for each
region. The map is a scheme: regions lie roughly where their countries do, with Europe enlarged, as
far as there is room; an unknown region starts at the lower edge. The largest site of a region lies
in its middle. The area of a disc is proportional to the site's cores.
"""

from functools import lru_cache

import numpy as np

CLOUDS = {
    "CA": (2.2, 7.0), "US": (3.0, 3.0), "UK": (7.0, 6.6), "NL": (9.8, 7.2), "ND": (13.0, 8.2),
    "DE": (12.6, 5.6), "RU": (17.0, 7.0), "FR": (8.2, 4.2), "CERN": (10.7, 3.6), "ES": (7.0, 1.6),
    "IT": (13.0, 2.2), "TW": (18.4, 2.6),
}  # fmt: skip
"""Preferred middle of each region on a map of MAP_SIZE."""
MAP_SIZE = (20.0, 9.0)
DISC_SHARE = 0.17
"""Share of the map that the cores of all sites cover."""
RADII = (0.1, 0.8)
"""Least and largest radius of a disc; between them its area is exact."""


@lru_cache(maxsize=8)
def layout(cloud: tuple[str, ...], cores: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Discs (x, y, radius) of sites, (S, 3), and of regions in order of appearance, (C, 3)."""
    area = DISC_SHARE * MAP_SIZE[0] * MAP_SIZE[1]
    radius = np.clip(np.sqrt(np.asarray(cores) / sum(cores) * area / np.pi), *RADII)
    clouds, sites = list(dict.fromkeys(cloud)), np.column_stack([np.zeros((len(cloud), 2)), radius])
    reach = np.empty(len(clouds))
    for k, name in enumerate(clouds):
        here = np.array([i for i, other in enumerate(cloud) if other == name])
        sites[here, :2] = _place_apart(np.zeros((len(here), 2)), 1.2 * radius[here] + 0.08)
        reach[k] = (np.hypot(*sites[here, :2].T) + 1.3 * radius[here]).max() + 0.25
    middle = _place_apart(
        np.array([_preferred_place(name, clouds) for name in clouds]), reach, reach
    )
    rows = [clouds.index(name) for name in cloud]
    sites[:, :2] += middle[rows]
    return sites, np.column_stack([middle, reach])


def _preferred_place(cloud: str, clouds: list[str]) -> tuple[float, float]:
    """Where the region lies if there is room; unknown ones in a row at the lower edge."""
    if cloud in CLOUDS:
        return CLOUDS[cloud]
    unknown = [name for name in clouds if name not in CLOUDS]
    return MAP_SIZE[0] * (unknown.index(cloud) + 0.5) / len(unknown), 0.8


def _place_apart(
    home: np.ndarray, radius: np.ndarray, margin: np.ndarray | None = None
) -> np.ndarray:
    """Middles (n, 2) of discs near their preferred places `home` (n, 2) that hardly overlap.

    With a margin (n,) they also keep that far from the edge of the map.
    """
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
