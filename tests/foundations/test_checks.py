"""foundations.checks: what passes comes back as it came, and what does not is one sentence."""

import re

import numpy as np
import pytest

from foundations import checks


@pytest.mark.parametrize("value", [0, 7, np.int64(3), np.uint8(2)])
def test_whole_numbers_come_back_as_they_came(value):
    assert checks.whole("n", value) is value


@pytest.mark.parametrize("value", [True, np.True_, 1.0, "1", None, float("nan"), -1])
def test_what_is_not_whole_is_refused_in_one_sentence(value):
    with pytest.raises(
        ValueError, match=re.escape(f"n must be a whole number of at least 0, got {value!r}")
    ):
        checks.whole("n", value)


def test_bounds_of_whole_numbers_are_said():
    assert checks.whole("k", 3, least=1, most=3) == 3
    with pytest.raises(ValueError, match="k must be a whole number between 1 and 3, got 4"):
        checks.whole("k", 4, least=1, most=3)


@pytest.mark.parametrize("value", [2**64, -1, 1.5, True, "1", None])
def test_a_seed_is_what_every_generator_of_random_numbers_takes(value):
    assert checks.seed(2**64 - 1) == 2**64 - 1
    rule = r"seed must be a whole number of at least 0 and below 2\*\*64, got "
    with pytest.raises(ValueError, match=rule + re.escape(repr(value))):
        checks.seed(value)
    with pytest.raises(ValueError, match=r"below 2\*\*32, got 4294967296"):
        checks.seed(2**32, bits=32)


@pytest.mark.parametrize(
    ("bounds", "good", "bad", "rule"),
    [
        ({"above": 0}, 1e-9, 0, "positive and finite"),
        ({"least": 0}, 0, -1e-9, "at least 0 and finite"),
        ({"least": 0, "most": 1}, 1, 1.01, "at least 0 and at most 1"),
        ({"least": 0, "below": 1}, 0.99, 1, "at least 0 and below 1"),
    ],
)
def test_numbers_keep_to_their_range(bounds, good, bad, rule):
    assert checks.number("x", good, **bounds) == good
    for value in (bad, np.inf, np.nan, True, "1"):
        with pytest.raises(ValueError, match=re.escape(f"x must be {rule}, got {value!r}")):
            checks.number("x", value, **bounds)


def test_truths_are_truths_only():
    assert checks.truth("flag", np.False_) is False
    with pytest.raises(ValueError, match="flag must be True or False, got 1"):
        checks.truth("flag", 1)


def test_unknown_names_are_told_what_is_known():
    assert checks.known("rule", "a", ("a", "b")) == "a"
    for value in ("c", 3, None):
        with pytest.raises(ValueError, match=re.escape(f"unknown rule {value!r}; known: a, b")):
            checks.known("rule", value, ("a", "b"))
