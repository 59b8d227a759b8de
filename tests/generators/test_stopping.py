"""generators.stopping and the callback of `fit`: what it is told, and that true stops."""

import numpy as np
import pandas as pd
import pytest

import generators
from generators.likelihood import n_validation_rows
from generators.stopping import Patience
from tests.generators import contracts

RNG = np.random.default_rng(2)
TABLE = pd.DataFrame({"x": RNG.random(120), "c": RNG.choice(list("ab"), 120)})
GROUPED = pd.DataFrame(
    {"time": np.sort(RNG.random(240)) * 14, "x": RNG.random(240), "task": np.arange(240) // 8}
)


@pytest.mark.parametrize("name", contracts.LEARNED)
def test_a_callback_is_told_the_history_and_stops_the_run(name):
    told = []

    def callback(step, losses):
        told.append((step, losses))
        return step == 3

    model = contracts.fit(name, TABLE, steps=9, callback=callback)
    assert model.n_steps_ == 3
    terms = model.losses_.drop(columns="lr").to_dict("records")
    assert [{"step": step, **losses} for step, losses in told] == terms and len(told) == 3


def test_a_callback_that_returns_nothing_changes_nothing():
    told = []
    heard = contracts.fit("tabar", TABLE, steps=5, callback=lambda *news: told.append(news))
    assert len(told) == 5
    pd.testing.assert_frame_equal(
        heard.sample(20), contracts.fit("tabar", TABLE, steps=5).sample(20)
    )


def test_a_stopped_run_goes_on_from_its_checkpoint(tmp_path):
    options = dict(steps=6, checkpoint=tmp_path / "run")
    stopped = contracts.fit("tabar", TABLE, **options, callback=lambda step, losses: step == 4)
    whole = contracts.fit("tabar", TABLE, **options)
    assert (stopped.n_steps_, whole.n_steps_) == (4, 6)
    alone = contracts.fit("tabar", TABLE, steps=6)
    pd.testing.assert_frame_equal(whole.sample(20), alone.sample(20))


def test_both_parts_of_a_stream_are_told_of():
    told = []
    model = generators.make("grouped", d_trunk=8, d_head=8)
    model.fit(GROUPED, steps=3, progress=False, callback=lambda step, losses: told.append(step))
    assert told == [1, 2, 3, 1, 2, 3]


def test_a_callback_is_a_function():
    with pytest.raises(ValueError, match="callback must be a function of step and losses, got 5"):
        contracts.fit("smote", TABLE, callback=5)


def test_no_rows_are_held_out_where_none_are_asked_for():
    """Then the weights are the averaged ones of the last step, and there is no such loss."""
    model = contracts.make("tabar", validation=0.0).fit(TABLE, steps=4, progress=False)
    assert list(model.losses_) == ["step", "lr", "nll"]
    assert [n_validation_rows(n, 0.0) for n in (10, 120, 10**6)] == [0, 0, 0]
    assert n_validation_rows(120, 0.05) == 24


def test_patience_counts_the_steps_since_the_lowest_loss():
    patience = Patience(20, least=0.1)
    losses = [(10, 5.0), (20, 4.0), (30, 3.95), (40, 4.1), (10, 9.0), (20, 8.0), (30, 9.0)]
    stops = [patience(step, {"nll": 0.0, "validation": loss}) for step, loss in losses]
    assert stops == [False, False, False, True, False, False, False]
    patience = Patience(10)
    assert not patience(5, {"a": 1.0, "b": 1.0}) and patience(15, {"a": 1.0, "b": 2.0})


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((0,), "steps must be a whole number of at least 1, got 0"),
        ((5, -1.0), "least must be at least 0 and finite, got -1.0"),
    ],
)
def test_patience_is_a_number_of_steps(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        Patience(*arguments)
