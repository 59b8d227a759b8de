"""The trials of other people's tools: programs that compile, failures that are said, the record."""

import json
import subprocess
import sys

import pytest

from benchmarks import readers


@pytest.mark.parametrize("name", readers.READERS)
def test_every_program_is_python(name):
    program = readers.READERS[name].program or readers._block(readers.PAGE.read_text())
    compile(program, name, "exec")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """This very interpreter in place of one with the tool installed."""
    monkeypatch.setattr(readers, "_install", lambda venv, packages, limit: sys.executable)
    monkeypatch.setattr(readers, "_versions", lambda python: {"numpy": "2"})
    return tmp_path


def program(monkeypatch, text):
    monkeypatch.setitem(readers.READERS, "d3rlpy", readers.Reader(("d3rlpy",), text, "data"))


def test_what_a_program_says_is_written_down(here, monkeypatch):
    program(monkeypatch, "import sys; print('noise'); print('{\"path\": %d}' % len(sys.argv))")
    found = readers.run("d3rlpy", here, here / "a.hdf5", 60)
    assert found == {
        "packages": ["d3rlpy"],
        "versions": {"numpy": "2"},
        "ran": True,
        "said": {"path": 3},
    }


def test_a_failure_is_written_down_with_its_reason(here, monkeypatch):
    program(monkeypatch, "raise SystemExit('no such thing')")
    found = readers.run("d3rlpy", here, here / "a.hdf5", 60)
    assert (found["ran"], found["why"]) == (False, "no such thing")
    program(monkeypatch, "import time; time.sleep(60)")
    found = readers.run("d3rlpy", here, here / "a.hdf5", 0.5)
    assert (found["ran"], found["why"]) == (False, "not done in 0.5 s")


def test_a_tool_that_cannot_be_installed_is_no_tool_that_ran(here, monkeypatch):
    def refuse(*_):
        raise subprocess.CalledProcessError(1, "pip", stderr="no network")

    monkeypatch.setattr(readers, "_install", refuse)
    assert readers.run("zoo", here, here / "a.hdf5", 60)["why"] == "no network"


def test_the_committed_record_says_that_all_ran():
    result = json.loads(readers.OUT.read_text())
    assert set(result["readers"]) == set(readers.READERS)
    assert all(found["ran"] for found in result["readers"].values())
    assert result["readers"]["d3rlpy"]["said"]["equal_to_our_file"] is True
    assert result["readers"]["minari"]["said"]["equal_to_our_file"] is True
