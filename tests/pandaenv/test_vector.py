import copy
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import InvalidAction, ResetNeeded
from gymnasium.vector import AutoresetMode

import pandaenv  # noqa: F401  registers the environments
from pandaenv.scenarios import Scenario
from pandaenv.vector import PandaSiteAllocationVectorEnv
from pandaenv.workload import Trace
from tests.pandaenv.simulator.grids import records

TIER1 = "PandaSiteAllocationTier1-v0"
ROUGH = Scenario(
    outage_every_s=86_400.0, outage_length_s=7_200.0, degraded_share=0.5, degraded_after_s=0.0,
    surge_factor=3.0, surge_after_s=600.0, surge_length_s=1_800.0, black_holes=2,
)  # fmt: skip
N = 5


@pytest.fixture(scope="module")
def small():
    """Options of short episodes on a small stream."""
    return {"workload": Trace(records()), "rate": 800, "episode_jobs": 40}


@pytest.fixture(scope="module")
def make(small):
    def make(num_envs=N, **options):
        return gym.make_vec(TIER1, num_envs=num_envs, **small | options)

    return make


@pytest.fixture(scope="module")
def make_sync(small):
    """The same of single environments, one after the other."""

    def make(mode=AutoresetMode.NEXT_STEP, **options):
        return gym.make_vec(
            TIER1, N, "sync", vector_kwargs={"autoreset_mode": mode}, **small | options
        )

    return make


def actions_of(rng, masks: np.ndarray) -> np.ndarray:
    """Mostly allowed sites, now and then a masked one."""
    wish = rng.random(masks.shape) + (masks if rng.random() < 0.9 else 0)
    return wish.argmax(axis=1)


def assert_alike(one, other, path=""):
    """Equal to the last bit, type by type."""
    if isinstance(one, tuple):
        one, other = dict(enumerate(one)), dict(enumerate(other))
    if isinstance(one, dict):
        assert set(one) == set(other), path
        for key in one:
            assert_alike(one[key], other[key], f"{path}/{key}")
    elif one is None:
        assert other is None, path
    elif isinstance(one, np.ndarray) and one.dtype == object:
        for a, b in zip(one, other, strict=True):
            assert_alike(a, b, path)
    else:
        one, other = np.asarray(one), np.asarray(other)
        assert one.dtype == other.dtype and one.shape == other.shape, path
        assert one.tobytes() == other.tobytes(), path


def assert_same_play(first, second, n_steps=130, seed=3, **options):
    rng = np.random.default_rng(0)
    for again in (seed, None):
        got, expected = (env.reset(seed=again, **options) for env in (first, second))
        assert_alike(got, expected)
        for _ in range(n_steps):
            actions = actions_of(rng, first.unwrapped.action_masks())
            got, expected = first.step(actions), second.step(actions)
            assert_alike(got, expected)


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
@pytest.mark.parametrize(
    "options",
    [
        {"scenario": ROUGH, "n_threads": 2},
        {"reward": "accrued", "scenario": ROUGH},
        {"observation": "dict", "reward": "slowdown", "cost": "binary", "n_threads": 2},
        {"reward": "wait", "load": 0.9, "backfill": True, "reveal": "estimate"},
        {"reward": "relative", "candidates": 4, "observation": "dict", "scenario": ROUGH},
    ],
    ids=["flow_time", "accrued", "dict", "wait", "candidates"],
)
def test_it_is_single_environments_bit_for_bit_across_resets(make, make_sync, mode, options):
    others = {k: v for k, v in options.items() if k != "n_threads"}
    limits = {"wait_limit": 600.0, "byte_limit": 1e9}
    first = make(**options, **limits, autoreset_mode=mode)
    assert_same_play(first, make_sync(mode, **others, **limits))


def test_threads_change_nothing(make):
    assert_same_play(make(7, n_threads=2, scenario=ROUGH), make(7, scenario=ROUGH), 60)


def test_environment_i_is_the_single_environment_of_the_next_seed(make, small):
    batch, _ = make().reset(seed=11)
    for i in range(N):
        assert batch[i].tobytes() == gym.make(TIER1, **small).reset(seed=11 + i)[0].tobytes()
    batch, _ = make().reset(seed=[4, 4, 5, 6, 11])
    assert batch[0].tobytes() == batch[1].tobytes() != batch[2].tobytes()


def test_make_vec_takes_it_without_a_warning(make):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = make()
    assert isinstance(env.unwrapped, PandaSiteAllocationVectorEnv)
    assert env.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    assert env.observation_space.contains(env.reset(seed=0)[0])
    assert env.action_space.shape == (N,) and env.spec.id == TIER1
    masks = env.unwrapped.action_masks()
    assert masks.shape == (N, env.single_action_space.n) and masks.dtype == np.int8


def test_gymnasiums_vector_wrappers_fit(make):
    env = gym.wrappers.vector.RecordEpisodeStatistics(make())
    env = gym.wrappers.vector.NormalizeObservation(env)
    env.reset(seed=0)
    for _ in range(45):
        *_, info = env.step(np.zeros(N, int))
        if "episode" in info:
            assert (info["episode"]["l"] == 40).all()
            break
    else:
        raise AssertionError("no episode ended")


def test_batches_are_copies_unless_asked_otherwise(make):
    for copied in (True, False):
        env = make(copy=copied)
        first, info = env.reset(seed=0)
        before, mask = first.copy(), info["action_mask"].copy()
        env.step(np.zeros(N, int))
        assert (first.tobytes() == before.tobytes()) == copied
        assert (info["action_mask"] == mask).all()


