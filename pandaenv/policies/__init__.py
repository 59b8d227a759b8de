"""Policies that choose a site for the next job, and the mask of sites they may choose."""

from .playing import Step, VectorPolicy, steps, vector_steps
from .rules import (
    Known,
    Policy,
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
    "Policy",
    "Step",
    "VectorPolicy",
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
    "steps",
    "transfer_time",
    "vector_steps",
    "warm_up",
]
