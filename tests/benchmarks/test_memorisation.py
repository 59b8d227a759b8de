"""benchmarks.memorisation: variants scored on the same cut, kept when finished, and drawn."""

import json

import pytest

from benchmarks import memorisation


@pytest.fixture
def small(monkeypatch, tmp_path):
    few = tuple(
        (words, model, settings, steps and 5)
        for words, model, settings, steps in memorisation.VARIANTS
        if words in ("TabAR, width 64", "SMOTE, 5 neighbours")
    )
    monkeypatch.setattr(memorisation, "VARIANTS", few)
    monkeypatch.setattr(memorisation, "HOLDOUT", 300)
    monkeypatch.setattr(memorisation, "MLEF", 150)
    groups = tuple(g for g in memorisation.GROUPS if "MLEF" not in g)
    monkeypatch.setattr(memorisation, "GROUPS", groups)
    shown = tuple(key for key in memorisation.SHOWN if "MLEF" not in key)
    monkeypatch.setattr(memorisation, "SHOWN", shown)
    monkeypatch.setattr(memorisation, "draw", lambda result: "<svg/>")
    monkeypatch.setattr(memorisation, "_summary", str)
    return [
        "--seeds",
        "4",
        "--rows",
        "600",
        "--days",
        "3",
        "--kept",
        str(tmp_path / "kept"),
        "--out",
        str(tmp_path),
    ]


def test_a_finished_variant_is_not_learned_again(small, tmp_path, monkeypatch):
    memorisation.main(small)
    first = json.loads((tmp_path / "memorisation.json").read_text())
    monkeypatch.setattr(memorisation, "_fit_and_score", lambda *_: pytest.fail("learned again"))
    memorisation.main(small)
    assert json.loads((tmp_path / "memorisation.json").read_text())["lines"] == first["lines"]
    assert [row["variant"] for row in first["lines"]] == [v[0] for v in memorisation.VARIANTS]
    assert first["lines"][0]["validation nats"] > 0
    assert first["floor"]["upper bound"] >= first["floor"]["closer to train"]


def test_the_figure_has_a_dot_for_every_variant():
    row = {"C2ST": 0.5, "diff-MLEF": 0.1, "closer to train": 0.5}
    lines = [{"variant": words} | row for words, *_ in memorisation.VARIANTS]
    picture = memorisation.draw({"lines": lines, "floor": row})
    assert picture.lstrip().startswith("<?xml") and picture.count("<use") >= 2 * len(lines)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--rows 5", "--rows must be at least"),
        ("--seeds -1", "must not be negative, got -1"),
        ("--days 0", "days must be"),
        ("--generators nowhere_:Mine", "the module 'nowhere_' cannot be imported"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(words, sentence, tmp_path, capsys):
    assert memorisation.main([*words.split(), "--out", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") and sentence in said and not list(tmp_path.iterdir())
