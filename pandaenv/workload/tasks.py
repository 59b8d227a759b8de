"""Tasks: which jobs came in one burst and read one data set, and where that data set lies.

In: numbers of tasks and data sets for N rows, told by records or made up for them. Out: `Tasks`,
one task and one data set for each row, and the core counts of the jobs of a task.

Records of surrogates are independent rows without tasks: `gathering` puts rows that are alike into
tasks, `bursting` moves each task's rows into a burst. Recorded jobs may tell theirs (`recorded`).
`replicas` draws where the data sets lie. Users are not modelled.

Units: N rows, T tasks, D data sets, S sites.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .folding import choose_whole_tasks

EIGHT_CORE_SHARE = 0.03
"""Share of user-analysis jobs with eight cores; 97 % have one (ATLAS, 2024)."""


@dataclass(frozen=True, eq=False)
class Tasks:
    """The task and the data set of each of N rows, and what is known about them."""

    task: np.ndarray
    """(N,) int64 in [0, T)."""
    dataset: np.ndarray
    """(N,) int64 in [0, D)."""
    site: np.ndarray
    """(N,) int64 row of the catalogue, -1 where the recorded site is not in it."""
    cores: np.ndarray | None = None
    """(N,) int64 cores, None where unknown."""
    replicas: np.ndarray | None = None
    """(D, S) bool, sites known to hold each data set; None for the sites of its rows."""
    n_replicas: np.ndarray | None = None
    """(D,) int64 number of sites that hold each, None where unknown."""

    gathered: bool = False
    """Whether no record told the tasks, so that rows that are alike were gathered into some."""

    def take(self, rows: np.ndarray) -> Tasks:
        """The tasks of some rows, tasks and data sets numbered anew."""
        task = np.unique(self.task[rows], return_inverse=True)[1]
        kept, dataset = np.unique(self.dataset[rows], return_inverse=True)
        cores, *of_sets = (
            None if part is None else part[index]
            for part, index in ((self.cores, rows), (self.replicas, kept), (self.n_replicas, kept))
        )
        return Tasks(task, dataset, self.site[rows], cores, *of_sets, self.gathered)


def draw_core_counts(task: np.ndarray, day: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One core, or eight for the jobs of some tasks. Shape: (N,) int64.

    Args:
        task: (N,) numbered from 0. day: (N,) of each row.
    """
    cores = np.ones(len(task), np.int64)
    first = np.zeros(task.max() + 1)
    first[task[::-1]] = day[::-1]
    n_eight = round(EIGHT_CORE_SHARE * len(task))
    cores[choose_whole_tasks(task, first, n_eight, rng)] = 8
    return cores
