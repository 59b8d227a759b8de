"""Where the files of the benchmarks lie: the checkout, configurations, results, trained agents."""

from pathlib import Path

BENCHMARKS = Path(__file__).parents[1]
ROOT = BENCHMARKS.parent
CONFIGS = BENCHMARKS / "configs"
RESULTS = BENCHMARKS / "results"
AGENTS = BENCHMARKS / "agents"
RUNS = Path("runs")
"""Relative to the current folder: unfinished work, from which an interrupted run resumes."""
