import numpy as np
import pytest

from pandaenv.env.measures import ACCRUED, FLOW_TIME, LOSS, SLOWDOWN, TAU_S, WAIT
from pandaenv.env.observation import N_JOB
from pandaenv.env.reward import step
from pandaenv.env.rules import Rules
from pandaenv.scenarios import untroubled
from pandaenv.simulator import Simulator, advance, apply_troubles
from pandaenv.simulator.forecast import make_plans
from pandaenv.simulator.reset import reset_world
from pandaenv.simulator.state import make_grid, make_worlds
from tests.pandaenv.simulator.grids import jobs, random_grid, random_troubles, sites, tiny_grid


class Rig:
    """One world with a scratch world beside it, and what each step paid.

    room: attempts that may be planned at each site; 0 projects every placement from scratch.
    """

    def __init__(
        self,
        catalogue,
        stream,
        *,
        seed=0,
        outages=None,
        first_own=0,
        unit=100.0,
        room=None,
        backfill=False,
        troubles=None,
        others=None,
    ):
        if troubles is None:
            outages = np.full((catalogue.n_sites, 0), np.inf) if outages is None else outages
            troubles = untroubled(catalogue.n_sites)._replace(outages=outages)
        outages = troubles.outages
        self.grid = make_grid(catalogue, stream, others=others)
        n = len(stream)
        self.worlds = make_worlds(2, catalogue.n_sites, n, outages.shape[1], 1, n)
        reset_world(self.grid, self.worlds, 0, 0, len(stream), first_own, np.uint64(seed))
        self.worlds.world["backfill"] = backfill
        apply_troubles(self.worlds, 0, troubles)
        self.plans = make_plans(1, self.grid.sites["most"], room=room)
        self.unit = unit

    def play(self, actions, measure=FLOW_TIME, wait_limit=0.0, byte_limit=0.0):
        rewards, costs, cost = [], [], np.zeros(4)
        rules = Rules(
            measure, self.unit, wait_limit, byte_limit, 1.0, np.zeros((0, N_JOB), np.float32)
        )
        for action in actions:
            rewards.append(step(self.grid, self.worlds, self.plans, 0, 1, int(action), rules, cost))
            costs.append(cost.tolist())
        self.costs = np.array(costs)
        return np.array(rewards)

    def ended(self):
        """Job states once the world has run dry."""
        advance(self.grid, self.worlds, 0, np.inf)
        return self.worlds.job[0]


def total(job, unit, first_own=0):
    """Summed normalised flow time, losses included, of the agent's jobs."""
    own = job[first_own:]
    lost = np.isin(own["state"], (6, 7))
    return ((own["end"] - own["submit"]) / unit + LOSS * lost).sum()


def test_rewards_of_tiny_grid_are_those_worked_out_by_hand():
    # unit 100 s. job 0: flow 100. job 1: ready 40, runs 100-140: flow 130. job 2: runs 100-120,
    # flow 100, and pushes job 1 to 120-160: 20 more. job 3: 30-95, flow 65
    rewards = Rig(*tiny_grid()).play([0, 0, 0, 1])
    assert rewards == pytest.approx([-1.0, -1.3, -1.2, -0.65], rel=1e-12)


def test_other_measures_of_tiny_grid():
    # waits before the start: 0, 90, 80 (+ 20 for job 1), 5
    assert Rig(*tiny_grid()).play([0, 0, 0, 1], WAIT) == pytest.approx([0, -0.9, -1.0, -0.05])
    # flow 100, 130, 100 (+ 20), 65, all runs shorter than 600 s
    slow = Rig(*tiny_grid()).play([0, 0, 0, 1], SLOWDOWN)
    assert TAU_S == 600 and slow == pytest.approx([-1, -1, -1, -1])
    # job-seconds between arrivals: 10, 20, 30, then the rest
    paid = Rig(*tiny_grid()).play([0, 0, 0, 1], ACCRUED)
    assert paid == pytest.approx([-0.1, -0.2, -0.3, -(415 - 60) / 100])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("first_own", [0, 150])
