"""The bundled surrogates: a model trained on the reference workload, and a pool sampled from it.

Writes into one folder: the model in half precision (generator.json, weights-*.safetensors);
pool.parquet, sorted by time, with times in whole seconds and work in single precision; card.json:
data, seed, steps, training time, hashes, scores on held-out rows, versions and command. An
interrupted run resumes from --checkpoint. With --scores-only an existing pool is scored again, for
instance with metrics that the suite has gained since.

    python -m benchmarks.pretrain [--generator tabar] --budget 1800 [--checkpoint FILE] [--out DIR]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import generators
import pandaenv
from benchmarks.inputs import candidates
from benchmarks.inputs.arguments import (
    add_device_option,
    add_reference_options,
    command,
    command_parser,
    new_file,
    new_folder,
    positive,
    whole,
)
from benchmarks.report.provenance import provenance, write_json
from foundations import files, tables
from foundations.pages import markdown
from foundations.units import DAY_S
from metrics import evaluate
from metrics.report import plain
from pandaenv import records, reference, schema

DATA = Path(pandaenv.__file__).parent / "data"
BUNDLED = DATA / "tabddpm"
SECOND = 1 / DAY_S  # days


def main(arguments: list[str] | None = None) -> None:
    """Train, sample, score and write."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(arguments)
    model, options.out = candidates.generator(options.generator), _folder(options)
    table = reference.records(options.days, options.seed, options.rate)
    train, holdout = (
        half.reset_index(drop=True) for half in records.split(table, seed=options.seed)
    )
    if options.scores_only:
        rescore(train, holdout, options, arguments)
        return
    candidates.fit(
        model,
        train,
        seed=options.seed,
        budget=options.budget,
        steps=options.steps,
        checkpoint=options.checkpoint,
        device=options.device,
    )
    if hasattr(model, "save"):
        model.halve().save(options.out)  # the pool is then what the loaded model draws
    began = time.monotonic()
    few = {"steps": options.sampling_steps} if options.sampling_steps else {}
    pool = rounded(candidates.sample(model, options.pool, seed=options.seed, **few))
    rows_per_s = options.pool / (time.monotonic() - began)
    write_pool(pool, options.out / "pool.parquet")
    card = describe(model, train, options) | {
        "pool": describe_pool(options) | {"rows_per_s": round(rows_per_s)},
        "scores": scores(train, pool, holdout, options.judged, options.seed),
    }
    write_json(
        options.out / "card.json", card | provenance("benchmarks.pretrain", arguments, options.seed)
    )


def _folder(options: argparse.Namespace) -> Path:
    """The folder to write; only built-in generators have one of their own."""
    if options.out is None and options.generator not in generators.names():
        raise ValueError(f"--out must be given for the generator {options.generator}")
    return options.out or DATA / options.generator


def rescore(train, holdout, options: argparse.Namespace, arguments: list[str]) -> None:
    """Put new scores of the pool on its card, and how they came about under `scored`."""
    path, pool = options.out / "card.json", options.out / "pool.parquet"
    card = json.loads(path.read_text(encoding="utf-8"))
    for what, found, noted in (
        ("pool", files.digest(pool), card["pool"]["sha256"]),
        ("train table", tables.rows_digest(train), card["data"]["sha256"]),
    ):
        if found != noted:
            raise SystemExit(f"{path}: the {what} must be the card's, {noted}, got {found}")
    found = scores(train, pd.read_parquet(pool), holdout, options.judged, card["pool"]["seed"])
    made = provenance("benchmarks.pretrain", arguments, options.seed)
    write_json(path, card | {"scores": found, "scored": made})


def describe(model: Any, train: pd.DataFrame, options: argparse.Namespace) -> dict:
    """What the model was trained on, how long, and how large it is."""
    return {
        "data": {
            "records": "pandaenv.reference.records",
            "days": options.days,
            "rate": options.rate,
            "seed": options.seed,
            "train_rows": len(train),
            "sha256": tables.rows_digest(train),
        },
        "model": {
            "generator": getattr(model, "name", options.generator),
            "config": candidates.settings(model),
            "n_steps": getattr(model, "n_steps_", 0),
            "fit_seconds": round(getattr(model, "seconds_", 0.0), 1),
            "bytes": sum(path.stat().st_size for path in options.out.glob("weights-*")),
        },
    }


