"""What a practitioner would install instead: other libraries on our rows, seconds and judge.

Each peer learns and samples in a virtual environment of its own, in a process of its own, and is
scored as `benchmarks.fidelity` scores our generators, on the same cuts and seeds. Writes
results/peers-DATA.json: a row for each model, paired differences to the best of ours, and for a
peer that did not run the reason. None of them is ever a dependency of ours.

    python -m benchmarks.peers --folder peers/ [--data FILE --target COLUMN] [--only sdv-ctgan ...]
"""

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks import fidelity
from benchmarks.inputs.arguments import command, command_parser, positive, whole
from benchmarks.inputs.candidates import generator
from benchmarks.inputs.environments import TORCH, install, installed
from benchmarks.inputs.places import RESULTS
from benchmarks.report import repeats
from benchmarks.report.provenance import provenance, write_json
from benchmarks.table1.run import TableRun
from foundations.tables import is_numerical

OURS = ("tabddpm", "tabar")
SHOWN = ("WD", "JSD", "diff-CORR", "diff-MLEF", "C2ST", "DCR", "closer to train", "membership AUC")
FITTED, DRAWN = "fitted:", "drawn:"

# Programs define learn(table, seconds, seed) -> model and draw(model, n, seed) -> table.
MOSTLYAI = """
from mostlyai.engine import TabularARGN
def learn(table, seconds, seed):
    return TabularARGN(max_training_time=seconds / 60, device="cpu", random_state=seed).fit(table)
def draw(model, n, seed):
    return model.sample(n_samples=n)
"""

SDV = """
from sdv.metadata import Metadata
from sdv.single_table import GaussianCopulaSynthesizer, CTGANSynthesizer, TVAESynthesizer
def fitted(kind, table, **options):
    model = kind(Metadata.detect_from_dataframes({"table": table}), **options)
    model.fit({"table": table})
    return model
def draw(model, n, seed):
    return model.sample(n)["table"]
"""

COPULA = """
def learn(table, seconds, seed):
    return fitted(GaussianCopulaSynthesizer, table)
"""

# Its length is a number of epochs, so one of them is timed first, at the cost of the budget.
EPOCHS = """
import time
def learn(table, seconds, seed):
    def made(epochs):
        began = time.monotonic()
        return fitted(KIND, table, epochs=epochs), time.monotonic() - began
    model, one = made(1)
    left = int((seconds - one) / max(one, 1e-9))
    return made(left)[0] if left > 1 else model
"""

SYNTHCITY = """
import time, warnings
warnings.filterwarnings("ignore")
from synthcity.plugins import Plugins
from synthcity.plugins.core.dataloader import GenericDataLoader
def learn(table, seconds, seed):
    def made(n_iter):
        model = Plugins().get("ddpm", n_iter=n_iter, random_state=seed, device="cpu")
        began = time.monotonic()
        model.fit(GenericDataLoader(table))
        return model, time.monotonic() - began
    model, one = made(1)
    left = int((seconds - one) / max(one, 1e-9))
    return made(left)[0] if left > 1 else model
def draw(model, n, seed):
    return model.generate(count=n, random_state=seed).dataframe()
"""

FOREST = """
import numpy as np
from ForestDiffusion import ForestDiffusionModel
def learn(table, seconds, seed):
    names = list(table)
    words = [k for k, c in enumerate(names) if table[c].dtype == object]
    levels = {k: sorted(table[names[k]].unique()) for k in words}
    X = np.column_stack([
        table[c].map({v: i for i, v in enumerate(levels[k])}) if k in levels else table[c]
        for k, c in enumerate(names)]).astype(float)
    model = ForestDiffusionModel(X, label_y=None, n_t=50, duplicate_K=10, cat_indexes=words,
                                 diffusion_type="flow", n_jobs=-1, seed=seed)
    model.names, model.levels = names, levels
    return model
def draw(model, n, seed):
    X = model.generate(batch_size=n)
    made = pd.DataFrame(X, columns=model.names)
    for k, known in model.levels.items():
        made[model.names[k]] = np.array(known)[made[model.names[k]].astype(int)]
    return made
"""

ARF = """
from arfpy import arf
def learn(table, seconds, seed):
    model = arf.arf(x=table.copy(), verbose=False)
    model.forde()
    return model
def draw(model, n, seed):
    return model.forge(n=n)
"""

CHILD = """
import json, sys
import pandas as pd
{program}
table = pd.read_parquet(sys.argv[1])
model = learn(table, float(sys.argv[2]), int(sys.argv[3]))
print("{fitted}", flush=True)
for line in sys.stdin:
    n, seed, path = json.loads(line)
    draw(model, n, seed).to_parquet(path, index=False)
    print("{drawn}", flush=True)
"""


