"""Transfer: does a surrogate rank policies, and train agents, as the trace of real jobs does?

Splits recorded jobs by task into two random halves: the generators learn from rows of one; the
other is the trace, on which policies are judged. Every policy, trained agents among them, plays the
same seeds on the trace and on arrivals from each source. A source is good if it leads to the same
choice of policy. `greedy_true` sees what no broker knows, so it is shown and not ranked. Writes
results/transfer.json and prints a table:

| number | meaning | best |
|---|---|---|
| Kendall tau | agreement of the two orders of the policies by mean flow time | 1 |
| top-1 regret | flow time on the trace, source's best policy minus best policy | 0 |
| gap | mean absolute difference of a policy's flow time on the source and on the trace | 0 |

The baseline is the other real half, with its own tasks. `rows alone` is that half without its
tasks, grouped again as the rows of a surrogate are, so it shows the price of the grouping. Flow
times are in mean service times m. Intervals are 95 % of a bootstrap over windows, of trace and
source at once. A last table has agents that learned on each source and play on the trace
(`benchmarks.play.apprentices`), beside the policies named in RULES. An interrupted run resumes
where it stopped.

    python -m benchmarks.transfer [--generators tabddpm module:Class] [--seeds 16] [--out FILE]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

import generators
from benchmarks.inputs import candidates
from benchmarks.inputs.arguments import add_device_option, command, command_parser, site_catalogue
from benchmarks.inputs.engines import add_engine_options, engine
from benchmarks.inputs.places import AGENTS, RESULTS, RUNS
from benchmarks.play import apprentices
from benchmarks.play.cells import code_digest
from benchmarks.play.episodes import play_episodes
from benchmarks.report.comparison import ORACLE
from benchmarks.report.finished import read_sealed_table, result_key, write_sealed_table
from benchmarks.report.provenance import provenance, versions, write_json
from foundations.files import whole
from pandaenv import policies, reference, sites, workload
from pandaenv.env.config import TaskConfig

OUT = RESULTS / "transfer.json"
TRACE, HALF, ROWS = "trace", "real half", "rows alone"
N_DRAWS = 2_000
PLAYED = ("rows", "budget", "days", "seed", "sites", "rate", "load", "jobs", "seeds")
"""Options that an episode depends on."""
RULES = ("greedy", "panda_analysis", "random")
"""What agents are measured against: the best that sees no hidden truth, PanDA's, and none."""


# --- sources of arrivals --------------------------------------------------------------------------


def recorded(days: int, seed: int) -> pd.DataFrame:
    """Reference records with the tasks, data sets and core counts that they hide."""
    truth = reference.tasks(days, seed).jobs
    names = {"task": "jeditaskid", "dataset": "proddblock", "cores": "corecount"}
    tasks = {column: truth[name].to_numpy() for name, column in names.items()}
    return reference.records(days, seed).assign(**tasks)