def test_a_window_may_be_chosen_and_some_environments_alone_reset(make):
    env = make(autoreset_mode="Disabled")
    env.reset(seed=0, options={"window": 3})
    assert env.unwrapped.episodes.window.tolist() == [3] * N
    for _ in range(40):
        _, _, terminated, truncated, _ = env.step(np.zeros(N, int))
    assert truncated.all() and not terminated.any()
    with pytest.raises(ResetNeeded, match="environment 0 has no job"):
        env.step(np.zeros(N, int))
    chosen = np.array([True, False, True, False, False])
    _, info = env.reset(options={"reset_mask": chosen})
    assert info["_action_mask"].tolist() == chosen.tolist()
    assert env.unwrapped.episodes.n_left.tolist() == [40, 0, 40, 0, 0]


def test_a_limit_of_steps_truncates(make):
    env = make(max_episode_steps=7, reward="accrued")
    env.reset(seed=0)
    flags = [env.step(np.zeros(N, int))[2:4] for _ in range(9)]
    assert [bool(truncated.all()) for _, truncated in flags] == [False] * 6 + [True, False, False]
    assert not any(terminated.any() for terminated, _ in flags)


def test_it_can_be_copied_in_mid_episode(make):
    env = make(scenario=ROUGH).unwrapped
    env.reset(seed=0)
    for a in range(20):
        env.step(np.full(N, a % 13))
    twin = copy.deepcopy(env)
    for a in range(50):
        got, expected = twin.step(np.full(N, a % 13)), env.step(np.full(N, a % 13))
        assert_alike(got, expected)


def test_an_environment_takes_less_than_two_megabytes():
    env = gym.make_vec("PandaSiteAllocation-v0", num_envs=8, reward="flow_time").unwrapped
    env.reset(seed=0)
    episodes = env.episodes
    *view, readings, decisions = episodes.view
    view += [*readings[1:], *decisions]
    arrays = [*episodes.worlds, *view, *episodes.plans, episodes.cost]
    assert sum(array.nbytes for array in arrays) / 8 < 2e6


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        (np.zeros(N - 1, int), "actions must be 5 whole numbers"),
        (np.zeros(N), "actions must be 5 whole numbers"),
        (np.zeros((N, 1), int), "actions must be 5 whole numbers"),
        (np.array([0, 0, 13, 0, 0]), r"in \[0, 13\), got 13 for environment 2"),
        (np.array([0, -1, 0, 0, 0]), r"in \[0, 13\), got -1 for environment 1"),
    ],
)
def test_wrong_actions_are_named_and_change_nothing(make, actions, message):
    env = make().unwrapped
    env.reset(seed=0)
    before = env.episodes.worlds.job.tobytes()
    with pytest.raises(InvalidAction, match=message):
        env.step(actions)
    assert env.episodes.worlds.job.tobytes() == before


def test_an_action_is_ignored_whatever_it_is_in_the_step_that_resets(make):
    one, other = make(episode_jobs=3).unwrapped, make(episode_jobs=3).unwrapped
    for env in (one, other):
        env.reset(seed=0)
    for k in range(9):
        anything = {3: -7, 7: 99}.get(k, 0)
        got, expected = one.step(np.full(N, anything)), other.step(np.zeros(N, int))
        assert got[0].tobytes() == expected[0].tobytes() and (got[1] == expected[1]).all()


def test_counts_may_be_numbers_of_numpy(make):
    assert make(num_envs=np.int64(2), n_threads=np.int32(1)).unwrapped.num_envs == 2


def test_wrong_arguments_are_named(make):
    for options, message in (
        ({"num_envs": 0}, "num_envs must be a whole number of at least 1, got 0"),
        ({"n_threads": 1.5}, "n_threads must be a whole number of at least 1, got 1.5"),
        ({"reward": "fast"}, "unknown reward 'fast'"),
        ({"autoreset_mode": "sometimes"}, "sometimes"),
    ):
        with pytest.raises(ValueError, match=message):
            make(**options)
    env = make()
    with pytest.raises(ResetNeeded, match="call reset"):
        env.step(np.zeros(N, int))
    for options, message in (
        ({"seed": [1, 2]}, r"seeds must be one an environment \(5\), got 2"),
        ({"seed": 1.5}, "seed must be a whole number of at least 0, or one an .*, got 1.5"),
        ({"seed": -1}, "seed must be a whole number of at least 0, or one an .*, got -1"),
        ({"seed": [1, 2, 3, 4, 0.5]}, "seed must be a whole number of at least 0 .*, got 0.5"),
        ({"options": {"reset_mask": [True] * N}}, "reset_mask must be a bool array"),
        ({"options": {"reset_mask": np.zeros(N, bool)}}, "reset_mask must be true somewhere"),
        ({"options": {"windows": 3}}, "unknown reset option 'windows'"),
    ):
        with pytest.raises(ValueError, match=message):
            env.reset(**options)


@pytest.mark.parametrize("limit", [-1, 3, 0, -2, 2.5, "5"])
def test_a_limit_of_steps_means_what_it_means_for_one_environment(small, limit):
    found = []
    for mode in ("sync", "vector_entry_point"):
        try:
            envs = gym.make_vec(
                TIER1, 2, mode, **small | {"episode_jobs": 6}, max_episode_steps=limit
            )
            envs.reset(seed=0)
            steps = [envs.step(envs.action_space.sample() * 0) for _ in range(8)]
            found.append([truncated.tolist() for _, _, _, truncated, _ in steps])
        except (AssertionError, TypeError, ValueError) as error:
            found.append(str(error))
    assert found[0] == found[1]
