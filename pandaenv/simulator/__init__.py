"""Simulated grids: jobs placed, moved, queued, run, failed and finished, event by event."""

from .arrivals import advance_to_arrival, place_all
from .motion import advance, place
from .outages import apply_troubles
from .simulator import Simulator
from .state import MAX_ATTEMPTS

__all__ = [
    "MAX_ATTEMPTS",
    "Simulator",
    "advance",
    "advance_to_arrival",
    "apply_troubles",
    "place",
    "place_all",
]