@pytest.mark.parametrize("backfill", [False, True])
def test_return_is_minus_the_total_flow_time_whatever_happens(seed, first_own, backfill):
    rng = np.random.default_rng(seed)
    catalogue, stream, outages = random_grid(rng, 4, 600, every_s=40.0)
    troubles = random_troubles(rng, outages)
    options = {"troubles": troubles, "first_own": first_own, "backfill": backfill}
    rig = Rig(catalogue, stream, seed=seed, **options)
    rewards = rig.play(rng.integers(-1, 4, len(stream)))
    job = rig.ended()
    assert {4, 5, 6, 7} <= set(job["state"]) and (job["attempts"] > 1).any()
    waiting = job[job["state"] < 7]
    overtaken = waiting[np.argsort(waiting["submit"], kind="stable")]
    assert (np.diff(overtaken["ready"]) < 0).any()
    assert -rewards[first_own:].sum() == pytest.approx(total(job, 100.0, first_own), rel=1e-9)
    per_job = (job["end"] - job["submit"]) / 100.0 + LOSS * np.isin(job["state"], (6, 7))
    np.testing.assert_allclose(job["value"][first_own:], per_job[first_own:], rtol=1e-9)
    assert (job["value"][:first_own] == 0).all()


@pytest.mark.parametrize("seed", range(3))
def test_accrued_pays_the_same_total_later(seed):
    rng = np.random.default_rng(seed)
    catalogue, stream, outages = random_grid(rng, 3, 300, every_s=40.0)
    actions = rng.integers(0, 3, len(stream))
    returns = []
    for measure in (FLOW_TIME, ACCRUED):
        rig = Rig(catalogue, stream, seed=seed, outages=outages, first_own=50)
        returns.append(rig.play(actions, measure)[50:].sum())
    assert returns[1] == pytest.approx(returns[0], rel=1e-9)


@pytest.mark.parametrize("measure", [SLOWDOWN, WAIT])
def test_other_projected_rewards_add_up_too(measure):
    rng = np.random.default_rng(1)
    catalogue, stream, outages = random_grid(rng, 4, 400, every_s=40.0)
    rig = Rig(catalogue, stream, outages=outages)
    rewards = rig.play(rng.integers(-1, 4, len(stream)), measure)
    job = rig.ended()
    ran = job["state"] != 7
    value = LOSS * np.isin(job["state"], (6, 7)) + (measure == SLOWDOWN)
    flow, length = (job["end"] - job[name] for name in ("submit", "start"))
    if measure == WAIT:
        value[ran] += ((flow - length) / 100.0)[ran]
    else:
        value[ran] += np.maximum(flow / np.maximum(length, TAU_S), 1.0)[ran] - 1.0
    assert -rewards.sum() == pytest.approx(value.sum(), rel=1e-9)


def test_looking_ahead_changes_nothing():
    rng = np.random.default_rng(3)
    catalogue, stream, outages = random_grid(rng, 4, 400)
    actions = rng.integers(0, 4, len(stream))
    rig = Rig(catalogue, stream, seed=8, outages=outages)
    rig.play(actions)
    plain = Simulator(catalogue, stream, seed=8, outages=outages).replay(actions).drain()
    job, expected = rig.ended(), plain.worlds.job[0]
    for name in job.dtype.names:
        if name != "value":
            np.testing.assert_array_equal(job[name], expected[name])


def test_failing_fast_never_pays():
    stream = jobs(np.arange(0.0, 1000, 10), np.full(100, 1000.0), [[True] * 3])
    catalogue = sites([4, 4, 1], [10, 1, 10], failure_rate=[0.9999, 0.0, 0.0])
    returns = [Rig(catalogue, stream).play(np.full(100, s)).sum() for s in (0, 1)]
    assert returns[0] < -9 * 100
    healthy = Rig(sites([4, 4, 1], [10, 10, 10]), stream).play(np.full(100, 1)).sum()
    assert returns[0] < healthy
    rejected = Rig(catalogue, stream).play(np.full(100, -1))
    assert (rejected == -LOSS).all()


def test_costs_are_the_limits_a_placement_breaks():
    # job 1 waits in the queue from 40 to 100 and moves 3000 bytes, job 3 moves 5000
    rig = Rig(*tiny_grid())
    rig.play([0, 0, 0, 1], wait_limit=59.0, byte_limit=3000.0)
    assert rig.costs.tolist() == [[0, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]]
    rig = Rig(*tiny_grid())
    rig.play([0, 0, -1, 0], wait_limit=60.0, byte_limit=2999.0)
    assert rig.costs.tolist() == [[0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 1]]


def test_a_job_that_will_be_lost_costs_when_it_is_placed():
    catalogue = sites([1], [10], failure_rate=0.999999)
    rig = Rig(catalogue, jobs([0, 1], [1000, 1000], [[True]]))
    rig.play([0, 0], wait_limit=1e9)
    assert rig.costs.tolist() == [[0, 0, 1, 0], [0, 0, 1, 0]]
