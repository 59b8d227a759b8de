"""Windows of a stream for training and for tests."""

import numpy as np
import pytest

from foundations.units import DAY_S, WEEK_S
from pandaenv.workload import Trace
from tests.pandaenv.workload.burst_records import CATALOGUE


def test_windows_are_24_for_training_and_8_for_tests(stream):
    assert len(stream.windows("train", episode_jobs=2_000)) == 24
    assert len(stream.windows("test", episode_jobs=2_000)) == 8


def test_more_windows_begin_and_end_where_the_usual_ones_do(stream):
    usual = stream.windows("test", episode_jobs=2_000)
    same = stream.windows("test", episode_jobs=2_000, n=8)
    assert [vars(w) for w in same] == [vars(w) for w in usual]
    more = stream.windows("test", episode_jobs=2_000, n=15)
    assert [w.start for w in more[::2]] == pytest.approx([w.start for w in usual], abs=1)
    assert (more[0].start, more[-1].stop) == (usual[0].start, usual[-1].stop)
    with pytest.raises(ValueError, match="n must be a whole number of at least 1, got 0"):
        stream.windows("test", n=0)


def test_train_and_test_windows_share_no_week(stream):
    def weeks(split):
        time = stream.jobs.time
        windows = stream.windows(split, episode_jobs=2_000)
        return {int(t // WEEK_S) for w in windows for t in (time[w.first], time[w.stop - 1])}

    assert weeks("train") and weeks("test")
    assert max(weeks("train")) < min(weeks("test"))


@pytest.mark.parametrize("split", ["train", "test"])
def test_windows_hold_an_episode_after_three_warm_days(stream, split):
    time = stream.jobs.time
    for window in stream.windows(split, episode_jobs=2_000):
        assert window.stop - window.start == 2_000
        assert time[window.start] - time[window.first] <= 3 * DAY_S
        assert window.first == 0 or time[window.start] - time[window.first - 1] > 3 * DAY_S


def test_window_loads_are_published_and_scatter_about_the_load(stream):
    loads = stream.window_loads("train", episode_jobs=2_000)
    windows = stream.windows("train", episode_jobs=2_000)
    assert loads.tolist() == [w.load for w in windows]
    w, jobs, grid = windows[3], stream.jobs, stream.catalogue
    seconds = jobs.time[w.stop] - jobs.time[w.start]
    expected = jobs.work[w.start : w.stop].sum() / seconds / (grid.cores @ grid.power)
    assert loads[3] == pytest.approx(expected)
    assert 0.4 < loads.mean() < 0.8


def test_a_cut_keeps_its_jobs_and_their_replicas(stream):
    window = stream.windows("test", episode_jobs=2_000)[2]
    jobs = stream.cut(window)
    rows = slice(window.first, window.stop)
    assert np.array_equal(jobs.time, stream.jobs.time[rows])
    expected = stream.jobs.replicas[stream.jobs.dataset[rows]]
    assert np.array_equal(jobs.replicas[jobs.dataset], expected)
    assert len(jobs.replicas) == len(np.unique(stream.jobs.dataset[rows]))


def test_unknown_splits_and_long_episodes_are_refused(stream):
    with pytest.raises(ValueError, match="unknown split 'dev'; known: train, test"):
        stream.windows("dev")
    with pytest.raises(
        ValueError, match="train part must hold 3 days of warm-up and 10000000 jobs"
    ):
        stream.windows("train", episode_jobs=10_000_000)
    with pytest.raises(
        ValueError, match="episode_jobs must be a whole number of at least 1, got 0"
    ):
        stream.windows("train", episode_jobs=0)
    with pytest.raises(ValueError, match="warmup_days must be at least 0 and finite, got nan"):
        stream.windows("train", warmup_days=np.nan)


def test_a_short_replay_is_cut_at_three_quarters(records):
    short = records[records["creationtime"] < 8]
    stream = Trace(short).stream(CATALOGUE, rate=None, load=0.6)
    border = stream.jobs.time[0] + 0.75 * stream.duration
    lengths = {"episode_jobs": 100, "warmup_days": 0.5}
    assert max(stream.jobs.time[w.stop - 1] for w in stream.windows("train", **lengths)) < border
    assert min(stream.jobs.time[w.first] for w in stream.windows("test", **lengths)) >= border
