import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded

import pandaenv  # noqa: F401  registers the environments
from pandaenv.policies import broker_floor, make, mark_allowed, names, warm_up
from pandaenv.policies.choices import (
    Broker,
    Known,
    choose_each,
    earliest_finish,
    least_loaded,
    make_workspace,
)
from pandaenv.policies.estimates import expected_finish
from pandaenv.scenarios import Scenario
from pandaenv.simulator import Simulator, advance_to_arrival
from pandaenv.workload import Trace
from tests.pandaenv.simulator.grids import jobs, random_grid, records, sites

ID = "PandaSiteAllocationTier1-v0"
ROUGH = Scenario(outage_every_s=86_400.0, outage_length_s=7_200.0)


def mask_of(simulator: Simulator, cap_floor: float = 1.0) -> list[int]:
    mask = np.full(simulator.catalogue.n_sites, 9, np.int8)
    mark_allowed(simulator.grid, simulator.worlds, 0, cap_floor, mask)
    return mask.tolist()


def crowded(n_running: int, n_waiting: int, *, outages=None, cores=1) -> Simulator:
    """Sites 0, 1 (n_running cores) and 2 (8 cores); site 0 busy, n_waiting more wait there."""
    n = n_running + n_waiting
    catalogue = sites([n_running, n_running, 8], [1.0] * 3)
    stream = jobs(np.arange(n + 1.0), np.full(n + 1, 1e6), [[True] * 3], cores=[1] * n + [cores])
    return Simulator(catalogue, stream, outages=outages).replay(np.zeros(n, int))


def test_a_site_over_the_brokers_cap_is_masked():
    assert mask_of(crowded(4, 8)) == [1, 1, 1]
    assert mask_of(crowded(4, 9)) == [0, 1, 1]
    assert mask_of(crowded(4, 9), cap_floor=5.0) == [1, 1, 1]


def test_a_site_with_too_few_cores_is_masked():
    assert mask_of(crowded(4, 0, cores=8)) == [0, 0, 1]
    assert mask_of(crowded(4, 0, cores=9)) == [1, 1, 1]  # nobody has them: it is lost anywhere


def test_a_site_that_is_down_is_masked():
    outages = np.array([[np.inf, np.inf], [2.0, 1e9], [np.inf, np.inf]])
    assert mask_of(crowded(4, 0, outages=outages)) == [1, 0, 1]


def test_where_nothing_is_left_first_the_cap_then_the_outage_is_lifted():
    catalogue = sites([1, 1], [1.0, 1.0])
    stream = jobs(np.arange(9.0), np.full(9, 1e6), [[True, True]])
    full = np.array([0, 1] * 4)
    assert mask_of(Simulator(catalogue, stream).replay(full)) == [1, 1]
    down = np.array([[6.5, 1e9], [np.inf, np.inf]])
    assert mask_of(Simulator(catalogue, stream, outages=down).replay(full)) == [0, 1]
    down = np.array([[6.5, 1e9], [6.5, 1e9]])
    assert mask_of(Simulator(catalogue, stream, outages=down).replay(full)) == [1, 1]


def test_after_the_last_job_all_sites_are_marked():
    simulator = crowded(4, 9)
    simulator.place(1)
    assert mask_of(simulator) == [1, 1, 1]


def test_least_loaded_counts_this_job_and_prefers_the_larger_site():
    simulator = crowded(4, 0)  # 4 of 4, 0 of 4, 0 of 8
    ones = np.ones(3, np.int8)
    assert least_loaded(simulator.grid, simulator.worlds, 0, ones) == 2
    assert least_loaded(simulator.grid, simulator.worlds, 0, np.array([1, 1, 0], np.int8)) == 1
    assert least_loaded(simulator.grid, simulator.worlds, 0, np.array([1, 0, 0], np.int8)) == 0


def test_the_analysis_rule_sends_jobs_to_their_data_and_away_from_queues():
    rng = np.random.default_rng(0)
    catalogue, stream, _ = random_grid(rng, 5, 400, failures=False, every_s=400.0)
    simulator = Simulator(catalogue, stream)
    warm_up(simulator.grid, simulator.worlds, 0, 400, 20.0)
    log = simulator.drain().log()
    ran = log["state"] != "rejected"
    placed = np.array([catalogue.index(s) for s in log["site"][ran]])
    local = stream.replicas[stream.dataset[ran], placed]
    fits = (stream.cores[:, None] <= catalogue.cores) & stream.replicas[stream.dataset]
    possible = fits.any(axis=1)[ran]
    assert local[possible].mean() > 0.95
    assert log["site"].nunique() == 5


