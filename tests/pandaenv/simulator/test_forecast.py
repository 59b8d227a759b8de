"""Plans kept from placement to placement against projections from scratch, to the last bit."""

import numpy as np
import pytest

from pandaenv.env.measures import ACCRUED, FLOW_TIME, SLOWDOWN, WAIT
from pandaenv.simulator.forecast import STALE
from tests.pandaenv.env.test_reward import Rig
from tests.pandaenv.simulator.grids import jobs, random_grid, random_others, random_troubles, sites


def real_grid(rng, n_jobs: int, every_s: float):
    """A crowded grid whose times are never alike."""
    grid, stream, _ = random_grid(rng, 4, n_jobs, every_s=every_s)
    arrival = np.sort(rng.random(n_jobs)) * n_jobs * every_s
    stream = jobs(
        arrival,
        rng.lognormal(6, 1, n_jobs),
        stream.replicas,
        cores=stream.cores,
        nbytes=rng.lognormal(18, 2, n_jobs) * (rng.random(n_jobs) < 0.7),
        dataset=stream.dataset,
        status=stream.status,
    )
    return grid, stream


def assert_alike(catalogue, stream, actions, measure=FLOW_TIME, room=3000, **options):
    """Rewards, costs and jobs foreseen are those simulated; returns the share foreseen."""
    planned, plain = (Rig(catalogue, stream, room=room, **options) for room in (room, 0))
    rewards, costs, n_foreseen = [], [], 0
    for action in actions:
        planned.worlds.world[1]["now"] = np.nan  # the scratch world; stays so if not simulated
        rewards.append(planned.play([action], measure, wait_limit=300.0, byte_limit=1e7)[0])
        costs.append(planned.costs[0])
        n_foreseen += np.isnan(planned.worlds.world[1]["now"])
    expected = plain.play(actions, measure, wait_limit=300.0, byte_limit=1e7)
    assert np.array(rewards).tobytes() == expected.tobytes()
    assert (np.array(costs) == plain.costs).all()
    assert planned.worlds.job[0].tobytes() == plain.worlds.job[0].tobytes()
    return n_foreseen / len(actions), plain


@pytest.mark.parametrize("every_s", [20.0, 60.0, 300.0])
@pytest.mark.parametrize("seed", range(4))
def test_plans_are_projections_where_no_times_coincide(seed, every_s):
    rng = np.random.default_rng(seed)
    catalogue, stream = real_grid(rng, 800, every_s)
    span = 800 * every_s
    outages = np.cumsum(rng.exponential(span / 8, (4, 8)), axis=1)
    actions = rng.integers(0, 4, 800)
    calm = np.full(4, np.inf)  # as a black hole's attempts end at once
    troubles = random_troubles(rng, outages)._replace(fails_after=calm)
    share, plain = assert_alike(catalogue, stream, actions, seed=seed, troubles=troubles)
    job = plain.ended()
    assert share > 0.99 and (job["attempts"] > 1).any()
    by_submit = job[job["state"] < 7][np.argsort(job[job["state"] < 7]["submit"], kind="stable")]
    assert (np.diff(by_submit["ready"]) < 0).any()  # jobs overtake


@pytest.mark.parametrize("seed", range(12))
def test_plans_are_projections_where_all_happens_at_once(seed):
    rng = np.random.default_rng(seed)
    catalogue, stream, outages = random_grid(rng, 4, 500, every_s=20.0 * (1 + seed % 4))
    actions = rng.integers(0, 4, 500)
    first_own, troubles = [0, 100][seed % 2], random_troubles(rng, outages)
    share, _ = assert_alike(
        catalogue, stream, actions, seed=seed, troubles=troubles, first_own=first_own
    )
    assert share > 0.4


@pytest.mark.parametrize("seed", range(6))
def test_plans_are_projections_among_others(seed):
    rng = np.random.default_rng(seed)
    catalogue, stream = real_grid(rng, 600, 60.0)
    others = random_others(rng, catalogue, stream, whole=False)
    outages = np.cumsum(rng.exponential(600 * 60.0 / 8, (4, 8)), axis=1)
    troubles = random_troubles(rng, outages)._replace(fails_after=np.full(4, np.inf))
    options = {"seed": seed, "troubles": troubles, "others": others}
    share, _ = assert_alike(catalogue, stream, rng.integers(0, 4, 600), **options)
    assert share > 0.95
    assert_alike(catalogue, stream, rng.integers(0, 4, 600), ACCRUED, backfill=True, **options)


@pytest.mark.parametrize("seed", range(12))
def test_plans_are_projections_among_others_where_all_happens_at_once(seed):
    rng = np.random.default_rng(seed)
    catalogue, stream, outages = random_grid(rng, 4, 500, every_s=20.0 * (1 + seed % 4))
    others, actions = random_others(rng, catalogue, stream), rng.integers(0, 4, 500)
    troubles = random_troubles(rng, outages)
    options = {"seed": seed, "troubles": troubles, "others": others}
    assert assert_alike(catalogue, stream, actions, **options)[0] > 0.3
    assert_alike(catalogue, stream, actions, backfill=True, **options)


