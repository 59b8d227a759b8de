"""Models learned by the paper's protocol on a machine that has an accelerator and little else.

The rows are cut where the whole package is installed; then each model learns and draws where there
is torch, numba, pandas, pyarrow, scikit-learn, safetensors and tqdm; the saved models are scored
again at home. `benchmarks/device.sh` is all that a lent machine has to run. Writes for each row of
the profile the model and its sample, and device.json: card, seconds, steps, peak memory. A row that
is there already is kept, and a killed one goes on.

    python -m benchmarks.device --prepare train.parquet [--profile paper]
    python -m benchmarks.device --data train.parquet --out DIR [--device cuda]
    python -m benchmarks.fidelity --profile paper --generators DIR/models/*
"""

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

import generators
from benchmarks.inputs.arguments import (
    add_device_option,
    command,
    command_parser,
    new_file,
    new_folder,
    whole,
)
from benchmarks.report.provenance import provenance, write_json
from benchmarks.speed.device import peak_bytes
from benchmarks.table1.profile import Profile
from foundations.files import whole as whole_file


def main(arguments: list[str] | None = None) -> None:
    """Cut the rows, or learn from rows that were cut."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(arguments)
    if (options.prepare is None) == (options.data is None):
        raise ValueError("one of --prepare and --data must be given")
    profile = Profile.read(options.profile)
    if options.prepare:
        prepare(profile, options.seed, options.prepare)
        return
    if options.out is None:
        raise ValueError("--out must be given")
    rows = learn(profile, options)
    write_json(
        options.out / "device.json",
        {"card": card(options.device), "profile": profile.name, "rows": rows}
        | provenance("benchmarks.device", arguments, options.seed),
    )


def prepare(profile: Profile, seed: int, path: Path) -> None:
    """Write the rows on which `benchmarks.fidelity` trains with this profile and seed."""
    from benchmarks.inputs import splits  # what it imports is not there where models learn

    split = splits.read(splits.REFERENCE, days=profile.days, seed=seed)
    n_train, n_test = (
        min(profile.n_train, len(split.train)),
        min(profile.n_holdout, len(split.test)),
    )
    cut, _ = splits.subsample(split, n_train, n_test, 0, seed)
    with whole_file(path) as draft:
        cut.train.to_parquet(draft, index=False, compression="zstd")


def learn(profile: Profile, options: argparse.Namespace) -> dict[str, dict]:
    """Costs of each row of the profile, whose model and sample lie in the folder afterwards."""
    table, found = pd.read_parquet(options.data), {}
    for name in options.generators or profile.rows():
        noted = options.out / "rows" / f"{name}.json"
        if not noted.is_file():
            write_json(noted, _learned(name, profile, table, options))
        found[name] = json.loads(noted.read_text(encoding="utf-8"))
        print(name, json.dumps(found[name]["cost"]))
    return found


def _learned(name: str, profile: Profile, table: pd.DataFrame, options: argparse.Namespace) -> dict:
    registered, own = profile.options(name)
    model = generators.make(registered, **own)
    steps = options.steps or profile.steps_of(name)
    checkpoint = options.out / "models" / f"{name}.checkpoint"
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    model.fit(
        table,
        seed=options.seed,
        steps=steps,
        progress=False,
        checkpoint=checkpoint if model.has_network else None,
        device=options.device,
    )
    fitted = time.monotonic()
    sample = model.sample(options.rows or profile.n_mlef, seed=options.seed)
    drawn = time.monotonic()
    model.save(options.out / "models" / name)
    with whole_file(options.out / "samples" / f"{name}.parquet") as draft:
        sample.to_parquet(draft, index=False)
    checkpoint.unlink(missing_ok=True)
    return {"config": asdict(model.config), "steps": model.n_steps_, "n_train": len(table)} | {
        "cost": {
            "fit_seconds": round(fitted - began, 2),
            "rows_per_s": round(len(sample) / (drawn - fitted)),
            "peak_bytes": peak_bytes(model.device),
        }
    }


def card(device: str) -> str | None:
    """The accelerator's name, None for the processor."""
    import torch

    return None if device == "cpu" else torch.cuda.get_device_name(device)


def _parser() -> argparse.ArgumentParser:
    parser: Any = command_parser("device", __doc__)
    add = parser.add_argument
    add("--prepare", type=new_file, metavar="FILE", help="write the train rows of the profile")
    add("--data", type=Path, metavar="FILE", help="train rows to learn from")
    add("--profile", default="paper", help="of benchmarks.fidelity (default %(default)s)")
    add("--generators", nargs="+", metavar="ROW", help="rows of the profile (default: all)")
    add("--steps", type=whole(1), help="of each, instead of the profile's")
    add("--rows", type=whole(1), help="drawn from each (default: as many as are scored)")
    add_device_option(parser)
    add("--seed", type=whole(0), default=0, help="of cut, training and sampling")
    add("--out", type=new_folder, help="folder to write")
    return parser


if __name__ == "__main__":
    command(main)
