"""What an agent is worth on the trace that learned on arrivals from elsewhere.

In: sources of arrivals, the environment's settings. For each source and training seed a
site-scoring agent learns on the source's `train` windows and plays the trace's `test` windows, the
same for all. Out: a row a source: flow time on the trace, and paired differences, window by window,
to the agent that learned on the trace itself and to policies that need no learning. What a
surrogate's agent loses against the trace's own is the price of learning on synthetic arrivals.
"""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from benchmarks import ppo
from benchmarks.report.intervals import saved, span, summary, table

from .episodes import contest
from .learner import Recipe

RECIPE = {"n_envs": 32, "n_steps": 100, "batch_size": 800, "learning_rate": 2e-3}
"""As configs/ppo-40.toml, on rollouts that part an episode of 5,000 jobs evenly."""


def taught(
    source: str,
    jobs,
    trace,
    settings: dict,
    seeds: Iterable[int],
    steps: int,
    episodes: int,
    folder: Path,
) -> pd.DataFrame:
    """Episodes on the trace of agents that learned on one source, one training a seed.

    Args:
        jobs, trace: workloads of the source and of the trace.
        settings: of the environment, without workload and split.
        steps: placements of a training.
        episodes: seeds 0, 1, ... of the trace's test split.
        folder: checkpoints and agents, from which a killed training goes on.
    """
    recipe = Recipe("scoring", steps, **RECIPE)
    learning = ppo.Config(env=settings | {"workload": jobs})
    exam = settings | {"workload": trace, "split": "test"}
    rows = []
    for seed in seeds:
        agent, _ = ppo.trained(learning, source, recipe, seed, folder / str(seed), True)
        rows.append(contest(exam, agent, range(episodes)).assign(training=seed))
    return pd.concat(rows, ignore_index=True).assign(policy=source)


def judged(agents: pd.DataFrame, rules: pd.DataFrame, home: str) -> list[dict]:
    """A row a source, least flow first.

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
            rule: saved(together, row["policy"], rule) for rule in rules["policy"].unique()
        }
        row["source"] = row.pop("policy")
        trainings = flows[row["source"]]
        row["trainings"] = {"least": trainings.min(), "most": trainings.max(), "n": len(trainings)}
    return rows


def to_markdown(rows: list[dict]) -> str:
    """One line a source; gains above 0 are better than what they are measured against."""
    rules = list(rows[0]["against"])
    heads = ["agent learned on", "flow time on the trace / m", "less than the trace's own by"]
    heads += [f"less than {rule} by" for rule in rules] + ["single trainings"]
    lines = [
        [
            row["source"],
            span(row["flow"]),
            span(row["saved"]) or "-",
            *(span(row["against"][rule]) for rule in rules),
            _apart(row["trainings"]),
        ]
        for row in rows
    ]
    return table(heads, lines)


def _apart(trainings: dict) -> str:
    return f"{trainings['least']:.3f} to {trainings['most']:.3f}"
