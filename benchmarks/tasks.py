"""The task layer against true tasks: how well surrogate rows regain their bursts and data sets.

Compares the bundled pool of independent rows, after the task layer has grouped them, with two
reference workloads whose tasks are known: as many jobs over as many days, at one rate on one
catalogue. Writes to results/tasks.json the statistics of arrivals, tasks and data sets for the
first reference ("truth"), the second (another draw of the same, the floor), the pool with the layer
for several seeds, and the rows of the pool as they are.

    python -m benchmarks.tasks [--seeds 3] [--rate 5500] [--out DIR]

The constants of the layer were set from published figures and on other seeds of the reference.
"""

from __future__ import annotations

import sys

import numpy as np

from benchmarks.inputs.arguments import (
    command,
    command_parser,
    new_folder,
    positive,
    site_catalogue,
    whole,
)
from benchmarks.inputs.places import RESULTS
from benchmarks.report.intervals import table
from benchmarks.report.provenance import provenance, write_json
from foundations.units import DAY_S
from metrics.temporal import WINDOWS, dispersion, ks, whole_days
from pandaenv.sites import catalogue
from pandaenv.workload import Reference, Synthetic
from pandaenv.workload.folding import fold

TRUTHS = (101, 102)
"""Seeds of the two references; nothing was tuned on them."""


def main(arguments: list[str] | None = None) -> None:
    """Measure, print and write."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = command_parser("tasks", __doc__)
    parser.add_argument(
        "--seeds", type=whole(1), default=3, help="number of seeds of the layer, from 0 on"
    )
    parser.add_argument("--rate", type=positive, default=5_500, help="jobs a day")
    parser.add_argument("--sites", type=site_catalogue, default=40, help="number, name or CSV")
    parser.add_argument("--out", type=new_folder, default=RESULTS, help="folder to write")
    options = parser.parse_args(arguments)
    rows = measure(options.rate, options.sites, range(options.seeds))
    result = {"rate": options.rate, "sites": options.sites, "rows": rows}
    result |= provenance("benchmarks.tasks", arguments, [*TRUTHS, *range(options.seeds)])
    write_json(options.out / "tasks.json", result)
    print(to_markdown(rows))


def measure(rate: float, sites, seeds: range) -> list[dict]:
    """One row of figures a stream: truth, floor, layer by seed, rows without the layer."""
    grid = catalogue(sites)

    def jobs(workload, seed=0):
        return workload.stream(grid, rate=rate, load=0.6, seed=seed).jobs

    truth, floor = (jobs(Reference(seed=seed)) for seed in TRUTHS)
    pool = Synthetic()
    known = {"truth": truth, "floor": floor}
    rows = [{"stream": name} | figures(found, truth) for name, found in known.items()]
    rows += [{"stream": f"layer, seed {s}"} | figures(jobs(pool, s), truth) for s in seeds]
    rngs = np.random.default_rng(0).spawn(2)
    own = pool.records["creationtime"].to_numpy() * DAY_S
    time = np.sort(fold(own, np.arange(len(own)), rate, *rngs)[1])
    return [*rows, {"stream": "rows as they are"} | arrivals(time, truth.time)]


def figures(jobs, truth) -> dict[str, float]:
    """Arrivals, tasks and data sets of a stream, distances from the true one's."""
    size, true_size = (np.bincount(j.task) for j in (jobs, truth))
    return (
        arrivals(jobs.time, truth.time)
        | {f"jobs a task, {q}%": float(np.percentile(size, q)) for q in (5, 25, 50, 75, 95)}
        | {"jobs a task, mean": float(size.mean()), "task size KS": ks(size, true_size)}
        | popularity(jobs.dataset)
        | used_at(jobs.dataset, jobs.site)
        | {"replicas, mean": float(jobs.replicas.sum(axis=1).mean())}
    )


def arrivals(time: np.ndarray, true_time: np.ndarray) -> dict[str, float]:
    """Dispersion of counts by window, and the distance of the gaps; seconds, sorted."""
    days = time / DAY_S
    found = {f"dispersion {h}h": dispersion(days, h, whole_days(days)) for h in WINDOWS}
    return found | {"gap KS": ks(np.diff(time), np.diff(true_time))}


def popularity(dataset: np.ndarray) -> dict[str, float]:
    """Shares of jobs on the most used data sets, and the slope of the first tenth by rank."""
    size = np.sort(np.bincount(dataset))[::-1]
    head = size[: max(2, len(size) // 10)]
    slope = np.polyfit(np.log(np.arange(1, len(head) + 1)), np.log(head), 1)[0]
    top = {
        f"jobs on top {p} % sets": float(size[: max(1, len(size) * p // 100)].sum() / size.sum())
        for p in (1, 10)
    }
    return top | {"jobs by rank of set, slope": float(slope)}


def used_at(dataset: np.ndarray, site: np.ndarray) -> dict[str, float]:
    """Sites at which the jobs of a data set ran."""
    n = np.bincount(np.unique(np.stack([dataset, site]), axis=1)[0])
    return {
        "sites a set, mean": float(n.mean()),
        "sets used at one site": float((n == 1).mean()),
        "sites a set, max": int(n.max()),
    }


def to_markdown(rows: list[dict]) -> str:
    """A table with a line a figure and a column a stream."""
    names = [name for name in rows[0] if name != "stream"]
    heads = ["figure", *(row["stream"] for row in rows)]
    lines = [[name, *(f"{r[name]:.3g}" if name in r else "" for r in rows)] for name in names]
    return table(heads, lines)


if __name__ == "__main__":
    command(main)