def test_warming_up_is_the_same_every_time():
    runs = []
    for _ in range(2):
        catalogue, stream, _ = random_grid(np.random.default_rng(0), 5, 300)
        simulator = Simulator(catalogue, stream, seed=3)
        warm_up(simulator.grid, simulator.worlds, 0, 300, 2.0)
        runs.append(simulator.worlds.job[0].tobytes())
    assert runs[0] == runs[1]


def test_the_cap_floor_shrinks_with_the_grid_but_not_below_one():
    assert broker_floor(1.0) == 20 and broker_floor(0.1) == 2 and broker_floor(1e-4) == 1


def test_make_knows_its_names_and_lists_them():
    assert names()[0] == "random" and len(set(names())) == 9
    assert [make(name).name for name in names()] == list(names())
    with pytest.raises(ValueError, match="unknown policy 'nope'; known: random, round_robin"):
        make("nope")


# Rules, single and batched


@pytest.fixture(scope="module")
def options():
    return {"workload": Trace(records()), "rate": 800, "episode_jobs": 120, "load": 0.8}


@pytest.mark.parametrize("name", names())
def test_a_batch_chooses_what_single_policies_choose(options, name):
    n, seed = 3, 5
    envs = gym.make_vec(ID, num_envs=n, scenario=ROUGH, **options)
    envs.reset(seed=seed)
    policy = make(name)
    policy.reset(range(seed, seed + n))
    singles = [gym.make(ID, scenario=ROUGH, **options) for _ in range(n)]
    alone = [make(name) for _ in range(n)]
    for i in range(n):
        singles[i].reset(seed=seed + i)
        alone[i].reset(seed + i)
    for _ in range(120):
        actions = policy.act_all(envs)
        assert actions.tolist() == [p.act(e) for p, e in zip(alone, singles, strict=True)]
        masks = envs.unwrapped.action_masks()
        assert masks[np.arange(n), actions].all()
        for env, action in zip(singles, actions, strict=True):
            env.step(action)
        *_, info = envs.step(actions)
        assert (info["cost_rejected"] == 0).all()
    assert policy.act_all(envs).tolist() == [0] * n  # no job waits


def test_a_policy_refuses_what_is_no_seed():
    for seed in ("a", -1, 1.5, ["a"]):
        with pytest.raises(ValueError, match="seed must be a whole number of at least 0, or one"):
            make("random").reset(seed)


def test_a_policy_needs_a_seed_for_each_world(options):
    envs = gym.make_vec(ID, num_envs=2, **options)
    envs.reset(seed=0)
    policy = make("random")
    policy.reset(0)
    with pytest.raises(ValueError, match="one seed a world"):
        policy.act_all(envs)
    with pytest.raises(ValueError, match=r"one seed a world \(2, got 0\)"):
        make("random").act_all(envs)


def test_a_policy_needs_an_environment_that_was_reset(options):
    policy = make("random")
    policy.reset(0)
    with pytest.raises(ResetNeeded, match="no job to place: call reset"):
        policy.act(gym.make(ID, **options))


def test_random_numbers_are_those_of_the_generator_one_by_one(options):
    env = gym.make(ID, **options)
    env.reset(seed=0)
    policy, rng = make("random"), np.random.default_rng(3)
    policy.reset(3)
    mask = np.flatnonzero(env.unwrapped.mask)
    expected = [mask[int(rng.random() * len(mask))] for _ in range(600)]
    assert [policy.act(env) for _ in range(600)] == expected


def chosen(name: str, simulator: Simulator, mask=None, seed=0) -> int:
    """What a rule chooses for the next job of a simulator."""
    n = simulator.catalogue.n_sites
    advance_to_arrival(simulator.grid, simulator.worlds, 0)
    out = np.full(1, -1)
    masks = np.ones((1, n), np.int8) if mask is None else np.array([mask], np.int8)
    known = Known(simulator.catalogue.closeness, simulator.jobs.nfiles, simulator.jobs.site)
    u = np.random.default_rng(seed).random(1)
    rule = names().index(name)
    broker = Broker(rule, 1.0, known, make_workspace(simulator.catalogue.n_sites))
    choose_each(simulator.grid, simulator.worlds, broker, masks, u, out)
    return int(out[0])