@pytest.mark.parametrize(("measure", "least"), [(SLOWDOWN, 0.99), (WAIT, 0.99), (ACCRUED, 0.99)])
def test_plans_serve_every_measure(measure, least):
    rng = np.random.default_rng(measure)
    catalogue, stream = real_grid(rng, 400, 40.0)
    assert assert_alike(catalogue, stream, rng.integers(0, 4, 400), measure)[0] > least


@pytest.mark.parametrize("every_s", [100.0, 2000.0])
def test_where_all_find_cores_at_once_no_plan_is_needed_even_under_backfill(every_s):
    rng = np.random.default_rng(2)
    catalogue, stream, outages = random_grid(rng, 4, 500, every_s=every_s)
    troubles, actions = random_troubles(rng, outages), rng.integers(0, 4, 500)
    share, plain = assert_alike(catalogue, stream, actions, troubles=troubles, backfill=True)
    assert (plain.worlds.job[0]["attempts"] > 1).any()
    assert 0.1 < share < 0.6 if every_s < 1000 else share > 0.7


@pytest.mark.parametrize("seed", range(8))
def test_what_surely_goes_well_does(seed):
    """With `accrued` no plan is asked where the limits cannot break; costs are those of a plan."""
    rng = np.random.default_rng(seed)
    catalogue, stream, outages = random_grid(rng, 4, 500, every_s=30.0 * (1 + seed % 4))
    actions, backfill = rng.integers(0, 4, 500), seed % 3 == 2
    troubles = random_troubles(rng, outages)
    others = random_others(rng, catalogue, stream) if seed >= 4 else None
    options = {"seed": seed, "troubles": troubles, "backfill": backfill, "others": others}
    rigs = [Rig(catalogue, stream, **options) for _ in "ab"]
    costs, n_sure = [], 0
    for action in actions:
        for rig, measure in zip(rigs, (ACCRUED, FLOW_TIME), strict=True):
            rig.play([action], measure, wait_limit=5000.0, byte_limit=1e7)
        assert (rigs[0].costs == rigs[1].costs).all()
        costs.append(rigs[0].costs[0])
        is_crowded = rigs[0].worlds.site[0, action]["demand"] > catalogue.cores[action]
        n_sure += is_crowded and rigs[0].plans.site[0, action]["count"] == STALE
    waited, _, lost, _ = np.sum(costs, axis=0)
    assert waited > 20 and lost > 5 and (n_sure > (2 if others is None else 0) or backfill)


@pytest.mark.parametrize(
    ("begin", "every", "work", "power"),
    [
        (0.0, 10.0, 2e15, 1e-5),
        (0.0, 10.0, 2e4, 1.0),
        (1e19, 4096.0, 1e4, 1.0),
        (2e9, 3e7, 1e8, 1.0),
        (3e9, 10.0, 2e4, 1.0),
    ],
)
def test_nothing_is_said_to_go_well_where_core_seconds_are_beyond_whole_numbers(
    begin, every, work, power
):
    stream = jobs(begin + every * np.arange(4), [work] * 4, [[True]])
    costs = []
    for measure in (ACCRUED, FLOW_TIME):
        rig = Rig(sites([2], [power]), stream)
        rig.play(np.zeros(4, int), measure, wait_limit=1000.0)
        costs.append(rig.costs[:, 0].tolist())
    assert costs[0] == costs[1] == [0, 0, 1, 1]


def test_more_cores_may_be_wanted_at_a_site_than_32_bits_can_count():
    n, cores = 2200, 1_000_000
    stream = jobs(np.arange(n, dtype=float), [1e8] * n, [[True]], cores=cores)
    assert_alike(sites([cores], [1.0]), stream, np.zeros(n, int))


def test_what_runs_when_an_episode_begins_ends_as_settled_under_the_seed_before():
    rng = np.random.default_rng(5)
    catalogue, stream = real_grid(rng, 600, 40.0)
    actions = rng.integers(0, 4, 600)
    rigs = [Rig(catalogue, stream, room=room, first_own=300) for room in (3000, 0)]
    rewards = []
    for rig in rigs:
        rig.play(actions[:300])
        rig.worlds.world["seed"], rig.plans.site["count"] = 77, STALE
        rewards.append(rig.play(actions[300:]))
    assert rewards[0].tobytes() == rewards[1].tobytes()


def test_a_plan_beyond_its_room_is_given_up_and_taken_up_again():
    # inputs of 100 s through 8 channels, so that they come far more slowly than the jobs
    n, grid = 200, sites([1, 1], [10.0, 10.0], ingress=8e3)
    time = np.concatenate([np.arange(n, dtype=float), [1e6, 1e6 + 1]])
    stream = jobs(time, np.full(n + 2, 1000.0), [[False, True]], nbytes=1e5)
    rig = Rig(grid, stream)
    rig.play(np.zeros(n, int))
    assert rig.plans.site[0, 0]["count"] == STALE
    rig.play([0, 0])
    assert rig.plans.site[0, 0]["count"] == 2
    rewards = Rig(grid, stream).play(np.zeros(n + 2, int))
    plain = Rig(grid, stream, room=0).play(np.zeros(n + 2, int))
    assert rewards.tobytes() == plain.tobytes()
