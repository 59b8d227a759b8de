"""`information_delay=`: what is known of the sites is what was there that long ago."""

import numpy as np
import pytest

from pandaenv import policies
from pandaenv.env import TaskConfig
from pandaenv.env.observation import N_GRID, N_JOB, make_view, observe
from pandaenv.policies import planner
from pandaenv.policies.estimates import expected_wait, transfer_time
from pandaenv.policies.readings import N_READINGS
from pandaenv.scenarios import Scenario
from pandaenv.simulator.state import recent_failure_share

ROUGH = Scenario(outage_every_s=86_400.0, outage_length_s=36_000.0)
LAGS, PRESENT = [0, 1, 2, 3, 7], [4, 5, 6]
"""Columns of sites."""
MANY_CORES = 10**6


class Plainly:
    """Keeps what a first look shows at arrivals, and says which of it is known by now."""

    def __init__(self, env, delay):
        self.env, self.delay, self.kept = env.unwrapped, delay, []

    def look(self):
        """The reading that is known and what a first look shows now."""
        e = self.env
        now = float(e.worlds.world[0]["now"])
        view = make_view(1, 13)
        observe(e.grid, e.worlds, 0, e.episodes.rules, view)
        if not self.kept or now - self.kept[-1][0] >= self.delay / N_READINGS:
            wait = [
                expected_wait(e.grid, e.worlds, 0, s, MANY_CORES, False, np.inf) for s in range(13)
            ]
            self.kept.append((now, view, e.worlds.site[0].copy(), np.array(wait)))
        old = [kept for kept in self.kept if kept[0] <= now - self.delay]
        return (old or self.kept[:1])[-1], view


def parts(view):
    flat = view.flat[0]
    return flat[:N_JOB], flat[N_JOB:-N_GRID].reshape(13, 8), flat[-N_GRID:]


@pytest.mark.parametrize("background", ["none", "busy"])
@pytest.mark.parametrize("delay", [600.0, 20_000.0])
def test_an_agent_sees_the_sites_of_then_and_all_else_of_now(make, delay, background):
    env = make(information_delay=delay, scenario=ROUGH, background=background)
    rng, plainly = np.random.default_rng(0), Plainly(env, delay)
    env.reset(seed=3)
    n_stale = 0
    for _ in range(299):
        (_, old, _, _), present = plainly.look()
        e = env.unwrapped
        job, sites, grid = parts(e.episodes.view)
        then, now = parts(old), parts(present)
        assert job.tobytes() == now[0].tobytes()
        assert sites[:, LAGS].tobytes() == then[1][:, LAGS].tobytes()
        assert sites[:, PRESENT].tobytes() == now[1][:, PRESENT].tobytes()
        assert (
            grid[1] == now[2][1]
            and grid[[0, 2, 3, 4, 5]].tolist() == then[2][[0, 2, 3, 4, 5]].tolist()
        )
        index = e.worlds.job[0, int(e.worlds.world[0]["next"])]["index"]
        allowed = old.is_open[0] & (e.grid.stream[index]["cores"] <= e.grid.sites["cores"])
        if allowed.any():
            assert e.mask.tolist() == allowed.astype(int).tolist()
        n_stale += present.flat.tobytes() != e.episodes.view.flat.tobytes()
        env.step(int(rng.choice(np.flatnonzero(e.mask))))
    assert n_stale > 250


@pytest.mark.parametrize("name", ["least_loaded", "greedy"])
def test_rules_go_by_what_is_known(make, name):
    env = make(information_delay=5_000.0, scenario=ROUGH, load=0.8)
    rule, plainly = policies.make(name), Plainly(env, 5_000.0)
    env.reset(seed=1)
    rule.reset(1)
    n_other = 0
    for _ in range(300):
        (_, _, site, wait), _ = plainly.look()
        e = env.unwrapped
        if name == "least_loaded":
            cost = (site["moving"] + site["queued"] + site["running"] + 1) / e.grid.sites["usual"]
        else:
            its = e.grid.stream[e.worlds.job[0, int(e.worlds.world[0]["next"])]["index"]]
            moved = [transfer_time(e.grid, e.worlds, 0, s) for s in range(13)]
            failing = np.array([recent_failure_share(one) for one in site])
            is_free = (site["queued"] == 0) & (its["cores"] <= site["free"])
            run = its["estimate"] * 1e-3 / (its["cores"] * e.grid.sites["power"]) / (1 - failing)
            cost = np.maximum(moved, np.where(is_free, 0, wait)) + run
        chosen = rule.act(env)
        assert chosen == np.where(e.mask > 0, cost, np.inf).argmin()
        n_other += chosen != int(e.mask.argmax())
        env.step(chosen)
    assert n_other > 0


@pytest.mark.parametrize("name", policies.names())
def test_every_rule_plays_and_rewards_add_up_to_minus_the_flow_time(make, name):
    totals = []
    for reward in ("flow_time", "accrued"):
        env = make(information_delay=3_600.0, reward=reward)
        totals.append(sum(step.reward for step in policies.steps(env, policies.make(name), seed=2)))
    flow, accrued = totals
    assert flow == pytest.approx(accrued, rel=1e-9)


def test_a_planner_refuses_news_that_take_time(make):
    env, plan = make(information_delay=60.0), planner.Planner()
    env.reset(seed=0)
    plan.reset(0)
    with pytest.raises(ValueError, match="needs information_delay=0, got an environment of 60 s"):
        plan.act(env)


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), "1h", None])
def test_a_delay_is_a_number_of_seconds(value):
    with pytest.raises(ValueError, match="information_delay must be .*got"):
        TaskConfig(information_delay=value)