def describe_pool(options: argparse.Namespace) -> dict:
    """How the pool was sampled, and the hash it is known by."""
    path = options.out / "pool.parquet"
    few = {"sampling_steps": options.sampling_steps} if options.sampling_steps else {}
    return {
        "rows": options.pool,
        "seed": options.seed,
        **few,
        "sha256": files.digest(path),
        "bytes": path.stat().st_size,
    }


def rounded(pool: pd.DataFrame) -> pd.DataFrame:
    """The pool sorted by time, its times whole seconds and its work single precision."""
    seconds = np.rint(pool["creationtime"] / SECOND)
    pool = pool.assign(creationtime=seconds * SECOND, workload=pool["workload"].astype("float32"))
    pool = pool.astype({"workload": "float64"})
    return schema.check(pool.sort_values("creationtime", kind="stable", ignore_index=True))


def write_pool(pool: pd.DataFrame, path: Path) -> None:
    """Small and exact: numbers of few significant bits, split by byte, compress well."""
    floats = ["creationtime", "workload"]
    encoding = {**dict.fromkeys(floats, "BYTE_STREAM_SPLIT"), "inputfilebytes": "BYTE_STREAM_SPLIT"}
    categories = [c for c in pool if c not in encoding]
    pool.to_parquet(
        path,
        engine="pyarrow",
        index=False,
        compression="zstd",
        compression_level=19,
        use_dictionary=categories,
        column_encoding=encoding,
    )


def scores(
    train: pd.DataFrame, pool: pd.DataFrame, holdout: pd.DataFrame, judged: int, seed: int
) -> dict:
    """The pool against rows the model never saw, beside the real floor."""
    draw = pool.sample(min(judged, len(pool)), random_state=seed, ignore_index=True)
    unseen = holdout.sample(min(2 * len(draw), len(holdout)), random_state=seed, ignore_index=True)
    report = evaluate(train, draw, unseen, seed=seed)
    return plain(
        {
            "n": report.n,
            "n_train": report.n_train,
            "synthetic": report.synthetic.values,
            "floor": report.floor.values,
        }
    )


def table() -> str:
    """The bundled pools and their floor, from their cards, as Markdown."""
    cards = {
        path.parent.name: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(DATA.glob("*/card.json"))
    }
    lines = [
        [name, f"{card['model']['n_steps']:,}", *_numbers(card["scores"]["synthetic"])]
        for name, card in cards.items()
    ]
    floors = dict.fromkeys(tuple(_numbers(card["scores"]["floor"])) for card in cards.values())
    lines += [["real rows", "", *floor] for floor in floors]
    return markdown(["pool", "steps", *SHOWN], lines)


SHOWN = ("WD", "JSD", "diff-CORR", "DCR", "diff-MLEF", "C2ST", "closer to train", "membership AUC")


def _numbers(values: dict) -> list[str]:
    return [f"{values[name]:.3g}" for name in SHOWN]


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("pretrain", __doc__)
    parser.add_argument("--generator", default="tabddpm", help=candidates.GENERATOR_HELP)
    add_reference_options(parser)
    parser.add_argument("--seed", type=whole(0), default=0, help="of data, training and sampling")
    parser.add_argument(
        "--budget", type=positive, default=1800.0, help="seconds of training (default %(default)s)"
    )
    parser.add_argument("--steps", type=whole(1), help="optimizer steps, instead of a budget")
    parser.add_argument("--checkpoint", type=new_file, help="file to save to and to resume from")
    add_device_option(parser)
    parser.add_argument(
        "--pool", type=whole(1), default=330_000, help="rows of the pool (default %(default)s)"
    )
    parser.add_argument(
        "--sampling-steps", type=whole(1), help="of TabDDPM, columns or times a step"
    )
    parser.add_argument(
        "--judged", type=whole(2), default=12_500, help="rows scored (default %(default)s)"
    )
    parser.add_argument("--scores-only", action="store_true", help="score the existing pool again")
    parser.add_argument(
        "--out", type=new_folder, help="folder to write (default: pandaenv/data/GENERATOR)"
    )
    return parser


if __name__ == "__main__":
    command(main)
