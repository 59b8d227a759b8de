import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded

import pandaenv  # noqa: F401  registers the environment
from pandaenv import policies
from pandaenv.env import rendering
from pandaenv.scenarios import untroubled
from pandaenv.simulator import Simulator
from pandaenv.sites import catalogue
from tests.pandaenv.simulator.grids import jobs, random_grid, records, sites, tiny_grid

BLUE, GREY, ORANGE = (0x1F, 0x5F, 0xA8), (0x5A, 0x5A, 0x5A), (0xF2, 0xA3, 0x3A)


def halfway(n_sites=4, n_jobs=400, seed=0):
    rng = np.random.default_rng(seed)
    grid, stream, outages = random_grid(rng, n_sites, n_jobs, every_s=40.0)
    simulator = Simulator(grid, stream, seed=seed, outages=outages)
    return simulator.replay(rng.integers(0, n_sites, n_jobs // 2))


def world(simulator):
    return simulator.grid, simulator.worlds, 0, simulator.catalogue


def n_pixels(image, colour):
    return int((image == np.array(colour, np.uint8)).all(axis=2).sum())


def test_the_screen_of_tiny_grid_is_what_the_schedule_says():
    simulator = Simulator(*tiny_grid()).replay(np.array([0, 0, 0]))  # t = 20, see test_simulator
    lines = rendering.screen(*world(simulator)).splitlines()
    assert lines[0] == "week 1, Mon 00:00 UTC - job 3 of 4 placed"
    assert lines[1] == "in the grid: 3 jobs: 1 move input, 1 queued, 1 running"
    assert lines[2] == "ended: 0 finished, 0 failed, 0 lost, 0 rejected"
    assert lines[5].split() == ["site1", "2", "[..................]", "0", "0", "0%"]
    assert lines[6].split() == ["site0", "1", "[##################]", "1", "1", "0%"]
    after = rendering.screen(*world(simulator.drain()))
    assert "in the grid: 0 jobs" in after and "ended: 3 finished" in after


def test_the_screen_tells_outages_failures_and_rejections():
    stream = jobs([0.0, 1.0, 2.0], [1e4] * 3, [[True, True]], cores=[1, 1, 9])
    outages = np.array([[1.5, 1e4], [np.inf, np.inf]])
    simulator = Simulator(sites([2, 2], [1, 1]), stream, outages=outages)
    lines = rendering.screen(*world(simulator.replay(np.array([0, 1, 1])))).splitlines()
    assert "1 rejected" in lines[2] and "down" in lines[5] and lines[5].endswith("50%")


@pytest.mark.parametrize("n_sites", [1, 18, 19, 40, 150])
def test_the_screen_fits_a_terminal_whatever_the_grid(n_sites):
    grid = catalogue(n_sites)
    stream = jobs([0.0, 9e9], [1e5, 1e5], np.ones((1, n_sites)) > 0)
    simulator = Simulator(grid, stream).replay(np.array([0, 0]))
    lines = rendering.screen(*world(simulator)).splitlines()
    assert len(lines) <= 24 and max(map(len, lines)) <= 80
    shown = sum(line.startswith(grid.names) for line in lines)
    rest = [line for line in lines if "smaller sites" in line]
    assert shown == n_sites or int(rest[0].split()[0]) == n_sites - shown


def test_drawing_changes_nothing_and_repeats_itself():
    simulator = halfway()
    before = [array.tobytes() for array in simulator.worlds]
    one, other = (rendering.picture(*world(simulator)) for _ in range(2))
    assert one.tobytes() == other.tobytes()
    assert one.shape == (rendering.HEIGHT, rendering.WIDTH, 3) and one.dtype == np.uint8
    assert before == [array.tobytes() for array in simulator.worlds]


def test_the_map_shows_busy_cores_queues_and_outages():
    stream = jobs(np.zeros(30), np.full(30, 1e5), [[True]])
    outages = np.array([[10.0, 20.0]])
    simulator = Simulator(sites([10], [1]), stream, outages=outages)
    idle = rendering.picture(*world(simulator))
    half = rendering.picture(*world(simulator.replay(np.zeros(5, int))))
    full = rendering.picture(*world(simulator.replay(np.zeros(25, int))))
    blue, orange = ([n_pixels(i, c) for i in (idle, half, full)] for c in (BLUE, ORANGE))
    disc = (blue[2] - blue[0]) / 10  # pixels a core; the history below adds a few
    assert blue[1] - blue[0] == pytest.approx(5 * disc, rel=0.15)
    assert orange[0] == orange[1] and orange[2] - orange[0] == pytest.approx(15 * disc, rel=0.25)
    down = Simulator(sites([10], [1]), jobs([0.0, 15.0], [1e5] * 2, [[True]]), outages=outages)
    image = rendering.picture(*world(down.replay(np.zeros(2, int))))
    assert n_pixels(image, GREY) > n_pixels(idle, GREY) + 500


def test_inputs_fly_from_their_source_as_far_as_time_has_passed():
    grid, stream = tiny_grid()
    simulator = Simulator(grid, stream).replay(np.array([0, 0, 0]))  # job 1 moves from 10 to 40
    place = np.array([[0.0, 0.0], [3.0, 6.0]])
    lines, dots = rendering.flights(simulator.grid, simulator.worlds, 0, place)
    assert lines.tolist() == [[[3.0, 6.0], [0.0, 0.0]]]
    np.testing.assert_allclose(dots, [[2.0, 4.0]])


def test_inputs_creep_while_links_are_degraded():
    grid, stream = tiny_grid()
    troubles = untroubled(2)
    slow = np.array(troubles.slow)
    slow[0] = 15.0, 35.0, 0.25  # job 1 moves from 10: 5 s, then 20 s worth 5 s, then 20 s
    simulator = Simulator(grid, stream, troubles=troubles._replace(slow=slow))
    place, done = np.array([[0.0, 0.0], [3.0, 6.0]]), []
    for site in (0, 0, 0, 0):
        simulator.place(site)
        _, dots = rendering.flights(simulator.grid, simulator.worlds, 0, place)
        done.append(dots[0, 0] if len(dots) else None)
    assert simulator.drain().log()["ready"][1] == 55
    # now is 0 (nothing moves), 10, 20 and 30
    assert done[:1] == [None]
    np.testing.assert_allclose(done[1:], [3, 3 - 3 * 6.25 / 30, 3 - 3 * 8.75 / 30])


def test_the_history_counts_the_jobs_that_were_there():
    simulator = Simulator(*tiny_grid()).replay(np.array([0, 0, 0, 1])).drain()
    hours, counts = rendering.history(simulator.worlds, 0, n=86_401)
    second = {int(s): counts[:, i].tolist() for i, s in enumerate(np.rint(160 + hours * 3600))}
    # running, queued, moving; job 1 moves from 10 to 40, job 3 from 30 to 35 (see test_simulator)
    assert second[5] == [1, 0, 0] and second[15] == [1, 0, 1] and second[25] == [1, 1, 1]
    assert second[32] == [1, 1, 2] and second[37] == [2, 1, 1] and second[50] == [2, 2, 0]
    assert second[97] == [1, 2, 0] and second[110] == [1, 1, 0] and second[159] == [1, 0, 0]
    assert hours[0] == -24 and hours[-1] == 0 and counts[:, -1].tolist() == [0, 0, 0]


@pytest.mark.parametrize("which", [1, 40, "tier1", "all"])
def test_sites_lie_on_the_map_and_in_their_region(which):
    grid = catalogue(which)
    clouds = list(dict.fromkeys(grid.cloud))
    discs, regions = rendering.layout(tuple(grid.cloud), tuple(grid.cores.tolist()))
    assert (discs[:, :2] - discs[:, 2:] > 0).all()
    assert (discs[:, :2] + discs[:, 2:] < rendering.MAP_SIZE).all()
    for (x, y, radius), cloud in zip(discs, grid.cloud, strict=True):
        u, v, reach = regions[clouds.index(cloud)]
        assert np.hypot(x - u, y - v) + radius < reach


def test_a_larger_site_has_a_larger_disc_by_area():
    discs, _ = rendering.layout(("UK", "XX"), (100, 25))
    free, _ = rendering.layout(("UK",) * 40, (20,) * 40)
    assert discs[0, 2] >= discs[1, 2] and np.ptp(free[:, 2]) == 0
    a, b = rendering.layout(("UK",) * 9, (400,) + (100,) * 8)[0][:2, 2]
    assert a <= rendering.RADII[1] and a / b <= 2.0


# In the environment


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
    assert image.render().shape == (rendering.HEIGHT, rendering.WIDTH, 3)
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
    images = animate.frames(small, policies.make("random"), 0, 1.0, 3, 0)
    path = animate.write(images, tmp_path / f"grid{kind}", 5, 400)
    with Image.open(path) as movie:
        seen = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(movie)]
    assert len(seen) == 3 and seen[0].shape == (250, 400, 3)
    assert (seen[0] != seen[2]).any()
    with pytest.raises(SystemExit, match="must end in .gif or .webp, got grid.png"):
        animate.main(["--out", "grid.png"])