@dataclass(frozen=True)
class Library:
    """A peer: what is installed for it, the program that learns and draws, the rows it can take."""

    packages: tuple[str, ...]
    program: str
    most_rows: int | None = None
    """Rows beyond which it does not end within minutes; it learns a random part of the table."""
    torch: tuple[str, ...] = TORCH


PEERS = {
    "mostlyai-engine": Library(("mostlyai-engine",), MOSTLYAI),
    "sdv-gaussian-copula": Library(("sdv",), SDV + COPULA),
    "sdv-ctgan": Library(("sdv",), SDV + EPOCHS.replace("KIND", "CTGANSynthesizer")),
    "sdv-tvae": Library(("sdv",), SDV + EPOCHS.replace("KIND", "TVAESynthesizer")),
    "synthcity-ddpm": Library(
        ("synthcity",), SYNTHCITY, torch=("torch==2.14.1", "torchvision==0.29.1")
    ),
    "forest-diffusion": Library(("ForestDiffusion", "pandas<3"), FOREST, 1_000),
    "arfpy": Library(("arfpy", "numpy<2.2", "pandas<3"), ARF, 5_000),
}


class Peer:
    """A library as a generator; it lives in a process that waits between learning and drawing.

    Args:
        python: interpreter of the environment that holds the library.
        limit: seconds that learning or drawing may take, whatever the budget.

    Raises: RuntimeError with the library's last words where it fails or does not end.
    """

    def __init__(self, library: Library, python: Path | str, limit: float = 900):
        self.library, self.python, self.limit = library, str(python), limit

    def __repr__(self) -> str:
        return f"Peer({', '.join(self.library.packages)})"

    def fit(self, table: pd.DataFrame, *, seed: int = 0, budget: float = 60.0) -> "Peer":
        """Learn in the child; categories are given as text."""
        self.folder = tempfile.TemporaryDirectory()
        path, self.dtypes = Path(self.folder.name) / "train.parquet", table.dtypes
        most = min(self.library.most_rows or len(table), len(table))
        rows = table.sample(most, random_state=seed) if most < len(table) else table
        words = [c for c in rows if not is_numerical(rows[c])]
        rows.astype(dict.fromkeys(words, object)).to_parquet(path, index=False)
        program = CHILD.format(program=self.library.program, fitted=FITTED, drawn=DRAWN)
        self.said = open(Path(self.folder.name) / "said", "w+")
        self.child = subprocess.Popen(
            [self.python, "-c", program, path, str(budget), str(seed)],
            cwd=self.folder.name,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.said,
            text=True,
            env=os.environ | {"PYTHONWARNINGS": "ignore", "PYTHONPATH": ""},
        )
        self._wait_for(FITTED)
        return self

    def sample(self, n: int, *, seed: int = 0) -> pd.DataFrame:
        """Rows with the columns of the fitted table, in its order; its integers are whole."""
        path = Path(self.folder.name) / "drawn.parquet"
        with contextlib.suppress(BrokenPipeError):  # it has ended; why is read from its last words
            self.child.stdin.write(json.dumps([n, seed, str(path)]) + "\n")
            self.child.stdin.flush()
        self._wait_for(DRAWN)
        made = pd.read_parquet(path)
        if lacking := [name for name in self.dtypes.index if name not in made]:
            raise RuntimeError(f"it drew no column {lacking[0]!r}")
        made = made[list(self.dtypes.index)]
        whole = {name: 0 for name, dtype in self.dtypes.items() if dtype.kind in "iu"}
        return made.round(whole).astype(dict.fromkeys(whole, "int64"))

    def told(self) -> dict:
        """Versions of the packages asked for, and how much of the table it learned."""
        names = [re.split("[<>=]", package)[0] for package in self.library.packages]
        found = installed(Path(self.python), names)
        return {"versions": found, "most_rows": self.library.most_rows}

    def close(self) -> None:
        """End the child and remove its files."""
        if hasattr(self, "child"):
            self.child.kill()
            self.child.communicate()
            self.said.close()
            self.folder.cleanup()

    def _wait_for(self, word: str) -> None:
        late = threading.Timer(self.limit, self.child.kill)
        late.start()
        try:
            for line in self.child.stdout:
                if line.startswith(word):
                    return
        finally:
            on_time = late.is_alive()
            late.cancel()
        self.child.wait()
        raise RuntimeError(self._last_words() if on_time else f"not done in {self.limit:g} s")

    def _last_words(self) -> str:
        self.said.seek(0)
        lines = [line.strip() for line in self.said if line.strip()]
        return lines[-1][:300] if lines else f"it ended with code {self.child.returncode}"


