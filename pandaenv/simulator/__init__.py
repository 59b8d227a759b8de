"""The grid in motion: jobs placed, moved, queued, run, failed and finished, event by event."""

from .simulator import (
    Simulator,
    advance,
    arrive,
    forget,
    next_arrival,
    place,
    place_all,
    suffer,
    unfold,
)
from .state import MAX_ATTEMPTS

__all__ = [
    "MAX_ATTEMPTS",
    "Simulator",
    "advance",
    "arrive",
    "forget",
    "next_arrival",
    "place",
    "place_all",
    "suffer",
    "unfold",
]
