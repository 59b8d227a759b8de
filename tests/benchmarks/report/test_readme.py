"""README.md: its code runs, its commands exist; tables are those of the committed results."""

import json
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from benchmarks.inputs.places import RESULTS
from benchmarks.report import readme

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def test_python_blocks_run_as_printed(tmp_path):
    """Each with no names but its own, in one process that imports what is large once."""
    code = "\n".join(f"exec({block!r}, {{'__name__': '__main__'}})" for block in BLOCKS)
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert len(BLOCKS) >= 3 and run.returncode == 0, run.stderr


@pytest.mark.parametrize("page", readme.PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_tables_are_rendered_from_the_committed_results(page):
    text = page.read_text(encoding="utf-8")
    assert readme.BLOCK.search(text) and readme.render(text, page) == text


def test_every_page_with_a_table_is_rendered():
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *RESULTS.glob("*.md")]
    marked = {page for page in pages if readme.BLOCK.search(page.read_text(encoding="utf-8"))}
    assert marked == set(readme.PAGES)


@pytest.mark.parametrize("name", readme.WHOLE_PAGES)
def test_whole_pages_are_rendered_from_the_committed_results(name):
    result = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    page = (RESULTS / f"{name}.md").read_text(encoding="utf-8")
    assert page == readme.WHOLE_PAGES[name](result)


def test_rendering_replaces_what_stood_between_the_marks():
    name = next(iter(readme.BLOCK.finditer(TEXT)))["name"]
    stale = f"before\n<!-- {name} -->\nSTALE\n<!-- end -->\nafter"
    fresh = readme.render(stale)
    assert "STALE" not in fresh
    assert fresh.startswith("before\n<!--") and fresh.endswith("-->\nafter")


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_every_make_command_of_the_readme_is_a_target():
    text = TEXT + (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    for target in set(re.findall(r"(?:^|`)make ([a-z-]+)\b", text, re.MULTILINE)):
        subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.parametrize("module", sorted(set(re.findall(r"python -m ([\w.]+)", TEXT))))
def test_every_module_command_of_the_readme_prints_its_help(module, capsys):
    try:
        command = import_module(f"{module}.__main__")  # of a folder
    except ModuleNotFoundError:
        command = import_module(module)
    with pytest.raises(SystemExit) as left:
        command.main(["--help"])
    assert left.value.code == 0 and "usage: " in capsys.readouterr().out
