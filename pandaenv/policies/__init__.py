"""Policies that choose a site for the next job, and the mask of sites they may choose."""

from .choices import warm_up
from .estimates import expected_finish
from .mask import broker_floor, is_within_cap, mark_allowed
from .playing import Step, VectorPolicy, steps, vector_steps
from .rules import Policy, Rule, make, names

__all__ = [
    "Policy",
    "Rule",
    "Step",
    "VectorPolicy",
    "broker_floor",
    "expected_finish",
    "is_within_cap",
    "make",
    "mark_allowed",
    "names",
    "steps",
    "vector_steps",
    "warm_up",
]
