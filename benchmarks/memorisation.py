"""Fidelity against memorisation: what every way of learning more costs in nearness to train.

In: the reference workload, cuts of seeds that no published table uses. Out: memorisation.json and
memorisation.svg in results: for each variant of each model the means over the cuts of C2ST,
diff-MLEF, diff-CORR and JSD beside the share of rows closer to train than to unseen rows, the upper
end of its 95 % interval, the membership attack and the exact copies. A run that was stopped goes
on.

    python -m benchmarks.memorisation [--seeds 10 11] [--rows 50000] [--kept DIR] [--out DIR]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from statistics import mean

import generators
from benchmarks.inputs import splits
from benchmarks.inputs.arguments import command
from benchmarks.inputs.places import RESULTS
from benchmarks.report.provenance import provenance, versions, write_json, write_text
from metrics import Judge

GROUPS = ("WD", "JSD", "diff-CORR", "DCR", "diff-MLEF", "C2ST", "membership")
SHOWN = (
    "WD",
    "JSD",
    "diff-CORR",
    "diff-MLEF",
    "C2ST",
    "closer to train",
    "membership AUC",
    "exact share",
    "DCR",
)
HOLDOUT, MLEF = 12_500, 50_000
FEWEST = 500  # rows below which no variant learns anything

# (what is tried, model, options, optimizer steps); the default stands at the head of each family
VARIANTS: tuple[tuple[str, str, dict, int | None], ...] = (
    *((f"TabAR, {n} steps", "tabar", {}, n) for n in (2400, 300, 600, 1200, 4800)),
    ("TabAR, dropout 0", "tabar", {"dropout": 0.0}, 2400),
    ("TabAR, dropout .3", "tabar", {"dropout": 0.3}, 2400),
    ("TabAR, weight decay .1", "tabar", {"weight_decay": 0.1}, 2400),
    ("TabAR, width 64", "tabar", {"d_trunk": 64, "d_head": 32}, 2400),
    ("TabAR, width 256", "tabar", {"d_trunk": 256, "d_head": 128}, 2400),
    ("TabAR, rate .012", "tabar", {"lr": 0.012}, 1200),
    ("TabAR, 32 coarse bins", "tabar", {"n_coarse": 32}, 2400),
    ("TabAR, values blurred over 64 rows", "tabar", {"blur": 64}, 2400),
    ("SMOTE, 5 neighbours", "smote", {}, None),
    ("SMOTE, 20 neighbours", "smote", {"k": 20}, None),
    ("TabDDPM, 1400 steps", "tabddpm", {}, 1400),
)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 if both files were written, 1 with one sentence on stderr if not."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(arguments)
    try:
        result = run(options)
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    made = provenance("benchmarks.memorisation", arguments, options.seeds)
    write_text(options.out / "memorisation.svg", drawn(result))
    print(write_json(options.out / "memorisation.json", result | made).name)
    return 0


def run(options: argparse.Namespace) -> dict:
    """Train, sample and score every variant on every cut; what memorisation.json holds."""
    if min(options.seeds) < 0:
        raise ValueError(f"--seeds must not be negative, got {min(options.seeds)}")
    if options.rows < FEWEST:
        raise ValueError(f"--rows must be at least {FEWEST}, got {options.rows}")
    data = splits.read(splits.REFERENCE, days=options.days, seed=0)
    runs = {seed: _of_seed(data, seed, options) for seed in options.seeds}
    lines = [_line(words, [runs[s][words] for s in options.seeds]) for words, *_ in VARIANTS]
    return {
        "what": "fidelity and nearness to train of variants; means over the cuts of the seeds",
        "rows": options.rows,
        "n": HOLDOUT // 2,
        "floor": _line("real rows", [runs[s]["real rows"] for s in options.seeds]),
        "lines": lines,
        "runs": runs,
    }


def _of_seed(data: splits.Split, seed: int, options: argparse.Namespace) -> dict[str, dict]:
    """Every variant on one cut, and the real rows in their place."""
    cut, extra = splits.subsample(data, options.rows, HOLDOUT, MLEF - HOLDOUT // 2, seed)
    judge = Judge(cut.train, cut.test, seed=seed, only=GROUPS, extra=extra)
    found = {"real rows": _kept("real rows", seed, options, lambda: _score(judge.floor))}
    for words, model, settings, steps in VARIANTS:
        what = f"{model} {settings} {steps}"
        found[words] = _kept(
            what,
            seed,
            options,
            lambda m=(model, settings, steps): _tried(judge, cut.train, seed, *m),
        )
        print(f"seed {seed}: {words}: {_told(found[words])}", file=sys.stderr)
    return found


def _tried(judge: Judge, train, seed: int, name: str, settings: dict, steps: int | None) -> dict:
    """One variant, trained, sampled and scored."""
    model = generators.make(name, **settings).fit(train, seed=seed, steps=steps, progress=False)
    score = _score(judge.score(model.sample(max(judge.n, judge.n_mlef), seed=seed)))
    losses = getattr(model, "losses_", None)
    if losses is not None and "validation" in losses:
        score["validation nats"] = float(losses["validation"].iloc[1:].min())
    return score


def _score(score) -> dict:
    return {name: score.values[name] for name in SHOWN} | {
        "upper bound": score.interval["closer to train"][1]
    }


def _kept(what: str, seed: int, options: argparse.Namespace, make) -> dict:
    """A finished score of an earlier run of the same thing, else a new one."""
    key = json.dumps([what, seed, options.rows, options.days, versions()], sort_keys=True)
    path = options.kept / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
    if path.is_file():
        return json.loads(path.read_text())
    score = make()
    write_json(path, score)
    return score


def _line(words: str, scores: list[dict]) -> dict:
    """Means over the cuts; the bound is the mean share and the mean half width above it."""
    return {"variant": words} | {key: mean(s[key] for s in scores) for key in scores[0]}


def _told(score: dict) -> str:
    return ", ".join(f"{k} {score[k]:.4g}" for k in ("C2ST", "diff-MLEF", "closer to train"))


def drawn(result: dict) -> str:
    """C2ST and diff-MLEF against the share closer to train, one dot a variant, as SVG."""
    from matplotlib.figure import Figure

    from metrics import plots

    figure = Figure(figsize=(9, 4), layout="constrained")
    for axis, key in zip(figure.subplots(1, 2), ("C2ST", "diff-MLEF"), strict=True):
        for name, colour in zip(("TabAR", "SMOTE", "TabDDPM"), plots.COLOURS, strict=False):
            dots = [row for row in result["lines"] if row["variant"].startswith(name)]
            axis.scatter(
                [d["closer to train"] for d in dots],
                [d[key] for d in dots],
                color=colour,
                label=name,
                s=24,
            )
        floor = result["floor"]
        axis.scatter(
            [floor["closer to train"]], [floor[key]], color=plots.INK, marker="x", label="real rows"
        )
        axis.set_xlabel("rows closer to train than to unseen rows")
        axis.set_ylabel(key)
    figure.axes[1].legend(frameon=False)
    return plots.svg(figure)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks.memorisation", description=__doc__)
    parser.add_argument("--seeds", nargs="+", type=int, default=[10, 11])
    parser.add_argument("--rows", type=int, default=50_000, help="of train")
    parser.add_argument("--days", type=int, default=150)
    parser.add_argument(
        "--kept", type=Path, default=Path("runs/memorisation"), help="folder of finished scores"
    )
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser


if __name__ == "__main__":
    command(main)
