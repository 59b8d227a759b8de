"""A wheel carries what it needs: built from tracked files, installed where no checkout is."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
SCRIPT = """
import gymnasium as gym, json
from importlib.metadata import version
from pathlib import Path
import benchmarks, foundations, generators, metrics, pandaenv
from metrics.page import Page
from pandaenv.workload.pools import BUNDLED

packages = benchmarks, foundations, generators, metrics, pandaenv
homes = {Path(package.__file__).parents[1] for package in packages}
assert homes == {Path(json.loads(%r))}, homes
assert version("pandaenv") == pandaenv.__version__
for name in BUNDLED:
    env = gym.make("PandaSiteAllocationTier1-v0", workload=name, rate=500, episode_jobs=50)
    env.reset(seed=0)
model = generators.load(BUNDLED["masked"].parent)
rows = model.sample(300, seed=0)
report = metrics.evaluate(rows[:100], rows[100:200], rows[200:], only=["WD", "JSD"], target=None)
print(len(report.to_markdown()))
"""


def run(*words, cwd):
    """What a command prints; its end is part of the message where it fails."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run([*map(str, words)], cwd=cwd, env=clean, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of the files that git tracks, as they are in the working tree."""
    folder = tmp_path_factory.mktemp("source")
    for name in run("git", "ls-files", "-z", cwd=ROOT).split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    uv = Path(sys.executable).parent / "uv"
    run(uv if uv.exists() else "uv", "build", "--wheel", "--out-dir", folder / "dist", cwd=folder)
    (found,) = (folder / "dist").glob("pandaenv-*.whl")
    return found


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """A new environment with the wheel and the libraries of this one, but not its checkout."""
    home = tmp_path_factory.mktemp("home") / "venv"
    run(sys.executable, "-m", "venv", home, cwd=home.parent)
    python = home / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=home)
    ours = Path(
        run(python, "-c", "import sysconfig as s; print(s.get_path('purelib'))", cwd=home).strip()
    )
    (ours / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def test_a_wheel_makes_environments_models_and_reports_anywhere(python, tmp_path):
    ours = run(
        python, "-c", "import sysconfig as s; print(s.get_path('purelib'))", cwd=tmp_path
    ).strip()
    assert int(run(python, "-c", SCRIPT % f'"{ours}"', cwd=tmp_path)) > 100
    assert run(python.parent / "pandaenv", "--version", cwd=tmp_path).strip().endswith("0.1.0")
    run(python, "-m", "benchmarks.fidelity", "--profile", "smoke", "--dry-run", cwd=tmp_path)


def test_a_wheel_holds_no_tests_and_everything_that_is_data(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert not [name for name in names if name.startswith(("tests/", "docs/"))]
    tracked = run(
        "git", "ls-files", "pandaenv/data", "benchmarks/configs", "metrics", cwd=ROOT
    ).split()
    assert set(tracked) <= set(names)
