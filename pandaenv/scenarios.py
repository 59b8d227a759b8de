"""How a grid is disturbed: outages, slow networks, surges, sites that fail all they get.

In: a `Scenario`, by name or made by its user. Out: `Troubles`, what one episode of it meets, drawn
when the episode begins. Policies therefore meet the same troubles under one seed, and projections
know them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np

HOUR_S, DAY_S = 3_600.0, 86_400.0
LONGEST_S = 1e9
"""Longest mean length of an outage: 30 years."""


class Troubles(NamedTuple):
    """What happens to S sites, whatever is placed; times in s."""

    outages: np.ndarray  # (S, M) begin and end of each in turn, increasing
    slow: np.ndarray  # (S, 3) input moves at a factor of its speed: from, until, factor
    fails_after: np.ndarray  # (S,) attempts fail after this time or before; infinity: they need not
    surge: tuple[float, float, float] = (np.inf, np.inf, 1.0)
    """Jobs arrive at a multiple of their rate: from, until, factor."""


def untroubled(n_sites: int) -> Troubles:
    """Nothing happens to n sites."""
    never = np.broadcast_to([np.inf, np.inf, 1.0], (n_sites, 3))
    return Troubles(np.full((n_sites, 0), np.inf), never, np.full(n_sites, np.inf))


_RULES = {
    "outage_every_s": (lambda x: x > 0, "positive"),
    "outage_length_s": (lambda x: 0 < x <= LONGEST_S, f"positive and at most {LONGEST_S:.0e}"),
    "n_outages": (lambda x: x >= 0, "a whole number of at least 0"),
    "degraded_share": (lambda x: 0 <= x <= 1, "in [0, 1]"),
    "degraded_factor": (lambda x: 0 < x <= 1, "in (0, 1]"),
    "degraded_after_s": (lambda x: 0 <= x < np.inf, "at least 0 and finite"),
    "degraded_length_s": (lambda x: 0 < x <= LONGEST_S, f"positive and at most {LONGEST_S:.0e}"),
    "surge_factor": (lambda x: 1 <= x < np.inf, "at least 1 and finite"),
    "surge_after_s": (lambda x: 0 <= x < np.inf, "at least 0 and finite"),
    "surge_length_s": (lambda x: 0 < x <= LONGEST_S, f"positive and at most {LONGEST_S:.0e}"),
    "black_holes": (lambda x: x >= 0, "a whole number of at least 0"),
    "black_hole_s": (lambda x: 0 < x < np.inf, "positive and finite"),
}


def _check(name: str, value) -> None:
    is_good, rule = _RULES[name]
    whole = name in ("n_outages", "black_holes")
    kinds = (int, np.integer) if whole else (int, float, np.integer, np.floating)
    if isinstance(value, bool) or not isinstance(value, kinds) or not is_good(value):
        raise ValueError(f"{name} must be {rule}, got {value!r}")


@dataclass(frozen=True)
class Scenario:
    """How a grid is disturbed, beyond the failures that every site has by its rate.

    Outages come to each site as a renewal process: exponential gaps and lengths. Both defaults are
    ASSUMED (98 % availability). What else there may be comes at a given time after the begin of an
    episode, to sites that are drawn; by default there is none of it.

    A transfer into a site of degraded links runs at `degraded_factor` of its speed for as long as
    that lasts. In a surge the stream runs faster: no job is added or left out, so tasks stay whole,
    and all that would have come later comes earlier. A black hole fails every attempt after
    `black_hole_s`, or after its run time where that is shorter; it looks idle.

    Raises:
        ValueError: a value out of its range, in one sentence.
    """

    outage_every_s: float = 14 * DAY_S
    """Mean time from the end of one outage to the next, s; infinity for none."""
    outage_length_s: float = 6 * HOUR_S
    """Mean length of an outage, s; finite, or what waits at a site would never end."""
    n_outages: int = 4
    """Outages drawn for each site; after them there are none."""
    degraded_share: float = 0.0
    """Share of the sites whose links degrade, rounded up."""
    degraded_factor: float = 0.1
    """Speed of what moves into such a site, in (0, 1]."""
    degraded_after_s: float = 2 * HOUR_S
    degraded_length_s: float = 12 * HOUR_S
    surge_factor: float = 1.0
    """Multiple of the rate of arrivals, at least 1."""
    surge_after_s: float = 2 * HOUR_S
    surge_length_s: float = 4 * HOUR_S
    black_holes: int = 0
    """Sites that fail all they get; fewer than there are sites."""
    black_hole_s: float = 60.0

    def __post_init__(self):
        for field in fields(self):
            _check(field.name, getattr(self, field.name))
            value = type(field.default)(getattr(self, field.name))  # so that JSON can hold it
            object.__setattr__(self, field.name, value)

    def check_sites(self, n_sites: int) -> None:
        if self.black_holes >= n_sites:
            raise ValueError(
                f"black_holes must be fewer than the sites ({n_sites}), got {self.black_holes}"
            )

    def draw(self, n_sites: int, start: float, rng: np.random.Generator) -> Troubles:
        """What an episode of n sites that starts at `start`, in s, meets."""
        self.check_sites(n_sites)
        outages = self.outages(n_sites, start, rng)
        links, holes = rng.spawn(2)
        slow, fails_after = np.full((n_sites, 3), np.inf), np.full(n_sites, np.inf)
        slow[:, 2] = 1.0
        chosen = links.permutation(n_sites)[: int(np.ceil(self.degraded_share * n_sites))]
        begin = start + self.degraded_after_s
        slow[chosen] = begin, begin + self.degraded_length_s, self.degraded_factor
        fails_after[holes.permutation(n_sites)[: self.black_holes]] = self.black_hole_s
        begin = start + self.surge_after_s
        surge = (begin, begin + self.surge_length_s, self.surge_factor)
        return Troubles(outages, slow, fails_after, surge)

    def outages(self, n_sites: int, start: float, rng: np.random.Generator) -> np.ndarray:
        """Draw begin and end of outages after `start`, float64 (S, 2 n_outages), increasing."""
        shape = (n_sites, self.n_outages)
        gap = rng.standard_exponential(shape) * self.outage_every_s
        length = rng.standard_exponential(shape) * self.outage_length_s
        return start + np.cumsum(np.stack([gap, length], axis=2).reshape(n_sites, -1), axis=1)


SCENARIOS = {
    "normal": Scenario(),
    "outage": Scenario(outage_every_s=2 * DAY_S, outage_length_s=12 * HOUR_S, n_outages=8),
    "degraded_network": Scenario(degraded_share=0.5),
    "surge": Scenario(surge_factor=3.0),
    "black_hole_site": Scenario(black_holes=1),
}
"""Known by name; how strong each is, is ASSUMED."""


def make(which: str | Scenario | Mapping) -> Scenario:
    """The scenario of a name, of the fields of one (as JSON gives them back), or as it is."""
    if isinstance(which, Scenario):
        return which
    if isinstance(which, Mapping):
        known = [field.name for field in fields(Scenario)]
        unknown = [name for name in which if name not in known]
        if unknown:
            raise ValueError(
                f"unknown field {unknown[0]!r} of a scenario; known: {', '.join(known)}"
            )
        return Scenario(**which)
    if not isinstance(which, str) or which not in SCENARIOS:
        raise ValueError(f"unknown scenario {which!r}; known: {', '.join(SCENARIOS)}")
    return SCENARIOS[which]
