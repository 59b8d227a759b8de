"""The documentation site: pages that stand outside of docs/, and links as they are on a disk.

In: mkdocs.yml, the pages of docs/ and what OUTSIDE names. Out: a folder of HTML that needs no
network; a link that leads nowhere, or a page that the menu lacks, is an error. MkDocs calls
`on_files` and `on_page_markdown`, see `hooks` in mkdocs.yml.

    python -m benchmarks.report.site [--out site]
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.inputs.arguments import command, command_parser, new_folder
from benchmarks.inputs.places import ROOT

if TYPE_CHECKING:
    from mkdocs.structure.files import Files

OUTSIDE = ("CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/results/*.*")
"""Pages of the site, and files they link to, that stand elsewhere."""
LINK = re.compile(r"\]\((?P<target>[^)\s:#]+)(?P<anchor>#[^)\s]*)?\)")
NEEDED = ("mkdocs", "material", "mkdocstrings", "mkdocstrings_handlers")


def main(argv: list[str] | None = None) -> int:
    """Build the site; 0 where every link leads somewhere."""
    folder = _parser().parse_args(argv).out.absolute()
    if any(find_spec(name) is None for name in NEEDED):
        raise ModuleNotFoundError("the site needs MkDocs: pip install 'pandaenv[docs]'")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(words, cwd=ROOT, env=quiet).returncode


def _parser() -> argparse.ArgumentParser:
    made = command_parser("report.site", __doc__)
    made.add_argument(
        "--out", type=new_folder, default=ROOT / "site", help="folder of the pages (default: site)"
    )
    return made


def on_files(files: Files, config: Any) -> Files:
    """Add what stands outside of docs/, at its place in the checkout."""
    from mkdocs.structure.files import File

    for pattern in OUTSIDE:
        for path in sorted(ROOT.glob(pattern)):
            uri = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, uri, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Lead links to where the site has the file that they lead to on a disk."""
    source = page.file
    uris = {each.abs_src_path: each.src_uri for each in files}

    def led(link: re.Match) -> str:
        path = os.path.normpath(Path(source.abs_src_path).parent / link["target"])
        if path not in uris:
            return link[0]
        target = os.path.relpath(uris[path], Path(source.src_uri).parent)
        return f"]({Path(target).as_posix()}{link['anchor'] or ''})"

    return LINK.sub(led, markdown)


if __name__ == "__main__":
    command(main)
