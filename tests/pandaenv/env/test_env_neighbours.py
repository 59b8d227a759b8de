"""What others wrap around an environment, or teach on it, fits as it is."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import wrappers
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.callbacks import MaskableEvalCallback
from stable_baselines3 import DQN, PPO
from stable_baselines3.common import vec_env
from stable_baselines3.common.callbacks import EvalCallback

import pandaenv  # noqa: F401  registers the environments
from pandaenv.sb3 import PandaVecEnv

ID = "pandaenv:PandaSiteAllocationTier1-v0"  # so that a process of its own finds it
N_JOBS = 30
N = 2
SMALL = {"workload": "reference", "rate": 800, "episode_jobs": N_JOBS, "warmup_days": 0.2}
FORMS = {"sites": {}, "candidates": {"candidates": 4, "reward": "relative"}}


@pytest.fixture(params=FORMS)
def form(request):
    return SMALL | FORMS[request.param]


SINGLE = {
    "RecordEpisodeStatistics": wrappers.RecordEpisodeStatistics,
    "TimeLimit": lambda env: wrappers.TimeLimit(env, 20),
    "FlattenObservation": wrappers.FlattenObservation,
    "NormalizeObservation": wrappers.NormalizeObservation,
    "NormalizeReward": wrappers.NormalizeReward,
    "FrameStackObservation": lambda env: wrappers.FrameStackObservation(env, 3),
}


@pytest.mark.parametrize("observation", ["flat", "dict"])
@pytest.mark.parametrize("name", SINGLE)
def test_wrappers_of_gymnasium(form, name, observation):
    if observation == "dict" and name == "NormalizeObservation":
        pytest.skip("Gymnasium's normalises one box")
    env = SINGLE[name](gym.make(ID, observation=observation, **form))
    seen, info = env.reset(seed=0)
    n, is_over = 0, False
    while not is_over:
        assert env.observation_space.contains(seen)
        seen, reward, terminated, truncated, info = env.step(int(info["action_mask"].argmax()))
        n, is_over = n + 1, terminated or truncated
        assert np.isfinite(reward)
    assert n == (20 if name == "TimeLimit" else N_JOBS)
    assert ("episode" in info) == (name == "RecordEpisodeStatistics")


@pytest.mark.parametrize("mode", ["sync", "async", "vector_entry_point"])
def test_make_vec(form, mode):
    envs = gym.make_vec(ID, N, vectorization_mode=mode, **form)
    try:
        seen, info = envs.reset(seed=0)
        for _ in range(N_JOBS):
            seen, reward, _, truncated, info = envs.step(info["action_mask"].argmax(axis=1))
        assert seen.shape == envs.observation_space.shape and reward.shape == (N,)
        assert truncated.all()
    finally:
        envs.close()


VECTORS = {
    "DummyVecEnv": lambda make: vec_env.DummyVecEnv([make] * N),
    "SubprocVecEnv": lambda make: vec_env.SubprocVecEnv([make] * N),
    "VecMonitor": lambda make: vec_env.VecMonitor(vec_env.DummyVecEnv([make] * N)),
    "VecNormalize": lambda make: vec_env.VecNormalize(vec_env.DummyVecEnv([make] * N)),
    "VecFrameStack": lambda make: vec_env.VecFrameStack(vec_env.DummyVecEnv([make] * N), 2),
}


@pytest.mark.parametrize("name", VECTORS)
def test_vectors_of_stable_baselines3(form, name):
    envs = VECTORS[name](lambda: gym.make(ID, **form))
    try:
        seen = envs.reset()
        for _ in range(N_JOBS):
            seen, rewards, dones, infos = envs.step(np.zeros(N, int))
        assert seen.shape == (N, *envs.observation_space.shape) and np.isfinite(rewards).all()
        assert dones.all() and all("terminal_observation" in info for info in infos)
        assert name != "VecMonitor" or all(info["episode"]["l"] == N_JOBS for info in infos)
    finally:
        envs.close()


LEARNERS = {
    "PPO": lambda envs: PPO("MlpPolicy", envs, n_steps=32, batch_size=32, n_epochs=1),
    "MaskablePPO": lambda envs: MaskablePPO("MlpPolicy", envs, n_steps=32, batch_size=32),
    "DQN": lambda envs: DQN("MlpPolicy", envs, learning_starts=16, buffer_size=200),
}


@pytest.mark.parametrize("name", LEARNERS)
def test_learners_and_their_evaluation(form, name, tmp_path):
    model = LEARNERS[name](PandaVecEnv(N, **form))
    callback = MaskableEvalCallback if name == "MaskablePPO" else EvalCallback
    judged = callback(
        vec_env.VecMonitor(PandaVecEnv(1, split="test", **form)),
        n_eval_episodes=1,
        eval_freq=32,
        log_path=str(tmp_path),
        verbose=0,
    )
    model.learn(96, judged)
    assert np.isfinite(judged.last_mean_reward)


def test_policies_of_several_inputs(form):
    model = PPO("MultiInputPolicy", PandaVecEnv(N, observation="dict", **form), n_steps=16)
    assert model.learn(32).num_timesteps >= 32
