"""What the options of generators may be: the rule of each number, by its name, for all of them.

In: a configuration. Out: nothing, or one sentence on the first option that breaks its rule. So a
wrong number is found when a generator is made and not after its training.
"""

from collections.abc import Callable
from dataclasses import fields
from math import inf
from numbers import Integral, Real
from typing import Any

LEAST = {
    "atom": 1, "batch_size": 1, "blur": 1, "critic_steps": 1, "d_downstream": 1, "d_embed": 0,
    "d_head": 1, "d_latent": 1, "d_layers": 1, "d_noise": 1, "d_trunk": 1, "k": 1, "n_cells": 1,
    "n_channels": 1, "n_coarse": 1, "n_fine": 1, "n_frequencies": 0, "n_modes": 1, "n_points": 2,
    "n_steps": 1, "n_timesteps": 1, "steps": 1, "warmup": 0,
}  # fmt: skip
"""Least whole number that an option, or each of its parts, may be."""

Rule = tuple[Callable[[float], bool], str]
POSITIVE: Rule = (lambda x: 0 < x < inf, "positive and finite")
NOT_NEGATIVE: Rule = (lambda x: 0 <= x < inf, "at least 0 and finite")
SHARE: Rule = (lambda x: 0 <= x <= 1, "in [0, 1]")
BELOW_ONE: Rule = (lambda x: 0 <= x < 1, "in [0, 1)")
RULES = {
    "atom_share": SHARE,
    "dropout": BELOW_ONE,
    "ema": BELOW_ONE,
    "epochs": POSITIVE,
    "eps": POSITIVE,
    "lr": POSITIVE,
    "penalty": NOT_NEGATIVE,
    "reveal": SHARE,
    "tau": POSITIVE,
    "validation": BELOW_ONE,
    "weight": POSITIVE,
    "weight_decay": NOT_NEGATIVE,
}


def check(config: Any) -> None:
    """Raise a ValueError on the first number or truth of a configuration that breaks its rule."""
    for field in fields(config):
        value = getattr(config, field.name)
        if isinstance(field.default, bool):
            _check(field.name, value, isinstance(value, bool), "True or False")
        elif field.name in LEAST:
            _check_whole(field.name, value, isinstance(field.default, tuple))
        elif field.name in RULES:
            is_good, rule = RULES[field.name]
            is_number = isinstance(value, Real) and not isinstance(value, bool)
            _check(field.name, value, is_number and is_good(value), rule)


def _check_whole(name: str, value: Any, are_many: bool) -> None:
    least = LEAST[name]
    if are_many:
        good = isinstance(value, list | tuple) and len(value) > 0
        good = good and all(_is_whole(part, least) for part in value)
        _check(name, value, good, f"one or more whole numbers of at least {least}")
    else:
        _check(name, value, _is_whole(value, least), f"a whole number of at least {least}")


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and value >= least


def _check(name: str, value: Any, is_good: bool, rule: str) -> None:
    if not is_good:
        raise ValueError(f"{name} must be {rule}, got {value!r}")
