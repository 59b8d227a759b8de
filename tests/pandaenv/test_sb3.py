import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import InvalidAction, ResetNeeded
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor, VecNormalize

import pandaenv  # noqa: F401  registers the environments
from pandaenv.sb3 import PandaVecEnv
from pandaenv.scenarios import Scenario
from pandaenv.workload import Trace
from tests.pandaenv.simulator.grids import records

TIER1 = "PandaSiteAllocationTier1-v0"
ROUGH = Scenario(
    outage_every_s=86_400.0, outage_length_s=7_200.0, degraded_share=0.5, degraded_after_s=0.0,
    surge_factor=3.0, surge_after_s=600.0, surge_length_s=1_800.0, black_holes=2,
)  # fmt: skip
N = 4


@pytest.fixture(scope="module")
def small():
    return {"workload": Trace(records()), "rate": 800, "episode_jobs": 40, "sites": "tier1"}


@pytest.mark.parametrize(
    "options",
    [
        {"scenario": ROUGH, "n_threads": 2},
        {"reward": "accrued", "cost": "binary", "wait_limit": 0.0, "byte_limit": 0.0},
        {"observation": "dict", "reward": "slowdown", "reveal": "estimate"},
        {"candidates": 5, "reward": "relative", "scenario": ROUGH},
    ],
    ids=["flow_time", "accrued", "dict", "candidates"],
)
def test_it_is_what_stable_baselines3_makes_of_single_environments(small, options):
    ours = PandaVecEnv(N, **small, **options)
    single = small | {k: v for k, v in options.items() if k != "n_threads"}
    theirs = DummyVecEnv([lambda: gym.make(TIER1, **single)] * N)
    rng = np.random.default_rng(0)
    for round_ in range(2):
        if round_ == 0:
            for envs in (ours, theirs):
                envs.seed(5)
                envs.set_options([{"window": i} for i in range(N)])
        assert_same_batch(ours.reset(), theirs.reset())
        for _ in range(90):
            masks = np.array(ours.env_method("action_masks"))
            assert (masks == np.array(theirs.env_method("action_masks"))).all()
            actions = (rng.random(masks.shape) + masks).argmax(axis=1)
            got, expected = ours.step(actions), theirs.step(actions)
            assert_same_batch(got[0], expected[0])
            assert got[1].tobytes() == expected[1].tobytes() and got[1].dtype == expected[1].dtype
            assert (got[2] == expected[2]).all()
            for info, whole in zip(got[3], expected[3], strict=True):
                assert set(whole) - set(info) <= {
                    "action_mask",
                    "cost_wait",
                    "cost_transfer",
                    "cost_failure",
                    "cost_rejected",
                    "realised_load",
                    "scale",
                    "gathered",
                    "candidates",
                }
                if "terminal_observation" in whole:
                    last = "terminal_observation"
                    assert_same_batch(info.pop(last), whole.pop(last))
                assert {key: whole[key] for key in info} == info
        for mine, other in zip(ours.reset_infos, theirs.reset_infos, strict=True):
            for name in {"action_mask", "candidates"} & set(other):
                assert mine.pop(name).tolist() == other.pop(name).tolist()
            assert mine == other


def assert_same_batch(one, other):
    if isinstance(other, dict):
        assert set(one) == set(other)
        for key in other:
            assert_same_batch(one[key], other[key])
    else:
        assert one.dtype == other.dtype and one.shape == other.shape
        assert one.tobytes() == other.tobytes()


def test_ppo_trains_on_it(small):
    envs = VecNormalize(VecMonitor(PandaVecEnv(N, **small)))
    model = PPO("MlpPolicy", envs, n_steps=64, batch_size=64, n_epochs=1, seed=0, device="cpu")
    model.learn(512)
    assert len(model.ep_info_buffer) == 512 // 40 // N * N
    assert all(e["l"] == 40 and np.isfinite(e["r"]) for e in model.ep_info_buffer)


