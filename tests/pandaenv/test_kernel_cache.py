import os
import shutil
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pandaenv.kernel_cache import CacheFiles, package_of, sources_digest

ROOT = Path(__file__).parents[2]
SOURCES = {
    "__init__.py": "",
    "units.py": "SCALE = 10.0\n",
    "inner.py": "from pandaenv.kernels import part\n\n\n@part\ndef inner(x):\n    return x + 1.0\n",
    "outer.py": "from pandaenv.kernels import kernel\n"
    "from .inner import inner\nfrom .units import SCALE\n\n\n"
    "@kernel\ndef outer(x):\n    return SCALE * inner(x)\n",
    "words.py": "TEXT = 'no kernel here'\n",
}
CALL = (
    "from toy.outer import outer\n"
    "value = outer(2.0)\n"
    "print(value, 'compiled' if outer.stats.cache_misses else 'loaded')\n"
)


@pytest.fixture
def toy(tmp_path) -> Path:
    """A package whose kernel stands on a kernel and a constant of other files."""
    folder = tmp_path / "toy"
    folder.mkdir()
    for name, text in SOURCES.items():
        (folder / name).write_text(text)
    return folder


def call(toy: Path, **environment) -> str:
    """What a new process gets from the kernel, and whether it had to compile it."""
    path = os.pathsep.join([str(toy.parent), str(ROOT)])
    run = subprocess.run(
        [sys.executable, "-B", "-c", CALL],
        env=os.environ | {"PYTHONPATH": path, "NUMBA_CACHE_DIR": ""} | environment,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*.nb[ic]")}


def test_a_kernel_is_loaded_until_a_source_it_stands_on_changes(toy):
    assert call(toy) == "30.0 compiled"
    for path in toy.glob("*.py"):
        os.utime(path, ns=(0, 0))
    (toy / "words.py").write_text("TEXT = 'another text'\n")
    assert call(toy) == "30.0 loaded"
    (toy / "inner.py").write_text(SOURCES["inner.py"].replace("1.0", "2.0"))
    assert call(toy) == "40.0 compiled"
    (toy / "units.py").write_text("SCALE = 1.0\n")
    assert call(toy) == "4.0 compiled"


def test_an_import_deletes_no_files(toy):
    call(toy)
    before = files(toy)
    (toy / "inner.py").write_text(SOURCES["inner.py"].replace("1.0", "2.0"))
    assert before and before <= files(toy)
    call(toy)
    assert files(toy) == before


@pytest.mark.skipif(os.name == "nt", reason="folders have no such permissions")
def test_a_package_that_cannot_be_written_is_kept_elsewhere(toy, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    (toy / "__pycache__").write_text("no folder")  # root may write anywhere else
    toy.chmod(stat.S_IRUSR | stat.S_IXUSR)
    home = {"XDG_CACHE_HOME": str(elsewhere), "HOME": str(elsewhere)}
    assert call(toy, **home) == "30.0 compiled"
    assert call(toy, **home) == "30.0 loaded"
    assert files(elsewhere) and not files(toy)
    toy.chmod(stat.S_IRWXU)


def test_processes_that_start_together_get_the_right_kernel(toy):
    with ThreadPoolExecutor() as pool:
        values = list(pool.map(lambda _: call(toy).split()[0], range(3)))
    assert values == ["30.0"] * 3


def test_without_a_compiler_kernels_are_plain_functions(toy):
    path = os.pathsep.join([str(toy.parent), str(ROOT)])
    code = "from toy.outer import outer; print(outer(2.0), type(outer).__name__)"
    run = subprocess.run(
        [sys.executable, "-B", "-c", code],
        env=os.environ | {"PYTHONPATH": path, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
    )
    assert run.stdout.split() == ["30.0", "function"], run.stderr


def test_code_of_other_sources_or_arguments_is_not_taken(tmp_path):
    ours, theirs = (CacheFiles(str(tmp_path), "f", stamp) for stamp in ("ours", "theirs"))
    ours.save("float", "code")
    assert ours.load("float") == "code"
    theirs.save("float", "other code")
    theirs.save("int", "third code")
    assert ours.load("float") is None
    shutil.copy(tmp_path / "f.1.nbc", tmp_path / "f.2.nbc")  # as if another had been last
    assert theirs.load("int") is None
    assert theirs.load("float") == "other code"


def test_a_file_outside_of_packages_stands_for_itself(toy):
    alone = toy.parent / "alone.py"
    alone.write_text("from numba import njit\n")
    assert package_of(alone) == alone
    assert package_of(toy / "inner.py") == toy
    assert sources_digest(alone) != sources_digest(toy)
