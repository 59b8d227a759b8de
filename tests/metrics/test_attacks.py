"""metrics.attacks: copies give people away, honest tables do not, and each attack is as defined."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from metrics import evaluate
from metrics.attacks import (
    N_NEIGHBOURS,
    NAMES,
    count_matches,
    inference,
    linkability,
    people,
    risk,
    risk_at_least,
    singling_out,
    wilson,
)
from tests.metrics.test_membership import TRAIN, table

FRESH = table(3_000, 1)
MEMBERS, CONTROL = TRAIN.sample(600, random_state=0), FRESH[:600]


def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize(
    ("on_members", "on_control", "found"),
    [
        (1000, 0, 0.998),  # of a thousand tries each
        (1000, 1000, 0.0),
        (0, 0, 0.0),
        (300, 300, 0.0),
        (200, 500, 0.0),
        (600, 200, 0.5),
    ],
)
def test_risk_is_what_the_control_does_not_explain(on_members, on_control, found):
    hits = [np.arange(1000) < n for n in (on_members, on_control)]
    assert risk(*hits) == pytest.approx(found, abs=0.002)


@pytest.mark.parametrize("hits", [0, 1, 37, 199, 200])
def test_the_interval_is_wilsons(hits):
    found = wilson(np.arange(200) < hits)
    known = binomtest(hits, 200).proportion_ci(method="wilson")
    assert found == pytest.approx((hits / 200, known.low, known.high), abs=1e-12)


def test_the_least_risk_is_above_zero_as_often_as_its_level_says():
    """Of two equal rates one is found larger beyond chance in 2.5 of 100 tries."""
    draw = np.random.default_rng(0)
    for rate in (0.05, 0.5, 0.99):
        told = [risk_at_least(*(draw.random((2, 400)) < rate)) > 0 for _ in range(2_000)]
        assert 0.01 < np.mean(told) < 0.04
    assert 0.5 < risk_at_least(draw.random(2_000) < 0.8, draw.random(2_000) < 0.5) < 0.6


def test_a_predicate_is_counted_up_to_two():
    rows, rule = np.array([[1.0, 0], [2.0, 1], [3.0, 1], [3.0, 0]]), np.random.default_rng(0)
    chosen = np.array([[0, 1], [0, 1], [0, 1], [1, 0]])
    values = np.array([[2.0, 1], [2.0, 0], [1.0, 0], [1, 2.5]])
    sides = np.array([[1, 0], [-1, 0], [-1, 0], [0, -1]])
    assert count_matches(rows, chosen, values, sides).tolist() == [2, 1, 1, 1]
    big = rule.normal(size=(500, 4))
    chosen = np.array([rule.permutation(4)[:3] for _ in range(50)])
    values, sides = rule.normal(size=(50, 3)), rule.choice([-1, 1], (50, 3))
    plainly = [
        np.all((big[:, c] - v) * s >= 0, axis=1).sum()
        for c, v, s in zip(chosen, values, sides, strict=True)
    ]
    assert count_matches(big, chosen, values, sides).tolist() == np.minimum(plainly, 2).tolist()


def test_a_copy_gives_away_and_fresh_rows_do_not():
    copied, honest = (people(t, MEMBERS, CONTROL) for t in (TRAIN, FRESH[600:2_100]))
    assert linkability(copied, rng()) > 0.8 and linkability(honest, rng()) < 0.05
    (told, most), (guessed, worst) = inference(copied), inference(honest)
    assert told > 0.8 and most > 0.9 and guessed < 0.03 and worst < 0.03
    exposed = people(MEMBERS, MEMBERS, CONTROL)  # all that is unique in the copy is unique in them
    assert singling_out(exposed, rng()) > 0.9 and singling_out(honest, rng()) < 0.06


def test_linked_rows_are_those_near_in_both_halves():
    """By brute force, over the same halves."""
    who = people(TRAIN[:200], MEMBERS[:40], CONTROL[:40])
    order = rng().permutation(4)
    hits = []
    for asked in (who.members, who.control):
        near = []
        for half in (order[:2], order[2:]):
            cost = np.zeros((40, 200))
            for column in half:
                if column < 3:
                    gap = asked.numbers[:, None, column] - who.synthetic.numbers[None, :, column]
                    cost += gap**2
                else:
                    cost += asked.codes[:, None, 0] != who.synthetic.codes[None, :, 0]
            near.append(cost.argsort(1, kind="stable")[:, :N_NEIGHBOURS])
        hits.append(np.array([bool(set(a) & set(b)) for a, b in zip(*near, strict=True)]))
    assert linkability(who, rng()) == pytest.approx(risk(*hits), abs=0.06)  # ties in any order


def test_each_stands_beside_its_floor():
    copy = TRAIN.sample(frac=1, random_state=1)
    report = evaluate(TRAIN, copy, FRESH, only=["attacks"], n_seeds=1)
    assert list(report.synthetic.values) == list(NAMES)
    assert report.synthetic.values["worst inference risk"] > 0.8
    assert max(report.floor.values.values()) < 0.1
    one = pd.DataFrame({"x": np.arange(60.0)})
    alone = evaluate(one[:20], one[20:40], one[20:], only=["attacks"], target=None, n_seeds=1)
    assert np.isnan(alone.synthetic.values["linkability risk"])
