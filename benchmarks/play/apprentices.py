"""Agents trained on arrivals from another source, tested on the trace.

In: sources of arrivals, a task. For each source and training seed a
site-scoring agent learns on the source's `train` windows and plays the trace's `test` windows, the
same for all. Out: a row for each source: flow time on the trace, and paired differences, window by
window, to the agent trained on the trace itself and to policies without training. The difference
to the trace's own agent is the price of training on synthetic arrivals.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pandas as pd

from benchmarks.report.intervals import reduction, summary, table, with_interval
from pandaenv.env.config import TaskConfig

from .episodes import play_episodes
from .recipes import Recipe
from .trainings import train_agent

RECIPE = {"n_envs": 32, "n_steps": 100, "batch_size": 800, "learning_rate": 2e-3}
"""As configs/ppo-40.toml, on rollouts that part an episode of 5,000 jobs evenly."""


def train_and_play(
    source: str,
    jobs,
    trace,
    task: TaskConfig,
    seeds: Iterable[int],
    steps: int,
    episodes: int,
    folder: Path,
) -> pd.DataFrame:
    """Episodes on the trace of agents that learned on one source, one training a seed.

    Args:
        jobs, trace: workloads of the source and of the trace.
        task: what is shared; workload and split are set here.
        steps: placements of a training.
        episodes: seeds 0, 1, ... of the trace's test split.
        folder: checkpoints and agents, from which a killed training goes on.
    """
    recipe = Recipe("scoring", steps, **RECIPE)
    learning = replace(task, workload=jobs)
    exam = replace(task, workload=trace, split="test")
    rows = []
    for seed in seeds:
        agent, _ = train_agent(learning, source, recipe, seed, folder / str(seed), True)
        rows.append(play_episodes(exam, agent, range(episodes)).assign(training=seed))
    return pd.concat(rows, ignore_index=True).assign(policy=source)


def compare(agents: pd.DataFrame, rules: pd.DataFrame, home: str) -> list[dict]:
    """A row for each source, lowest flow time first.

    Args:
        agents: episodes on the trace; `policy` is the source of the agent.
        rules: episodes on the trace of policies that learn nothing.
        home: the source that is the trace itself.
    """
    rows = summary(agents, against=home)
    flows = agents.groupby(["policy", "training"])["flow"].mean()
    for row in rows:
        own = agents[agents["policy"] == row["policy"]]
        together = pd.concat([own, rules], ignore_index=True)
        row["against"] = {
            rule: reduction(together, row["policy"], rule) for rule in rules["policy"].unique()
        }
        row["source"] = row.pop("policy")
        trainings = flows[row["source"]]
        row["trainings"] = {"least": trainings.min(), "most": trainings.max(), "n": len(trainings)}
    return rows


def to_markdown(rows: list[dict]) -> str:
    """One line a source; gains above 0 are better than what they are measured against."""
    rules = list(rows[0]["against"])
    heads = ["agent trained on", "flow time / m on the trace", "reduction vs the trace's own agent"]
    heads += [f"reduction vs {rule}" for rule in rules] + ["range over trainings"]
    lines = [
        [
            row["source"],
            with_interval(row["flow"]),
            with_interval(row["saved"]) or "-",
            *(with_interval(row["against"][rule]) for rule in rules),
            _apart(row["trainings"]),
        ]
        for row in rows
    ]
    return table(heads, lines)


def _apart(trainings: dict) -> str:
    return f"{trainings['least']:.3f} to {trainings['most']:.3f}"
