"""Checks of what a user gives: the value as it came, or one sentence with the rule and what came.

In: a name, a value, a range. Out: the value. Every refusal is a `ValueError` such as
`n must be a whole number of at least 1, got -3`. Truths are not numbers here: `True` is no 1.

    episodes = whole("episodes", episodes, least=1)
    rate = number("rate", rate, above=0)
    reward = known("reward", reward, MEASURES)
"""

from collections.abc import Iterable
from math import inf
from numbers import Real
from typing import Any

import numpy as np

SEED_BITS = 64  # torch's generators take no more
INTEGERS = (int, np.integer)  # looked up ten times as fast as the abstract numbers.Integral


def is_integer(value: Any) -> bool:
    """Whether a value is a whole number, of numpy or not; truths are not."""
    return isinstance(value, INTEGERS) and value is not True and value is not False


def is_whole(value: Any, least: float = -inf, most: float = inf) -> bool:
    """Whether a value is a whole number between two bounds, both allowed."""
    return is_integer(value) and least <= int(value) <= most


def is_number(value: Any) -> bool:
    """Whether a value is a real number; infinity and NaN are, truths are not."""
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_)


def whole(name: str, value: Any, least: int = 0, most: float = inf) -> Any:
    """A whole number of at least `least` and at most `most`."""
    rule = f"of at least {least}" if most == inf else f"between {least} and {most}"
    require(is_whole(value, least, most), name, f"a whole number {rule}", value)
    return value


def seed(value: Any, name: str = "seed", bits: int = SEED_BITS) -> Any:
    """A seed: a whole number of at least 0 that so many bits hold."""
    rule = f"a whole number of at least 0 and below 2**{bits}"
    require(is_whole(value, 0, 2**bits - 1), name, rule, value)
    return value


def number(
    name: str,
    value: Any,
    *,
    above: float | None = None,
    least: float | None = None,
    below: float | None = None,
    most: float | None = None,
) -> Any:
    """A finite number within the bounds given; `above` and `below` exclude, the others include."""
    good = is_number(value) and abs(value) < inf
    good = good and (above is None or value > above) and (least is None or value >= least)
    good = good and (below is None or value < below) and (most is None or value <= most)
    require(good, name, _range_in_words(above, least, below, most), value)
    return value


def positive(name: str, value: Any) -> Any:
    """A finite number above 0."""
    return number(name, value, above=0)


def truth(name: str, value: Any) -> bool:
    """True or False, numpy's too."""
    require(isinstance(value, bool | np.bool_), name, "True or False", value)
    return bool(value)


def known(what: str, value: Any, names: Iterable[str | None]) -> Any:
    """One of the names that are known; None where it is one of them."""
    names = list(names)
    if not any(value is name or (isinstance(value, str) and value == name) for name in names):
        raise ValueError(f"unknown {what} {value!r}; known: {', '.join(map(str, names))}")
    return value


def require(is_good: Any, name: str, rule: str, value: Any) -> None:
    """Raise `NAME must be RULE, got VALUE` unless it is good."""
    if not is_good:
        raise ValueError(f"{name} must be {rule}, got {value!r}")


def _range_in_words(
    above: float | None, least: float | None, below: float | None, most: float | None
) -> str:
    if above == 0 and below is most is None:
        return "positive and finite"
    bounds = [(above, "above"), (least, "at least"), (below, "below"), (most, "at most")]
    words = [f"{word} {bound:g}" for bound, word in bounds if bound is not None]
    if below is most is None:
        words.append("finite")
    return " and ".join(words)
