"""benchmarks.anomalies and benchmarks.sampler: models of both processes, small."""

import json

import pytest

from benchmarks import anomalies, sampler
from generators.tabddpm import TabDDPM
from pandaenv import records, reference

SIZE = ["--days", "7", "--rate", "300"]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    train, _ = records.split(reference.records(7, 0, 300), seed=0)
    masked = TabDDPM(d_trunk=32, d_head=32).fit(train, steps=200, progress=False)
    uniform = TabDDPM(process="uniform", d_layers=(16,)).fit(train, steps=5, progress=False)
    return masked.save(folder / "masked"), uniform.save(folder / "uniform")


def test_scores_of_both_processes_stand_beside_forests(models, tmp_path):
    words = [*SIZE, "--rows", "80", "--models", *map(str, models)]
    anomalies.main([*words, "--out", str(tmp_path / "a.json")])
    found = json.loads((tmp_path / "a.json").read_text())["AUC"]
    names = ["TabDDPM masked, likelihood", "TabDDPM uniform, denoising error"]
    assert list(found) == [*names, "forest, ordinal", "forest, one-hot"]
    assert found[names[0]]["workload off by 1,000"] > 0.7
    assert found[names[0]]["after the last record"] == 1.0


def test_the_masked_process_is_sampled_in_columns_and_the_uniform_one_by_two_rules(
    models, tmp_path
):
    for model, rules, steps in ((models[0], ["columns"], 3), (models[1], ["jumps"], 4)):
        words = [*SIZE, "--rows", "60", "--repeats", "1", "--model", str(model)]
        words += ["--steps", "1", str(steps), "--rules", *rules]
        sampler.main([*words, "--out", str(tmp_path / f"{steps}.json")])
        found = json.loads((tmp_path / f"{steps}.json").read_text())
        assert [line["steps"] for line in found["lines"]] == [1, steps]
        assert found["model"]["process"] == ("masked" if rules == ["columns"] else "uniform")
        assert all(0 <= line["C2ST"] <= 1 for line in (found["floor"], *found["lines"]))
