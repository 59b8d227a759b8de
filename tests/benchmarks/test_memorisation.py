"""benchmarks.memorisation: variants scored on the same cut, kept when finished, and drawn."""

import json

import pytest

from benchmarks import memorisation

TWO = ["TabAR, width 64", "SMOTE, 5 neighbours"]


def test_a_finished_variant_is_not_learned_again(tmp_path):
    words = ["--variants", *TWO, "--steps", "5", "--seeds", "4", "--rows", "600", "--days", "3"]
    words += ["--holdout", "300", "--mlef", "200", "--kept", tmp_path / "kept", "--out", tmp_path]
    words = list(map(str, words))
    assert memorisation.main(words) == 0
    first = json.loads((tmp_path / "memorisation.json").read_text())
    assert [row["variant"] for row in first["lines"]] == TWO
    assert first["lines"][0]["validation nats"] > 0
    assert first["floor"]["upper bound"] >= first["floor"]["closer to train"]
    assert "<svg" in (tmp_path / "memorisation.svg").read_text()
    finished = {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").iterdir()}
    assert len(finished) == 3 and memorisation.main(words) == 0
    assert json.loads((tmp_path / "memorisation.json").read_text())["lines"] == first["lines"]
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").iterdir()} == finished
    for path in finished:
        path.write_text(path.read_text().replace('"C2ST": 0', '"C2ST": 9'))
    assert memorisation.main(words) == 0
    again = json.loads((tmp_path / "memorisation.json").read_text())["lines"]
    assert [row["C2ST"] for row in again] == [row["C2ST"] for row in first["lines"]]


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
