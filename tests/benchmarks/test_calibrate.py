"""benchmarks.calibrate: the search, the figures beside slow twins, the published result."""

import json

import numpy as np
import pytest

from benchmarks import calibrate
from pandaenv.background import RANGES, Background
from pandaenv.env import TaskConfig
from tests.pandaenv.simulator.grids import records


def test_a_search_finds_what_it_looks_for_within_its_bounds():
    goal = calibrate.parameters(np.full(len(calibrate.BOUNDS), 0.3))

    def loss(found):
        assert all(low <= found[k] <= high for k, (low, high, _) in calibrate.BOUNDS.items())
        return sum(abs(np.log((found[k] + 0.01) / (goal[k] + 0.01))) for k in goal)

    best, tried = calibrate.descend(loss, 400, seed=1)
    assert loss(best) == min(tried) < 0.3 * min(tried[:200]) and len(tried) == 400
    assert calibrate.descend(loss, 400, seed=1) == (best, tried)


def test_every_parameter_is_the_load_or_a_field_of_a_background():
    for name, (low, high, _) in calibrate.BOUNDS.items():
        made = [Background(**{name: x}) if name != "load" else None for x in (low, high)]
        assert name in ("load", *RANGES) and len(made) == 2
    task = calibrate.task_of(TaskConfig(), {"load": 0.3, "queue": 0.5})
    assert (task.load, task.background) == (0.3, Background(queue=0.5))


def test_queues_are_counted_at_each_hour_and_site():
    rng = np.random.default_rng(0)
    job = np.zeros(300, [(name, "f8") for name in ("ready", "start", "end")] + [("site", "i4")])
    job["site"] = rng.integers(4, size=300)
    job["ready"] = 1e5 * rng.random(300)
    job["start"] = job["ready"] + rng.exponential(3_000, 300)
    job["end"] = job["start"] + rng.exponential(6_000, 300)
    hour, expected = np.arange(0, 1e5, 3_600.0), []
    for s in range(4):
        for t in hour:
            here = job[job["site"] == s]
            running = ((here["start"] <= t) & (t < here["end"])).sum()
            if running:
                expected.append(((here["ready"] <= t) & (t < here["start"])).sum() / running)
    assert calibrate.queued_by_running(job, 4, hour).tolist() == expected


def test_a_distance_is_in_factors_of_ten():
    goals = {"a": 1.0, "b": 2.0}
    assert calibrate.distance({"a": 10.0, "b": 2.0}, goals) == pytest.approx(0.5)
    assert calibrate.distance({"a": 0.1, "b": 2.0}, goals) == pytest.approx(0.5)


def test_records_of_ones_own_set_the_shares_of_sites(tmp_path):
    with pytest.raises(ValueError, match="--records must be a folder with records.parquet, got"):
        calibrate.recorded_task(tmp_path)
    table = records()
    table.to_parquet(tmp_path / "records.parquet")
    result = calibrate.search(2, 0, tmp_path)
    count = table["computingsite"].value_counts()
    middle, large = np.percentile(count, (50, 95))
    assert result["goals"]["running, site at 95 % / 50 %"] == pytest.approx(large / middle)
    assert result["after"]["searched"]["mean_dex"] == min(result["losses"])
    assert "| wait 50 %, s | 3,266 |" in calibrate.to_markdown(result)


def test_the_published_result_is_the_best_point_and_beats_what_was_before():
    result = json.loads(calibrate.OUT.read_text(encoding="utf-8"))
    after, before = result["after"], result["before"]
    assert len(result["losses"]) == result["points"] == 140
    assert after["searched"]["mean_dex"] == min(result["losses"]) < before["searched"]["mean_dex"]
    assert set(result["parameters"]) == set(calibrate.BOUNDS)
    for part in (*after.values(), *before.values()):
        assert part["mean_dex"] == pytest.approx(np.mean(np.abs(list(part["dex"].values()))))
