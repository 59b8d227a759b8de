"""What every generator promises, as checks a test runs over whatever stands in the registry."""

import tempfile

import numpy as np
import pandas as pd
import pytest
import torch

import generators

SMALL = {
    "tvae": {"d_layers": (16,), "d_latent": 4, "batch_size": 128},
    "ctabganplus": {"n_channels": 2, "d_downstream": (8,), "batch_size": 64},
    "tabddpm": {"d_trunk": 16, "d_head": 8, "batch_size": 128},
    "tabddpm-uniform": {"d_layers": (16,), "n_cells": 4, "batch_size": 128, "steps": 6},
    "tabar": {"d_trunk": 16, "d_head": 8, "batch_size": 128},
}
ALL = (*generators.names(), "tabddpm-uniform")
LEARNED = tuple(name for name in ALL if name != "smote")


def make(name, **options):
    """An untrained generator of a size for tests; a name is NAME or NAME-PROCESS."""
    registered, _, process = name.partition("-")
    own = {"process": process} if process else {}
    return generators.make(registered, **{**SMALL.get(name, {}), **own, **options})


def fit(name, table, **options):
    """The same, fitted in a few steps."""
    return make(name).fit(table, progress=False, **{"steps": 4, **options})


def assert_like(sample, table, n):
    """n rows with the columns, dtypes, ranges and categories of the table."""
    assert len(sample) == n and list(sample.columns) == list(table.columns)
    assert (sample.dtypes == table.dtypes).all()
    assert not sample.isna()[table.columns[table.notna().all()]].any().any()
    assert isinstance(sample.index, pd.RangeIndex)
    for column in table if n else ():
        seen, drawn = table[column].dropna(), sample[column].dropna()
        if seen.dtype.kind in "mM":
            assert drawn.min() >= seen.min() and drawn.max() <= seen.max(), column
        elif not len(seen):
            assert not len(drawn), column
        elif pd.api.types.is_numeric_dtype(seen) and not pd.api.types.is_bool_dtype(seen):
            assert drawn.min() >= seen.min() and drawn.max() <= seen.max(), column
            assert np.isfinite(drawn.to_numpy(np.float64)).all(), column
        else:
            known = {(type(v), v) for v in seen}
            assert {(type(v), v) for v in drawn} <= known, column


def assert_contract(name, table, n=33, steps=2):
    """Fit and sample: schema, ranges, input untouched, determinism, and save and load alike."""
    before = table.copy(deep=True)
    model = fit(name, table, steps=steps, seed=3)
    pd.testing.assert_frame_equal(table, before, check_exact=True)
    sample = model.sample(n, seed=1)
    assert_like(sample, table, n)
    assert_like(model.sample(0), table, 0)
    pd.testing.assert_frame_equal(sample, model.sample(n, seed=1), check_exact=True)
    again = fit(name, table, steps=steps, seed=3).sample(n, seed=1)
    pd.testing.assert_frame_equal(sample, again, check_exact=True)
    with tempfile.TemporaryDirectory() as folder:
        loaded = generators.load(model.save(folder))
    pd.testing.assert_frame_equal(sample, loaded.sample(n, seed=1), check_exact=True)


def stopping(kind, at, count=None):
    """The class of a model whose training is interrupted before step `at`.

    Steps are counted from the start of each training, or on in the list `count`.
    """

    class Stopping(kind):
        def _train(self, learner, plan, pace):
            step, done = learner.step, [] if count is None else count

            def until_then(*arguments):
                done.append(1)
                if len(done) > at:
                    raise KeyboardInterrupt
                return step(*arguments)

            learner.step = until_then
            super()._train(learner, plan, pace)

    return Stopping


def assert_resumes(make_model, table, checkpoint, steps, stop):
    """Stopped before step `stop` and resumed, the weights, losses and samples are the same."""
    options = dict(steps=steps, seed=3, progress=False)
    whole = make_model().fit(table, **options)
    options |= dict(checkpoint=checkpoint, every=0.0)
    dying = make_model()
    dying.__class__ = stopping(type(dying), stop)
    with pytest.raises(KeyboardInterrupt):
        dying.fit(table, **options)
    resumed = make_model().fit(table, **options)
    for a, b in zip(whole.net_.parameters(), resumed.net_.parameters(), strict=True):
        assert torch.equal(a, b)
    pd.testing.assert_frame_equal(whole.sample(50, seed=1), resumed.sample(50, seed=1))
    assert whole.losses_.equals(resumed.losses_)
