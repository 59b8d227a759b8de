"""Options of generators: each number, truth or choice carries its rule in its own field.

In: the default of an option and the rule it keeps. Out: a dataclass field, and one sentence on the
first option of a configuration that breaks its rule. So a wrong option is found when a generator is
made and not after its training.

    @dataclass(frozen=True)
    class NetConfig(Config):
        d_layers: tuple[int, ...] = wholes((128, 128), least=1)
        lr: float = positive(1e-3)
        draw: str = choice("softmax", "argmax")
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from math import inf
from typing import Any, NamedTuple

from foundations.checks import is_number, is_whole, require

RULE = "rule"  # key of a field's metadata


class Rule(NamedTuple):
    """When a value is good, and the words for it: "NAME must be WORDS, got VALUE"."""

    is_good: Callable[[Any], bool]
    words: str


@dataclass(frozen=True)
class Config:
    """Options of a generator; making one checks them.

    Raises: ValueError on the first option that breaks its rule.
    """

    def __post_init__(self) -> None:
        for option in fields(self):
            if RULE in option.metadata:
                rule = option.metadata[RULE]
                value = getattr(self, option.name)
                require(rule.is_good(value), option.name, rule.words, value)


def whole(default: int, *, least: int) -> Any:
    """A whole number of at least `least`."""
    rule = f"a whole number of at least {least}"
    return _option(default, lambda value: is_whole(value, least), rule)


def wholes(default: tuple[int, ...], *, least: int) -> Any:
    """One or more whole numbers of at least `least`."""

    def is_good(value: Any) -> bool:
        are_many = isinstance(value, list | tuple) and len(value) > 0
        return are_many and all(is_whole(part, least) for part in value)

    return _option(default, is_good, f"one or more whole numbers of at least {least}")


def positive(default: float) -> Any:
    """A finite number above 0."""
    return _number(default, lambda x: 0 < x < inf, "positive and finite")


def not_negative(default: float) -> Any:
    """A finite number of at least 0."""
    return _number(default, lambda x: 0 <= x < inf, "at least 0 and finite")


def share(default: float) -> Any:
    """A number from 0 to 1."""
    return _number(default, lambda x: 0 <= x <= 1, "in [0, 1]")


def share_below_one(default: float) -> Any:
    """A number of at least 0 and below 1."""
    return _number(default, lambda x: 0 <= x < 1, "in [0, 1)")


def truth(default: bool) -> Any:
    """True or False."""
    return _option(default, lambda value: isinstance(value, bool), "True or False")


def choice(default: str, *others: str) -> Any:
    """One of some names, of which the default is the first."""
    known = (default, *others)
    return _option(default, lambda value: value in known, " or ".join(known))


def _number(default: float, is_inside: Callable[[float], bool], words: str) -> Any:
    return _option(default, lambda value: is_number(value) and is_inside(value), words)


def _option(default: Any, is_good: Callable[[Any], bool], words: str) -> Any:
    return field(default=default, metadata={RULE: Rule(is_good, words)})
