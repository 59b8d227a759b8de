"""The trials of other people's tools: programs that compile, failures that are said, the record."""

import json
import sys

import pytest

from benchmarks import readers


@pytest.mark.parametrize("name", readers.READERS)
def test_every_program_is_python(name):
    program = readers.READERS[name].program or readers._block(readers.PAGE.read_text())
    compile(program, name, "exec")


def program(text):
    return readers.Reader(("d3rlpy",), text, "data")


def test_what_a_program_says_is_written_down(tmp_path):
    talkative = program("import sys; print('noise'); print('{\"path\": %d}' % len(sys.argv))")
    found = readers.tried(talkative, sys.executable, tmp_path / "a.hdf5", 60)
    assert found == {"ran": True, "said": {"path": 3}}


def test_a_failure_is_written_down_with_its_reason(tmp_path):
    failing = program("raise SystemExit('no such thing')")
    found = readers.tried(failing, sys.executable, tmp_path / "a.hdf5", 60)
    assert found == {"ran": False, "why": "no such thing"}
    slow = program("import time; time.sleep(60)")
    found = readers.tried(slow, sys.executable, tmp_path / "a.hdf5", 0.5)
    assert found == {"ran": False, "why": "not done in 0.5 s"}


def test_a_tool_that_cannot_be_installed_is_no_tool_that_ran(tmp_path):
    """Not even a virtual environment can be made where a file stands in the way."""
    (tmp_path / "venv").write_text("")
    found = readers.install_and_try(program(""), tmp_path / "venv", tmp_path / "a.hdf5", 60)
    assert (found["packages"], found["ran"]) == (["d3rlpy"], False)


def test_the_committed_record_says_that_all_ran():
    result = json.loads(readers.OUT.read_text())
    assert set(result["readers"]) == set(readers.READERS)
    assert all(found["ran"] for found in result["readers"].values())
    assert result["readers"]["d3rlpy"]["said"]["equal_to_our_file"] is True
    assert result["readers"]["minari"]["said"]["equal_to_our_file"] is True
