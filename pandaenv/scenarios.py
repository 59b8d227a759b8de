"""How a grid is disturbed: outages, slow networks, surges, sites at which every job fails.

In: a `Scenario`, by name or made by its user. Out: `Troubles`, the disturbances of one episode,
drawn when the episode begins. Policies therefore meet the same troubles under one seed, and
projections know them. A new scenario is one entry of `SCENARIOS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np

from foundations import checks
from foundations.objects import one_of
from foundations.units import DAY_S, HOUR_S

LONGEST_S = 1e9
"""Longest length that may be given: 30 years."""
COUNTS = ("n_outages", "black_holes")
MOST = 10_000
"""Outages of a site that an episode draws beforehand: more than any needs, little memory."""
_LENGTH: dict[str, float] = {"above": 0, "most": LONGEST_S}
RANGES: dict[str, dict[str, float]] = {
    "outage_length_s": _LENGTH,
    "degraded_share": {"least": 0, "most": 1},
    "degraded_factor": {"above": 0, "most": 1},
    "degraded_after_s": {"least": 0},
    "degraded_length_s": _LENGTH,
    "surge_factor": {"least": 1},
    "surge_after_s": {"least": 0},
    "surge_length_s": _LENGTH,
    "black_hole_s": {"above": 0},
}
"""Ranges of the fields of a scenario, all finite; see `foundations.checks.number`."""


@dataclass(frozen=True)
class Scenario:
    """How a grid is disturbed, beyond the failures that every site has by its rate.

    Outages come to each site as a renewal process: exponential gaps and lengths. Both defaults are
    ASSUMED (98 % availability). All other disturbances begin at a given time after the start of an
    episode, at sites that are drawn; by default there are none.

    A transfer into a site of degraded links runs at `degraded_factor` of its speed for as long as
    the degradation lasts. In a surge jobs arrive faster: no job is added or left out, so tasks stay
    whole, and all later jobs arrive earlier. At a black-hole site every attempt fails after
    `black_hole_s`, or after its run time where that is shorter, so that the site looks idle.

    Raises:
        ValueError: a value out of its range, in one sentence.
    """

    outage_every_s: float = 14 * DAY_S
    """Mean time from the end of one outage to the next, s; infinity for none."""
    outage_length_s: float = 6 * HOUR_S
    """Mean length of an outage, s; finite, since jobs that wait at a site must end."""
    n_outages: int = 4
    """Outages drawn for each site; there are none after them."""
    degraded_share: float = 0.0
    """Share of the sites whose links degrade, rounded up."""
    degraded_factor: float = 0.1
    """Speed of transfers into such a site over the usual one, in (0, 1]."""
    degraded_after_s: float = 2 * HOUR_S
    degraded_length_s: float = 12 * HOUR_S
    surge_factor: float = 1.0
    """Multiple of the rate of arrivals, at least 1."""
    surge_after_s: float = 2 * HOUR_S
    surge_length_s: float = 4 * HOUR_S
    black_holes: int = 0
    """Sites at which every attempt fails; fewer than there are sites."""
    black_hole_s: float = 60.0

    def __post_init__(self) -> None:
        for field in fields(self):
            _check(field.name, getattr(self, field.name))
            kind: Any = type(field.default)  # so that JSON can hold it
            object.__setattr__(self, field.name, kind(getattr(self, field.name)))

    def check_sites(self, n_sites: int) -> None:
        """Raise a ValueError unless some of n sites are no black holes."""
        if self.black_holes >= n_sites:
            raise ValueError(
                f"black_holes must be fewer than the sites ({n_sites}), got {self.black_holes}"
            )

    def draw(self, n_sites: int, start: float, rng: np.random.Generator) -> Troubles:
        """Draw the troubles of an episode at n sites that starts at `start`, in s."""
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


class Troubles(NamedTuple):
    """The disturbances of one episode at S sites, whatever is placed; times in s."""

    outages: np.ndarray  # (S, M) begin and end of each outage in turn, increasing
    slow: np.ndarray  # (S, 3) input moves at a factor of its speed: from, until, factor
    fails_after: np.ndarray  # (S,) every attempt fails after at most this time; infinity: none need
    surge: tuple[float, float, float] = (np.inf, np.inf, 1.0)
    """Jobs arrive at a multiple of their rate: from, until, factor."""


def untroubled(n_sites: int) -> Troubles:
    """No disturbance at n sites."""
    never = np.broadcast_to([np.inf, np.inf, 1.0], (n_sites, 3))
    return Troubles(np.full((n_sites, 0), np.inf), never, np.full(n_sites, np.inf))


def _check(name: str, value: Any) -> None:
    """Raise a ValueError for a value out of its range."""
    if name in COUNTS:
        checks.whole(name, value, most=MOST)
    elif name in RANGES:
        checks.number(name, value, **RANGES[name])
    else:  # infinity means never
        checks.require(checks.is_number(value) and value > 0, name, "positive", value)


SCENARIOS = {
    "normal": Scenario(),
    "outage": Scenario(outage_every_s=2 * DAY_S, outage_length_s=12 * HOUR_S, n_outages=8),
    "degraded_network": Scenario(degraded_share=0.5),
    "surge": Scenario(surge_factor=3.0),
    "black_hole_site": Scenario(black_holes=1),
}
"""Scenarios by name; all strengths are ASSUMED."""


def make(which: str | Scenario | Mapping) -> Scenario:
    """The scenario of a name or of a dict of its fields; a `Scenario` is returned as it is.

    Raises: ValueError for an unknown name or field, or a value out of its range.
    """
    return one_of(Scenario, "scenario", SCENARIOS, which)
