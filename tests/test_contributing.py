"""CONTRIBUTING.md: every example runs as printed."""

import re
from pathlib import Path

import pytest

import generators
from pandaenv import scenarios

TEXT = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"### (.+?)\n.*?```python\n(.*?)```", TEXT, re.DOTALL))


@pytest.fixture(autouse=True)
def registries():
    """What the examples add is taken away again."""
    from metrics.registry import MEASURES

    kept = [(each, dict(each)) for each in (generators.REGISTRY, scenarios.SCENARIOS, MEASURES)]
    yield
    for each, before in kept:
        each.clear()
        each.update(before)


def test_every_kind_of_extension_has_an_example():
    assert list(EXAMPLES) == re.findall(r"^### (.+)$", TEXT, re.MULTILINE)


@pytest.mark.parametrize("code", EXAMPLES.values(), ids=EXAMPLES)
def test_an_example_runs_as_printed(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "CONTRIBUTING.md", "exec"), {"__name__": "example"})
