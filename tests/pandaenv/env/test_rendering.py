"""Rendering in the environments: the mode asked for, one frame each, one window."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded

import pandaenv  # noqa: F401  registers the environment
from pandaenv.env import picture, rendering
from tests.pandaenv.simulator.grids import records


@pytest.fixture(scope="module")
def make():
    """Make a Tier-1 environment on a small stream."""
    table = records()

    def make(**options):
        small = {"workload": table, "rate": 800, "episode_jobs": 30} | options
        return gym.make("PandaSiteAllocationTier1-v0", **small)

    return make


def test_the_environment_renders_in_the_mode_asked_for(make):
    text, image = make(render_mode="ansi"), make(render_mode="rgb_array")
    for env in (text, image):
        env.reset(seed=0)
        env.step(0)
    assert "job 1 of 30 placed" in text.render()
    assert image.render().shape == (picture.HEIGHT, picture.WIDTH, 3)
    assert image.render().tobytes() == image.unwrapped.render().tobytes()


@pytest.mark.parametrize("mode", ["ansi", "rgb_array"])
def test_the_vector_environment_gives_a_frame_of_each(make, mode):
    small = make().unwrapped.spec.kwargs | {"render_mode": mode}
    ours = gym.make_vec("PandaSiteAllocationTier1-v0", 3, **small)
    theirs = gym.make_vec("PandaSiteAllocationTier1-v0", 3, "sync", **small)
    for envs in (ours, theirs):
        envs.reset(seed=0)
        envs.step(np.arange(3))
    frames = ours.render()
    assert isinstance(frames, tuple) and len(frames) == 3
    for one, other in zip(frames, theirs.render(), strict=True):
        assert np.array_equal(one, other)
    assert not np.array_equal(frames[0], frames[1])
    assert mode in ours.metadata["render_modes"] and ours.metadata["render_fps"] == 10


def test_human_mode_shows_every_step_in_one_window_and_closes_it(make, monkeypatch):
    import matplotlib.pyplot as plt

    monkeypatch.setattr(plt, "show", lambda **_: None)  # whatever this machine's display
    env = make(render_mode="human")
    env.reset(seed=0)
    before = plt.figure(rendering.WINDOW).images[0].get_array().copy()
    for _ in range(3):
        env.step(0)
    after = plt.figure(rendering.WINDOW).images[0].get_array()
    assert plt.get_figlabels() == [rendering.WINDOW] and (before != after).any()
    assert env.render() is None
    env.close()
    assert plt.get_figlabels() == []


def test_the_vector_environment_shows_its_first_one_in_human_mode(make, monkeypatch):
    import matplotlib.pyplot as plt

    monkeypatch.setattr(plt, "show", lambda **_: None)
    small = make().unwrapped.spec.kwargs | {"render_mode": "human"}
    envs = gym.make_vec("PandaSiteAllocationTier1-v0", 2, **small)
    single = make(render_mode="human")
    shown = []
    for env, action in ((envs, np.zeros(2, int)), (single, 0)):
        env.reset(seed=0)
        env.step(action)
        shown.append(plt.figure(rendering.WINDOW).images[0].get_array().copy())
        assert env.render() is None
        env.close()
        assert plt.get_figlabels() == []
    assert (shown[0] == shown[1]).all()


def test_rendering_needs_an_episode_and_a_mode(make):
    small = make().unwrapped.spec.kwargs
    for env in (make(render_mode="ansi"), gym.make_vec("PandaSiteAllocationTier1-v0", 2, **small)):
        with pytest.raises(ResetNeeded, match=r"render\(\) needs an episode"):
            env.unwrapped.render()
    env = make().unwrapped
    env.reset(seed=0)
    with pytest.warns(UserWarning, match="needs gym.make"):
        assert env.render() is None


@pytest.mark.parametrize("kind", [".gif", ".webp"])
def test_the_animation_has_its_frames_and_they_differ(kind, tmp_path, capsys):
    from PIL import Image, ImageSequence

    from benchmarks import animate

    records().to_parquet(tmp_path / "jobs.parquet")
    small = gym.make(
        "PandaSiteAllocationTier1-v0",
        workload=str(tmp_path / "jobs.parquet"),
        rate=800,
        episode_jobs=60,
        render_mode="rgb_array",
    )
    images = animate.frames(small, animate.policies.make("random"), 0, 1.0, 3, 0)
    path = animate.write(images, tmp_path / f"grid{kind}", 5, 400)
    with Image.open(path) as movie:
        seen = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(movie)]
    assert len(seen) == 3 and seen[0].shape == (250, 400, 3)
    assert (seen[0] != seen[2]).any()
    with pytest.raises(ValueError, match="must end in .gif or .webp, got grid.png"):
        animate.main(["--out", "grid.png"])