def halves(table: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two tables of whole tasks, each task in either at even odds."""
    task = pd.factorize(table["jeditaskid"])[0]
    is_first = np.random.default_rng([seed, 7]).random(task.max() + 1) < 0.5
    parts = (table[is_first[task]], table[~is_first[task]])
    return tuple(part.reset_index(drop=True) for part in parts)


def without_tasks(table: pd.DataFrame) -> pd.DataFrame:
    """The columns a surrogate learns; tasks are hidden."""
    return table.drop(columns=["jeditaskid", "proddblock", "corecount"], errors="ignore")


def sampled(name: str, half: pd.DataFrame, options: argparse.Namespace) -> Path:
    """A file of as many surrogate rows as the half has; made once."""
    model = candidates.generator(name)
    what = name if name in generators.names() else [name, candidates.settings(model)]
    found = _key(what, options, ("rows", "budget", "days", "seed"))
    path = options.kept / f"{candidates.label(name).replace(':', '.')}-{found}.parquet"
    if path.is_file():
        return path
    train = without_tasks(half).sample(min(options.rows, len(half)), random_state=options.seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    candidates.fit(
        model,
        train.sort_index().reset_index(drop=True),
        seed=options.seed,
        budget=options.budget,
        device=options.device,
        checkpoint=path.with_suffix(".checkpoint"),
    )
    rows = candidates.sample(model, len(half), seed=options.seed)
    with whole(path) as draft:
        rows.to_parquet(draft, index=False)
    path.with_suffix(".checkpoint").unlink(missing_ok=True)
    return path


# --- what policies make of them -------------------------------------------------------------------


def rule_and_agent_episodes(source: str, jobs, options: argparse.Namespace) -> pd.DataFrame:
    """Episodes of every policy on one source: policy, seed, window, flow, cost."""
    parts = []
    for name, policy, identity in contestants(options):
        path = options.kept / f"{_key([source, *identity, code_digest()], options, PLAYED)}.csv"
        rows = read_sealed_table(path)
        if rows is None:
            print(f"{source}: {name}", file=sys.stderr)
            task = replace(_task(options), workload=jobs, split="test")
            played = play_episodes(task, policy, range(options.seeds))
            rows = write_sealed_table(path, played.assign(policy=name))
        parts.append(rows)
    return pd.concat(parts, ignore_index=True)


def contestants(options: argparse.Namespace) -> Iterator[candidates.Policy]:
    """Every policy by name, and every trained agent."""
    yield from map(candidates.policy, options.policies)
    yield from map(candidates.agent, options.agents)


def _task(options: argparse.Namespace) -> TaskConfig:
    """The task, but for its workload and split."""
    return TaskConfig(
        sites=options.sites, rate=options.rate, load=options.load, episode_jobs=options.jobs
    )


def agent_episodes(source: str, jobs, trace, options: argparse.Namespace) -> pd.DataFrame:
    """Episodes on the trace of agents that learned on one source; made once."""
    name = f"agents-{_key([source, code_digest()], options, (*PLAYED, 'steps', 'trainings'))}"
    path = options.kept / f"{name}.csv"
    kept = read_sealed_table(path)
    if kept is not None:
        return kept
    made = apprentices.train_and_play(
        source,
        jobs,
        trace,
        _task(options),
        range(options.trainings),
        options.steps,
        options.seeds,
        options.kept / name,
    )
    return write_sealed_table(path, made)


def flows(episodes: pd.DataFrame) -> pd.DataFrame:
    """Mean flow of each policy (column) in each window (row)."""
    return episodes.pivot_table("flow", index="window", columns="policy", aggfunc="mean")


def compared(trace: pd.DataFrame, source: pd.DataFrame, seed: int = 0) -> dict:
    """Tau, regret and gap of two tables of flows, with bootstrap intervals over the windows."""
    source = source[trace.columns]
    rng = np.random.default_rng(seed)
    draws = [_compared(_redrawn(trace, rng), _redrawn(source, rng)) for _ in range(N_DRAWS)]
    edges = np.quantile(draws, [0.025, 0.975], axis=0)
    found = _compared(trace.to_numpy().mean(0), source.to_numpy().mean(0))
    best = str(trace.columns[int(source.to_numpy().mean(0).argmin())])
    return {"best": best} | {
        key: {"value": float(value), "low": float(low), "high": float(high)}
        for key, value, low, high in zip(("tau", "regret", "gap"), found, *edges, strict=True)
    }


def _redrawn(flow: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """Means over windows drawn with replacement, (policies,)."""
    rows = flow.to_numpy()
    return rows[rng.integers(len(rows), size=len(rows))].mean(0)


def _compared(trace: np.ndarray, source: np.ndarray) -> tuple[float, float, float]:
    regret = trace[source.argmin()] - trace.min()
    return kendalltau(trace, source).statistic, regret, np.abs(trace - source).mean()


# --- the command ----------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 if the table was written, 1 with one sentence on stderr if not."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(arguments)
    try:
        check(options)
        result = run(options)
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    print(to_markdown(result))
    made = provenance("benchmarks.transfer", arguments, options.seed)
    print(write_json(options.out, result | made).name)
    return 0


def check(options: argparse.Namespace) -> None:
    """Refuse, before anything is learned or played, what would be refused in the end."""
    labels = [candidates.label(name) for name in options.generators]
    if twice := [one for one in labels if labels.count(one) > 1]:
        raise ValueError(f"--generators must have different names, got {twice[0]!r} twice")
    for name in options.generators:
        candidates.generator(name)
    names = [name for name, *_ in contestants(options) if name != ORACLE]
    if len(names) < 2:
        raise ValueError(f"two or more policies besides {ORACLE} must be ranked, got {names}")
    for name in ("rows", "budget", "rate", "load", "jobs", "seeds"):
        if not 0 < getattr(options, name) < float("inf"):
            raise ValueError(f"--{name} must be above 0 and finite, got {getattr(options, name)}")
    for name in ("trainings", "steps"):
        if getattr(options, name) < 0:
            raise ValueError(f"--{name} must not be negative, got {getattr(options, name)}")
    if options.days < 7:
        raise ValueError(f"--days must hold a whole week, got {options.days}")
    if options.seed < 0:
        raise ValueError(f"--seed must not be negative, got {options.seed}")
    sites.catalogue(options.sites)


def run(options: argparse.Namespace) -> dict:
    """Learn, sample, play and compare; what transfer.json holds."""
    keys = [TRACE, HALF, ROWS, *options.generators]
    if options.engine != "serial":
        engine(options).run(_piece, [(options, key) for key in keys])
    first, second = halves(recorded(options.days, options.seed), options.seed)
    sources = {candidates.label(key): _source(key, first, second, options) for key in keys}
    ranked = [name for name, *_ in contestants(options) if name != ORACLE]
    episodes = {key: rule_and_agent_episodes(key, jobs, options) for key, jobs in sources.items()}
    flow = {key: flows(rows) for key, rows in episodes.items()}
    return {
        "what": "policies ranked on arrivals of each source against the trace",
        "env": {key: getattr(options, key) for key in ("sites", "rate", "load", "jobs", "seeds")},
        "learning": {"rows": min(options.rows, len(first)), "seconds": options.budget},
        "teaching": {"trainings": options.trainings, "steps": options.steps},
        "jobs": {TRACE: len(second), HALF: len(first)},
        "flow": {key: table.mean().to_dict() for key, table in flow.items()},
        "windows": {key: table.round(6).to_dict("index") for key, table in flow.items()},
        "sources": [
            {"source": key} | compared(flow[TRACE][ranked], flow[key])
            for key in flow
            if key != TRACE
        ],
        "taught": _taught(sources, episodes[TRACE], options),
    }


def _source(key: str, first: pd.DataFrame, second: pd.DataFrame, options: argparse.Namespace):
    """Jobs of one source; a generator learns and draws them, once."""
    real = {
        TRACE: lambda: workload.Trace(second),
        HALF: lambda: workload.Trace(first),
        ROWS: lambda: workload.Synthetic(without_tasks(first)),
    }
    return real[key]() if key in real else str(sampled(key, first, options))


def _piece(piece: tuple[argparse.Namespace, str]) -> None:
    """Everything about one source, left in the folder of finished work."""
    options, key = piece
    first, second = halves(recorded(options.days, options.seed), options.seed)
    jobs, name = _source(key, first, second, options), candidates.label(key)
    rule_and_agent_episodes(name, jobs, options)
    if options.trainings:
        agent_episodes(name, jobs, workload.Trace(second), options)


def _taught(sources: dict, on_trace: pd.DataFrame, options: argparse.Namespace) -> list[dict]:
    """How agents of every source do on the trace; nothing where none are to be trained."""
    if options.trainings == 0:
        return []
    rows = [agent_episodes(key, jobs, sources[TRACE], options) for key, jobs in sources.items()]
    rules = on_trace[on_trace["policy"].isin(RULES)]
    return apprentices.compare(pd.concat(rows, ignore_index=True), rules, TRACE)


def to_markdown(result: dict) -> str:
    """One line a source, then the policies' flow times on each."""
    lines = [
        "| arrivals from | Kendall tau | top-1 regret / m | gap / m | its best policy |",
        "|---|--:|--:|--:|---|",
    ]
    for row in result["sources"]:
        cells = [_span(row[key]) for key in ("tau", "regret", "gap")]
        lines.append(f"| {' | '.join([row['source'], *cells, row['best']])} |")
    flow = result["flow"]
    order = sorted(flow[TRACE], key=flow[TRACE].get)
    lines += ["", f"| flow time / m | {' | '.join(order)} |", f"|---|{'--:|' * len(order)}"]
    lines += [
        f"| {source} | {' | '.join(f'{row[p]:.3f}' for p in order)} |"
        for source, row in flow.items()
    ]
    if result["taught"]:
        lines += ["", apprentices.to_markdown(result["taught"])]
    return "\n".join(lines)


def _span(found: dict) -> str:
    return f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})"


