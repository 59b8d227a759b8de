"""Commands that anything here names exist, and those recorded in results are still understood."""

import importlib
import importlib.util
import json
import re
import shlex

import pytest

from benchmarks.inputs.places import BENCHMARKS, RESULTS, ROOT

PAGES = [ROOT / "README.md", *ROOT.glob("docs/*.md"), *BENCHMARKS.rglob("*.md")]
SOURCES = [
    p
    for name in ("benchmarks", "pandaenv", "generators", "metrics")
    for p in ROOT.glob(f"{name}/**/*.py")
]
COMMAND = re.compile(r"python -m (benchmarks\.[a-z_]+(?:\.[a-z_]+)*)")


def run_by(name):
    """The module that `python -m NAME` runs."""
    spec = importlib.util.find_spec(name)
    assert spec is not None, name
    return importlib.import_module(f"{name}.__main__" if spec.submodule_search_locations else name)


def recorded():
    """The command of every result, as words."""
    commands = set()
    for path in RESULTS.glob("*.json"):
        result = json.loads(path.read_text(encoding="utf-8"))
        command = result.get("command") or result["provenance"]["command"]
        commands.add(command.removeprefix("python -m "))
    return sorted(commands)


def test_every_command_that_is_named_exists():
    texts = [path.read_text(encoding="utf-8") for path in [*PAGES, *SOURCES]]
    named = {module for text in texts for module in COMMAND.findall(text)}
    assert len(named) > 15
    for module in named:
        assert hasattr(run_by(module), "main"), module


@pytest.mark.parametrize("command", recorded())
def test_every_recorded_command_is_still_understood(command):
    name, *words = shlex.split(command)
    module = run_by(name)
    if not hasattr(module, "_parser"):
        pytest.skip("it builds its parser as it runs")
    module._parser().parse_args(words)
