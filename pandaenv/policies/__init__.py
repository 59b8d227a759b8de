"""Policies that choose a site for the next job, and the mask of sites they may choose."""

from .rules import (
    Known,
    allow,
    broker_floor,
    choose_each,
    earliest,
    finish,
    is_short,
    least_loaded,
    make,
    names,
    rank,
    room_of,
    transfer_time,
    warm_up,
)

__all__ = [
    "Known",
    "allow",
    "broker_floor",
    "choose_each",
    "earliest",
    "finish",
    "is_short",
    "least_loaded",
    "make",
    "names",
    "rank",
    "room_of",
    "transfer_time",
    "warm_up",
]