def test_round_robin_goes_round_the_allowed_sites(options):
    env = gym.make(ID, **options)
    env.reset(seed=0)
    policy = make("round_robin")
    policy.reset(0)
    n = int(env.action_space.n)
    mask = env.unwrapped.mask
    mask[[0, 3]] = 0
    assert [policy.act(env) for _ in range(n)] == [s for s in range(n) if s not in (0, 3)] + [1, 2]


def test_data_local_takes_the_least_loaded_holder_else_the_fastest_transfer():
    stream = jobs([0, 1, 2], [1e6] * 3, [[True, True, False]], nbytes=[0, 0, 1e9])
    grid = sites([2, 8, 8], [1.0] * 3, closeness=np.array([[0, 3, 6], [3, 0, 1], [6, 1, 0]]))
    simulator = Simulator(grid, stream).replay(np.array([1, 1]))
    assert chosen("data_local", simulator) == 1  # 3 / 8 against 1 / 2
    assert chosen("data_local", simulator, [1, 0, 1]) == 0
    assert chosen("data_local", simulator, [0, 0, 1]) == 2


def test_recorded_takes_the_recorded_site_or_its_nearest_neighbour():
    stream = jobs([0], [1.0], [[True] * 3])
    grid = sites([8, 8, 8], [1.0] * 3, closeness=np.array([[0, 6, 1], [6, 0, 3], [1, 3, 0]]))
    assert chosen("recorded", Simulator(grid, stream)) == 0
    assert chosen("recorded", Simulator(grid, stream), [0, 1, 1]) == 2
    assert chosen("recorded", Simulator(grid, stream), [0, 1, 0]) == 1


def test_greedy_weighs_power_transfer_and_queue():
    stream = jobs([0, 0, 1], [1000.0, 1e6, 1000.0], [[True, False]], nbytes=[0, 0, 8e5])
    # the mean work is 334,000: a run lasts 33,400 s at site 0, 16,700 s at site 1
    near = Simulator(sites([2, 2], [10.0, 20.0], ingress=8e3), stream)
    assert chosen("greedy", near.replay(np.array([0, 0]))) == 1  # 800 s to move
    far = Simulator(sites([2, 2], [10.0, 20.0], ingress=80.0), stream)
    assert chosen("greedy", far.replay(np.array([1, 1]))) == 0  # 80,000 s to move


@pytest.mark.parametrize("is_true", [False, True])
def test_greedy_takes_the_first_to_finish_though_it_does_not_work_all_of_them_out(is_true):
    rng = np.random.default_rng(4)
    catalogue, stream, _ = random_grid(rng, 6, 500, every_s=40.0)
    simulator = Simulator(catalogue, stream)
    grid, worlds, n_waits = simulator.grid, simulator.worlds, 0
    for _ in range(500):
        advance_to_arrival(grid, worlds, 0)
        mask = np.maximum(rng.random(6) < 0.7, np.arange(6) == rng.integers(6)).astype(np.int8)
        ends = [expected_finish(grid, worlds, 0, s, is_true, np.inf) for s in range(6)]
        first = min(np.flatnonzero(mask), key=lambda s: ends[s])
        assert earliest_finish(grid, worlds, 0, mask, is_true) == first
        n_waits += (worlds.site[0]["queued"] > 0).sum()
        simulator.place(int(rng.integers(6)))
    assert n_waits > 500


def test_true_work_shows_which_queue_ends_first():
    # site 0 runs a short job and site 1 a long one; expectations are alike, then powers decide
    stream = jobs([0, 0, 1], [1e3, 1e6, 1e3], [[True, True]])
    simulator = Simulator(sites([1, 1], [10.0, 10.1]), stream).replay(np.array([0, 1]))
    assert chosen("greedy", simulator) == 1
    assert chosen("greedy_true", simulator) == 0


def test_production_prefers_near_sites_where_nobody_has_the_data():
    closeness = np.array([[0, 1, 9], [1, 0, 9], [9, 9, 0]])
    stream = jobs([0], [1.0], [[True, False, False]], nbytes=1e9)
    simulator = Simulator(sites([8] * 3, [1.0] * 3, closeness=closeness), stream)
    picks = [chosen("panda_production", simulator, [0, 1, 1], seed) for seed in range(300)]
    # weight 1 + (9 - 1) / 8 = 2 against 1
    assert np.mean(np.array(picks) == 1) == pytest.approx(2 / 3, abs=0.08)
