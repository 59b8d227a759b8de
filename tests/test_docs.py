"""The pages: links lead somewhere, the menu has all of them, code runs, and the site is built."""

import ast
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from benchmarks.report import site

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *ROOT.glob("benchmarks/**/*.md")])
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
ELSEWHERE = ("rllib.md",)
"""Pages whose code wants an environment of its own: `benchmarks.readers` runs it."""


def text(page):
    return page.read_text(encoding="utf-8")


def named(page):
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_to_a_file(page):
    targets = [link["target"] for link in site.LINK.finditer(text(page))]
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_the_menu_has_every_page_once():
    listed = list(leaves(yaml.safe_load(text(ROOT / "mkdocs.yml"))["nav"]))
    pages = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}
    outside = {named(page) for name in site.OUTSIDE for page in ROOT.glob(name)}
    assert len(listed) == len(set(listed))
    assert set(listed) == pages | {name for name in outside if name.endswith(".md")}


def leaves(menu):
    """The pages of a part of the menu."""
    for entry in menu:
        (under,) = entry.values()
        yield from leaves(under) if isinstance(under, list) else [under]


def test_questions_quote_messages_that_exist():
    quoted = re.findall(r"`([^`]+)`", "".join(re.findall(r"\*\*(.+?)\*\*", text(DOCS / "faq.md"))))
    pieces = [piece.strip() for words in quoted for piece in words.split("…")]
    told = said()
    ours = [piece for piece in pieces if len(piece) > 9 and not piece.startswith(("Name", "gym."))]
    assert len(ours) > 15
    assert [piece for piece in ours if piece not in told] == []


@cache
def said():
    """Every text in the sources, what is filled in left out."""
    texts = []
    for package in ("foundations", "generators", "metrics", "pandaenv", "benchmarks"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(text(path))):
                if isinstance(node, ast.JoinedStr):
                    parts = (part.value for part in node.values if isinstance(part, ast.Constant))
                    texts.append("".join(parts))
                    texts += [part.value for part in node.values if isinstance(part, ast.Constant)]
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    texts.append(node.value)
    return "\n".join(texts)


WITH_CODE = [
    page
    for page in sorted(DOCS.rglob("*.md"))
    if BLOCK.search(text(page)) and page.name not in ELSEWHERE
]


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_CODE, ids=named)
def test_the_code_of_a_page_runs_as_printed(page, tmp_path, monkeypatch):
    """One block after the other, as a reader runs them."""
    monkeypatch.chdir(tmp_path)
    names = {"__name__": page.stem}
    for block in BLOCK.findall(text(page)):
        exec(compile(block, named(page), "exec"), names)


# --- the site -------------------------------------------------------------------------------------


def test_without_the_extra_one_sentence_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(site, "NEEDED", (*site.NEEDED, "not_installed"))
    with pytest.raises(ModuleNotFoundError, match=r"^the site needs .* 'pandaenv\[docs\]'$"):
        site.main(["--out", str(tmp_path / "site")])
    assert not (tmp_path / "site").exists()


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of the site."""
    if any(find_spec(name) is None for name in site.NEEDED):
        pytest.skip("the extra docs is not installed")
    folder = tmp_path_factory.mktemp("built") / "site"
    assert site.main(["--out", str(folder)]) == 0
    return folder


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(built):
    assert (built / "index.html").is_file() and (built / "api" / "metrics.html").is_file()


@pytest.mark.slow
def test_pages_fetch_nothing_from_elsewhere(built):
    fetched = re.compile(r"<(?:script|img|iframe|link)\b[^>]*(?:src|href)=\"?(https?:)?//")
    for page in built.rglob("*.html"):
        assert not fetched.search(text(page)), page


@pytest.mark.slow
def test_public_functions_are_on_the_site(built):
    shown = "".join(text(page) for page in (built / "api").rglob("*.html"))
    for name in ("metrics.evaluate", "generators.make", "pandaenv.records.ingest"):
        assert f'id="{name}"' in shown, name
