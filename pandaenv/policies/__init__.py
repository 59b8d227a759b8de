"""Policies that choose a site for the next job, and the mask of sites they may choose."""

from .choices import rank, warm_up
from .mask import broker_floor, is_within_cap, mark_allowed
from .rules import Policy, Rule, make, names

__all__ = [
    "Policy",
    "Rule",
    "broker_floor",
    "is_within_cap",
    "make",
    "mark_allowed",
    "names",
    "rank",
    "warm_up",
]