def _key(what: Any, options: argparse.Namespace, names: tuple[str, ...]) -> str:
    """A name for what was made with these options and versions."""
    return result_key([what, [getattr(options, name) for name in names], versions()])


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("transfer", __doc__)
    add = parser.add_argument
    add(
        "--generators",
        nargs="*",
        default=list(generators.names()),
        metavar="NAME",
        help=f"{candidates.GENERATOR_HELP} (default: all built-in ones)",
    )
    add(
        "--policies",
        nargs="+",
        default=list(policies.names()),
        metavar="NAME",
        help=f"{candidates.POLICY_HELP} (default: all built-in ones)",
    )
    add(
        "--agents",
        nargs="*",
        type=Path,
        default=sorted(AGENTS.glob("scoring-*")),
        metavar="FOLDER",
        help="folders of trained agents to rank",
    )
    add("--days", type=int, default=56, help="of the reference workload")
    add("--rows", type=int, default=50_000, help="rows that each generator learns from")
    add("--budget", type=float, default=60.0, help="seconds of training for each generator")
    add("--sites", type=site_catalogue, default=40, help="number, name or CSV (default 40)")
    add("--rate", type=float, default=5_000, help="jobs a day")
    add("--load", type=float, default=0.6, help="offered work over capacity")
    add("--jobs", type=int, default=5_000, help="of an episode")
    add("--seeds", type=int, default=16, help="episodes of a policy on a source")
    add("--trainings", type=int, default=3, help="agents trained on each source, 0 for none")
    add("--steps", type=int, default=160_000, help="placements of a training")
    add("--seed", type=int, default=0, help="of halves, training and samples (default 0)")
    add("--kept", type=Path, default=RUNS / "transfer", help="folder of finished work")
    add_device_option(parser)
    add_engine_options(parser)
    add("--out", type=Path, default=OUT, help="JSON file to write")
    return parser


if __name__ == "__main__":
    command(main)
