"""The simulator against the same world built of SimPy's processes."""

import ast
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pandaenv.scenarios import Troubles
from pandaenv.simulator import Simulator
from pandaenv.simulator.draws import PAYLOAD_SHARE
from pandaenv.simulator.state import NONE, copies_of
from tests.pandaenv.simulator.grids import jobs, random_others, sites
from tests.pandaenv.simulator.simpy_world import Chance, World
from tests.pandaenv.simulator.twin import uniform

STAGES = ("submit", "ready", "first_start", "start", "end")
FAILED_OF_ITSELF = ("closed", "cancelled")


def tieless_world(rng, n_sites, n_jobs, every_s):
    """A crowded world of continuous quantities: (catalogue, jobs, troubles, actions)."""
    closeness = np.triu(rng.integers(1, 8, (n_sites, n_sites)), 1)
    fails_after = rng.choice([np.inf, 5.0], n_sites, p=[0.8, 0.2])
    n_cores = np.where(fails_after < np.inf, 1, rng.integers(1, 7, n_sites))  # no ties
    catalogue = sites(
        n_cores, rng.uniform(2, 20, n_sites),
        failure_rate=rng.choice([0.0, 0.2, 0.7], n_sites),
        ingress=rng.uniform(1e7, 1e9, n_sites), closeness=closeness + closeness.T,
        disk=rng.choice([0.0, 5e9, 2e10, 1e11], n_sites),
    )  # fmt: skip
    replicas = rng.random((5, n_sites)) < 0.3
    replicas[np.arange(5), rng.integers(0, n_sites, 5)] = True
    span = n_jobs * every_s
    stream = jobs(
        np.sort(rng.uniform(0, span, n_jobs)), rng.lognormal(6, 1.5, n_jobs), replicas,
        cores=rng.choice([1, 1, 1, 2, 4], n_jobs),
        nbytes=rng.choice([0.0, 1.0], n_jobs, p=[0.1, 0.9]) * rng.lognormal(20, 1, n_jobs),
        dataset=rng.integers(0, 5, n_jobs),
        status=rng.choice(4, n_jobs, p=[0.7, 0.2, 0.05, 0.05]),
    )  # fmt: skip
    outages = np.cumsum(rng.exponential(span / 4, (n_sites, 6)), axis=1)
    begin = rng.uniform(0, span, n_sites)
    slow = np.stack(
        [begin, begin + rng.exponential(span / 2, n_sites), rng.choice([0.05, 0.5, 1.0], n_sites)],
        axis=1,
    )
    begin = rng.uniform(0, span)
    surge = (begin, begin + rng.exponential(span / 8), rng.choice([1.0, 2.0, 5.0]))
    troubles = Troubles(outages, slow, fails_after, surge)
    return catalogue, stream, troubles, rng.integers(-1, n_sites, n_jobs)


def chance(seed, stream):
    """The hash that the simulator documents, asked by plain Python integers."""

    def payload(i):
        recorded = ("finished", "failed", *FAILED_OF_ITSELF)[stream.status[i]]
        fails = recorded == "failed" and uniform(seed, i, 0, 2) < PAYLOAD_SHARE
        return fails or recorded in FAILED_OF_ITSELF

    return Chance(
        attempt=lambda i, attempt: uniform(seed, i, attempt, 0),
        cut=lambda i, attempt: uniform(seed, i, attempt, 1) ** 2,
        payload=payload,
    )


def assert_same(catalogue, stream, troubles, actions, seed, **options):
    world = World(catalogue, stream, actions, troubles, chance(seed, stream), **options)
    simulator = Simulator(catalogue, stream, seed=seed, troubles=troubles, **options)
    log = simulator.replay(actions).drain().log()
    assert log["state"].tolist() == [job.state for job in world.placed]
    assert log["attempts"].tolist() == [job.attempts for job in world.placed]
    assert simulator.worlds.job[0]["source"].tolist() == [job.source for job in world.placed]
    copies = [copy for site in world.sites for copy in site.cache.copies.values()]
    kept = copies_of(simulator.worlds, 0)
    assert sorted(kept["nbytes"].tolist()) == sorted(n for n, _ in copies)
    for name in STAGES:
        expected = [getattr(job, name) for job in world.placed]
        np.testing.assert_allclose(log[name], expected, rtol=1e-9, err_msg=name)
    return log


def test_the_model_in_simpy_imports_nothing_of_ours():
    tree = ast.parse((Path(__file__).parent / "simpy_world.py").read_text())
    modules = [n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    modules += [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
    assert set(modules) == {"math", "collections", "contextlib", "dataclasses", "simpy"}


@settings(max_examples=120, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32),
    n_sites=st.integers(1, 5),
    n_jobs=st.integers(1, 60),
    every_s=st.sampled_from([1.0, 10.0, 100.0]),
    backfill=st.booleans(),
    with_others=st.booleans(),
)
def test_agrees_with_simpy_event_for_event(seed, n_sites, n_jobs, every_s, backfill, with_others):
    rng = np.random.default_rng(seed)
    world = tieless_world(rng, n_sites, n_jobs, every_s)
    others = random_others(rng, *world[:2], whole=False) if with_others else None
    assert_same(*world, seed, backfill=backfill, others=others)


@pytest.mark.parametrize("seed", range(3))
def test_a_long_crowded_run_agrees_with_simpy_and_shows_every_fate(seed):
    rng = np.random.default_rng(seed)
    world = tieless_world(rng, 4, 4000, 30.0)
    others = random_others(rng, *world[:2], whole=False) if seed == 2 else None
    log = assert_same(*world, seed, others=others)
    assert set(log["state"]) == {"finished", "failed", "lost", "rejected"}
    assert (log["attempts"] == 2).any() and log["source"].notna().any()
    assert (log["start"] > log["ready"]).mean() > 0.1
    catalogue, stream, _, actions = world
    held = stream.replicas[stream.dataset]
    source = np.array([NONE if pd.isna(n) else catalogue.index(n) for n in log["source"]])
    is_remote = (actions >= 0) & ~held[np.arange(4000), actions] & (stream.nbytes > 0)
    assert (is_remote & (source == NONE) & (log["state"] != "rejected")).sum() > 50  # copies here
    assert ((source != NONE) & ~held[np.arange(4000), source]).sum() > 10  # copies elsewhere
