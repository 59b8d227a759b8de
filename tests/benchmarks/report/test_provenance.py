"""benchmarks.report.provenance: results say how they were made, and are never half-written."""

import json

import pytest

from benchmarks.report.provenance import provenance, write_json


def test_provenance_names_command_seed_and_versions_but_no_path():
    block = provenance("benchmarks.fidelity", ["--data", "/home/someone/secret/table.csv"], 3)
    assert block["command"] == "python -m benchmarks.fidelity --data table.csv"
    assert block["seed"] == 3
    assert {"python", "numpy", "torch"} <= set(block["versions"])
    assert "someone" not in json.dumps(block)


def test_write_json_leaves_the_old_file_when_the_new_one_cannot_be_written(tmp_path):
    path = write_json(tmp_path / "deep" / "result.json", {"WD": 0.5})
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(path, {"WD": float("nan")})
    assert json.loads(path.read_text()) == {"WD": 0.5}
    assert [p.name for p in path.parent.iterdir()] == ["result.json"]
