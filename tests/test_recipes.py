"""docs/recipes.md: its code runs as printed, one block after the other."""

import re
from pathlib import Path

import pytest

TEXT = (Path(__file__).parent.parent / "docs" / "recipes.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_recipes_run_as_printed():
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert len(blocks) == TEXT.count("\n## ") + 1
    names = {"__name__": "recipes"}
    for block in blocks:
        exec(compile(block, "docs/recipes.md", "exec"), names)
