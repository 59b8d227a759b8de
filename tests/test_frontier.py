"""benchmarks.frontier: variants scored on the same cut, kept when finished, and drawn."""

import json

import pytest

from benchmarks import frontier


@pytest.fixture
def small(monkeypatch, tmp_path):
    few = tuple((words, model, settings, steps and 5)
                for words, model, settings, steps in frontier.VARIANTS
                if words in ("TabAR, width 64", "SMOTE, 5 neighbours"))  # fmt: skip
    monkeypatch.setattr(frontier, "VARIANTS", few)
    monkeypatch.setattr(frontier, "HOLDOUT", 300)
    monkeypatch.setattr(frontier, "MLEF", 150)
    monkeypatch.setattr(frontier, "GROUPS", tuple(g for g in frontier.GROUPS if "MLEF" not in g))
    shown = tuple(key for key in frontier.SHOWN if "MLEF" not in key)
    monkeypatch.setattr(frontier, "SHOWN", shown)
    monkeypatch.setattr(frontier, "drawn", lambda result: "<svg/>")
    monkeypatch.setattr(frontier, "_told", str)
    return ["--seeds", "4", "--rows", "600", "--days", "3", "--kept", str(tmp_path / "kept"),
            "--out", str(tmp_path)]  # fmt: skip


def test_a_finished_variant_is_not_learned_again(small, tmp_path, monkeypatch):
    frontier.main(small)
    first = json.loads((tmp_path / "frontier.json").read_text())
    monkeypatch.setattr(frontier, "_tried", lambda *_: pytest.fail("learned again"))
    frontier.main(small)
    assert json.loads((tmp_path / "frontier.json").read_text())["lines"] == first["lines"]
    assert [row["variant"] for row in first["lines"]] == [v[0] for v in frontier.VARIANTS]
    assert first["lines"][0]["validation nats"] > 0
    assert first["floor"]["upper bound"] >= first["floor"]["closer to train"]


def test_the_figure_has_a_dot_for_every_variant():
    row = {"C2ST": 0.5, "diff-MLEF": 0.1, "closer to train": 0.5}
    lines = [{"variant": words} | row for words, *_ in frontier.VARIANTS]
    picture = frontier.drawn({"lines": lines, "floor": row})
    assert picture.lstrip().startswith("<?xml") and picture.count("<use") >= 2 * len(lines)