def test_maskable_ppo_obeys_the_masks(small):
    sb3_contrib = pytest.importorskip("sb3_contrib")

    class Counting(PandaVecEnv):
        n_rejected = 0

        def step_wait(self):
            result = super().step_wait()
            self.n_rejected += int(self.episodes.cost[:, 3].sum())
            return result

    envs = Counting(N, **small, scenario=Scenario(outage_every_s=9e4, outage_length_s=8e4))
    model = sb3_contrib.MaskablePPO(
        "MlpPolicy", envs, n_steps=64, batch_size=64, n_epochs=1, seed=0, device="cpu"
    )
    model.learn(512)
    assert envs.n_rejected == 0
    assert (envs.episodes.view.mask == 0).any()
    PPO("MlpPolicy", envs, n_steps=64, batch_size=64, n_epochs=1, device="cpu").learn(256)
    assert envs.n_rejected > 0


def test_attributes_are_read_noted_and_guarded(small):
    envs = PandaVecEnv(N, **small)
    envs.seed(0)
    envs.reset()
    assert envs.get_attr("render_mode") == [None] * N
    assert envs.get_attr("unit", [1, 2]) == [envs.single.unit] * 2
    assert [m.tolist() for m in envs.get_attr("mask")] == envs.episodes.view.mask.tolist()
    assert envs.get_attr("window", 3) == [int(envs.episodes.window[3])]
    assert envs.has_attr("action_masks") and not envs.has_attr("nothing")
    envs.set_attr("stage", 7, indices=[0])
    assert envs.get_attr("stage", 0) == [7] and not envs.has_attr("stage")
    envs.set_attr("stage", 7)
    assert envs.has_attr("stage")
    assert envs.env_is_wrapped(gym.Wrapper) == [False] * N
    assert len(envs.env_method("log", indices=[0])[0]) == 0
    with pytest.raises(AttributeError, match="belongs to the task"):
        envs.set_attr("mask", 1)
    for name in ("load", "reward", "log"):
        with pytest.raises(AttributeError, match=f"'{name}' belongs to the task"):
            envs.set_attr(name, 0.8)
    with pytest.raises(AttributeError):
        envs.get_attr("nothing")
    with pytest.raises(AttributeError, match="known: action_masks, log, render"):
        envs.env_method("jump")


def test_frames_are_those_of_single_environments(small):
    envs = PandaVecEnv(N, **small, render_mode="rgb_array")
    envs.seed(4)
    envs.reset()
    envs.step(np.arange(N))
    for i in (0, N - 1):
        single = gym.make(TIER1, **small, render_mode="rgb_array")
        single.reset(seed=4 + i)
        single.step(i)
        assert (envs.get_images()[i] == single.render()).all()
    height, width, _ = envs.get_images()[0].shape
    assert envs.render().shape == (2 * height, 2 * width, 3)
    text = PandaVecEnv(N, **small, render_mode="ansi")
    text.reset()
    assert text.get_images() == [None] * N
    assert "job 0 of 40 placed" in text.env_method("render")[1]


@pytest.mark.parametrize(
    "actions", [np.zeros(3, int), np.zeros(N), np.array([0, 0, 0, 13]), np.array([0, -1, 0, 0])]
)
def test_wrong_actions_are_errors(small, actions):
    envs = PandaVecEnv(N, **small)
    envs.reset()
    with pytest.raises(InvalidAction, match=r"whole numbers?"):
        envs.step(actions)


@pytest.mark.parametrize("name", ["num_envs", "n_threads"])
@pytest.mark.parametrize("value", [0, 1.5, "a", True])
def test_counts_are_whole_numbers_of_at_least_one(small, name, value):
    with pytest.raises(ValueError, match=f"{name} must be a whole number of at least 1, got"):
        PandaVecEnv(**{name: value}, **small)


def test_a_step_before_any_reset_is_an_error(small):
    with pytest.raises(ResetNeeded, match="no job to place: call reset"):
        PandaVecEnv(2, **small).step(np.zeros(2, int))
    for name in ("action_masks", "log", "render"):
        with pytest.raises(ResetNeeded, match=rf"{name}\(\) needs an episode: call reset"):
            PandaVecEnv(2, **small).env_method(name)
