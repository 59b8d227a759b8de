"""benchmarks.report.finished: what is found again, and what is not."""

import json

import pandas as pd
import pytest

from benchmarks.report.finished import (
    ResultCache,
    check_run,
    claim_run,
    read_sealed,
    read_sealed_table,
    write_sealed,
    write_sealed_table,
)
from foundations.seals import sealed


@pytest.fixture
def path(tmp_path):
    return tmp_path / "kept"


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_kept_result_is_made_again_where_it_was_edited(tmp_path):
    made = []
    cache = ResultCache(tmp_path, {"seed": 1})

    def result():
        made.append(1)
        return {"score": 0.25}

    assert cache.get("a", result) == cache.get("a", result) == {"score": 0.25} and len(made) == 1
    change(tmp_path / "a.json", "0.25", "0.75")
    assert cache.get("a", result) == {"score": 0.25} and len(made) == 2
    assert ResultCache(tmp_path, {"seed": 2}).get("a", result) and len(made) == 3


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"score": 1}'])
def test_what_is_not_sealed_is_not_there(path, text):
    if text is not None:
        path.write_text(text)
    assert read_sealed(path) is None and read_sealed_table(path) is None


def test_sealed_entries_come_back(path):
    write_sealed(path, {"score": 0.1})
    assert read_sealed(path) == sealed({"score": 0.1})


def test_a_table_comes_back_as_it_was_until_it_is_edited(path):
    table = pd.DataFrame({"policy": ["a", "b"], "flow": [0.1 + 0.2, 1e-300]})
    written = write_sealed_table(path, table)
    pd.testing.assert_frame_equal(written, read_sealed_table(path), check_exact=True)
    pd.testing.assert_frame_equal(written, table)
    change(path, "b,", "c,")
    assert read_sealed_table(path) is None


def test_a_folder_is_claimed_once(tmp_path):
    claim_run(tmp_path, {"seed": 0, "generator a": {"k": (1, 2)}})
    claim_run(tmp_path, {"seed": 0, "generator b": {}})  # what it has not had yet is added
    known = {"seed": 0, "generator a": {"k": [1, 2]}, "generator b": {}}
    assert json.loads((tmp_path / "run.json").read_text()) == sealed(known)
    for other, differs in (
        ({"seed": 1}, "seed 0 instead of 1"),
        ({"generator a": {"k": list(range(40))}}, "other generator a"),
    ):
        with pytest.raises(ValueError, match=f"holds another run, with {differs}: name another"):
            claim_run(tmp_path, other)
    change(tmp_path / "run.json", '"seed": 0', '"seed": 1')
    with pytest.raises(ValueError, match="run.json is damaged, or was changed"):
        check_run(tmp_path, {"seed": 1})


@pytest.mark.parametrize("left", ["table1.json", "rows", "models"])
def test_a_folder_of_an_earlier_version_is_not_free(tmp_path, left):
    (tmp_path / left).mkdir()
    with pytest.raises(ValueError, match="holds a run that does not say its options"):
        check_run(tmp_path, {"seed": 1})
    assert check_run(tmp_path / "new", {"seed": 1}) == {}
