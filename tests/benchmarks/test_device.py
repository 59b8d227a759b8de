"""Models are learned where nothing but what the generators need is installed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import generators
from benchmarks import device
from pandaenv import reference

ROOT = Path(__file__).parents[2]
ABSENT = ("catboost", "gymnasium", "stable_baselines3", "matplotlib", "jinja2", "rich", "duckdb")
PROFILE = """
n_train = 300
n_holdout = 100
n_mlef = 50
days = 7
steps = 4
[generators.small]
generator = "tabar"
d_trunk = 8
"""


@pytest.fixture
def bare(tmp_path):
    """Run a command of Python where the packages of `ABSENT` cannot be imported."""
    for name in ABSENT:
        (tmp_path / "absent").mkdir(exist_ok=True)
        (tmp_path / "absent" / f"{name}.py").write_text("raise ImportError(__name__)\n")
    paths = os.pathsep.join([str(tmp_path / "absent"), str(ROOT)])

    def run(*words):
        return subprocess.run(
            [sys.executable, *map(str, words)],
            env=os.environ | {"PYTHONPATH": paths},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    return run


def test_a_bare_machine_learns_what_is_scored_elsewhere(bare, tmp_path):
    (tmp_path / "tiny.toml").write_text(PROFILE)
    profile, data, out = tmp_path / "tiny.toml", tmp_path / "train.parquet", tmp_path / "out"
    reference.records(days=7, seed=0, rate=60).head(300).to_parquet(data, index=False)
    words = "-m benchmarks.device --rows 20 --device cpu --profile".split()
    done = bare(*words, profile, "--data", data, "--out", out, "--generators", "small", "smote")
    assert done.returncode == 0, done.stderr
    found = json.loads((out / "device.json").read_text())
    assert found["card"] is None and list(found["rows"]) == ["small", "smote"]
    assert found["rows"]["small"]["steps"] == 4 and found["rows"]["small"]["n_train"] == 300
    for name in found["rows"]:
        drawn = generators.load(out / "models" / name).sample(20, seed=0)
        sample = pd.read_parquet(out / "samples" / f"{name}.parquet")
        pd.testing.assert_frame_equal(sample, drawn, check_dtype=False, check_categorical=False)


@pytest.mark.slow
def test_the_table_of_devices_is_measured_on_a_bare_machine(bare, tmp_path):
    script = tmp_path / "measure.py"
    script.write_text(
        "import json\nfrom benchmarks.speed import device\n"
        "if __name__ == '__main__':\n"
        "    print(json.dumps(device.measure(0, rows=200, models=('tvae',))))\n"
    )
    done = bare(script)
    assert done.returncode == 0, done.stderr
    cpu = json.loads(done.stdout)["models"]["tvae"]["cpu"]
    assert all(cpu[name] > 0 for name in ("step_ms", "paper_s", "rows_per_s", "peak_bytes"))


def test_the_rows_are_those_that_fidelity_trains_on(tmp_path):
    (tmp_path / "tiny.toml").write_text(PROFILE)
    path = tmp_path / "train.parquet"
    device.main(["--prepare", str(path), "--profile", str(tmp_path / "tiny.toml")])
    table = pd.read_parquet(path)
    assert len(table) == 300 and list(table) == list(reference.records(days=7, seed=0, rate=60))


@pytest.mark.parametrize(
    ("words", "message"),
    [([], "one of --prepare and --data"), (["--data", "x.parquet"], "--out must be given")],
)
def test_what_is_missing_is_said(words, message):
    with pytest.raises(ValueError, match=message):
        device.main(words)