def main(argv: list[str] | None = None) -> int:
    """Compare; 0 if all peers ran on all seeds."""
    argv = sys.argv[1:] if argv is None else argv
    options = _parser().parse_args(argv)
    given = fidelity.parser().parse_args(_words(options))
    result = compared(
        fidelity.prepared_runs(given),
        {name: lambda name=name: _installed_peer(PEERS[name], options) for name in options.only},
    )
    result |= {"data": Path(options.data).stem}
    result |= provenance("benchmarks.peers", argv, list(range(options.repeats)))
    print(write_json(options.out or RESULTS / f"peers-{result['data']}.json", result))
    return 1 if result["missing"] else 0


def compared(runs: list[TableRun], peers: dict[str, Callable[[], Peer]]) -> dict:
    """Scores of ours and of the peers on the same cuts; a peer that fails is told with its reason.

    Args:
        peers: by name, how each is made; called once for every cut.
    """
    floor = _row("real rows", [run.table({})["floor"] for run in runs])
    rows = [_row(name, [_scored(run, name, generator(name)) for run in runs]) for name in OURS]
    missing = {}
    for name, make in peers.items():
        try:
            rows.append(_row(name, [_peer(name, run, make) for run in runs]) | make().told())
        except (RuntimeError, ValueError, OSError, subprocess.SubprocessError) as error:
            missing[name] = {"why": _sentence(error)}
            print(f"{name}: {missing[name]['why']}", file=sys.stderr)
    return {
        "floor": floor,
        "rows": rows,
        "missing": missing,
        "leads": repeats.leads(rows) if len(runs) > 1 else [],
        "train_rows": runs[0].profile.n_train,
        "seconds": runs[0].profile.budget,
        "scored_rows": runs[0].evaluator.n,
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
    }


def _installed_peer(library: Library, options: argparse.Namespace) -> Peer:
    venv = options.folder.absolute() / library.packages[0]
    python = install(venv, library.packages, options.limit, library.torch)
    return Peer(library, python, options.limit)


def _peer(name: str, run: TableRun, make: Callable[[], Peer]) -> dict:
    peer = make()
    try:
        return _scored(run, name, peer)
    finally:
        peer.close()


def _scored(run: TableRun, name: str, model: Any) -> dict:
    """The row of Table I of one model on one cut; found again if an earlier run finished it."""
    return run.table({name: model})["rows"][0]


def _row(name: str, runs: list[dict]) -> dict:
    """Means over the seeds, and the numbers of each."""
    keys = [k for k in (*SHOWN, "fit_seconds", "sample_rows_per_s") if runs[0].get(k) is not None]
    single = [{k: run[k] for k in keys} for run in runs]
    means = {k: sum(run[k] for run in single) / len(single) for k in keys}
    return {"model": name} | means | {"runs": single}


def _sentence(error: Exception) -> str:
    """The last words of a failure, without the folders of this machine."""
    said = " ".join(str(getattr(error, "stderr", None) or error).split())[-300:]
    return re.sub(r"(/[^\s/()]+)+/(?=[^\s/()]+)", "", said)


def _words(options: argparse.Namespace) -> list[str]:
    """The command line of `benchmarks.fidelity` on the same rows."""
    words = ["--data", options.data, "--profile", options.profile, "--quiet"]
    words += ["--repeats", str(options.repeats)]
    words += ["--out", str(options.folder / f"scores-{Path(options.data).stem}")]
    words += ["--target", options.target] if options.target else []
    return words + (["--budget", str(options.budget)] if options.budget else [])


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("peers", __doc__)
    add = parser.add_argument
    add("--folder", type=Path, required=True, help="of the virtual environments and scores")
    add("--data", default="reference", help="as of benchmarks.fidelity (default %(default)s)")
    add("--target", help="numerical column to predict for diff-MLEF")
    add("--profile", default="standard", help="as of benchmarks.fidelity (default %(default)s)")
    add("--budget", type=positive, help="seconds of training, instead of the profile's")
    add("--repeats", type=whole(1), default=3, help="number of seeds (default %(default)s)")
    add("--only", nargs="+", choices=PEERS, default=list(PEERS), help="default: all")
    add("--limit", type=positive, default=900, help="seconds of each step (default %(default)s)")
    add("--out", type=Path, help="JSON file (default: results/peers-DATA.json)")
    return parser


if __name__ == "__main__":
    command(main)
