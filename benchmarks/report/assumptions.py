"""What the simulated world assumes: each value, where it is from, and what it does to policies.

In: the constants of the code, so that no value here can go stale, and results/sensitivity.json,
policies.json and transfer.json for what was measured. Out: a table, one line an assumption. ASSUMED
stands where no public source is known.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.inputs.places import RESULTS
from foundations.units import DAY_S, HOUR_S
from metrics.report import markdown
from pandaenv import brokerage, reference, scenarios, sites
from pandaenv.background import Background
from pandaenv.env import TaskConfig, measures, observation, prepared
from pandaenv.records import levels
from pandaenv.reference import arrivals, background, bursts, datasets, outcomes, users, work
from pandaenv.reference import tables as reference_tables
from pandaenv.simulator import draws, state
from pandaenv.sites import drawing, links
from pandaenv.workload import gathering, replicas, stream, tasks

from .comparison import ORACLE, SHOWN

TASK = TaskConfig()
GENERATORS = ("smote", "tvae", "ctabganplus", "tabddpm", "tabar")


@dataclass(frozen=True)
class Assumption:
    """A line of the table; `effect` is on the order of the policies by mean flow time."""

    what: str
    value: str
    source: str
    effect: str = ""


def table() -> str:
    """All assumptions as a table, from the sites to the records."""
    rows = [
        [f"**{part}**" if i == 0 else "", a.what, a.value, a.source, a.effect or "not measured"]
        for part, found in PARTS.items()
        for i, a in enumerate(found())
    ]
    return markdown(["part", "what", "value", "source", "order of the policies"], rows)


# --- the sites ------------------------------------------------------------------------------------


def _of_sites() -> Iterator[Assumption]:
    every = sites.catalogue("all")
    n_names = len({sites.resolve_queue(name) for name in every.names})
    yield Assumption(
        "sites",
        f"the {TASK.sites} largest of {every.n_sites} queues at {n_names} sites",
        "public names; which is how large was drawn",
        _order("all queues", "tier 0 and 1"),
    )
    yield Assumption(
        "cores of a queue, before `load` scales them",
        f"lognormal, median {drawing.CORES_MEDIAN:,.0f}, spread {drawing.CORES_SIGMA}, at most "
        f"{drawing.CORES_MAX:,.0f}",
        "fitted to a published median of 1,600 and largest of 24 k; order by tier ASSUMED",
    )
    yield Assumption(
        "speed of a core",
        f"{_span(drawing.POWER[1])} GFLOP/s, 1 HS23 = 1 GFLOP/s",
        "published quantiles of queues; the unit ASSUMED, only ratios matter",
        _order("one speed"),
    )
    yield Assumption("disk", f"{_span(drawing.DISK[1])} TB", "published quantiles of DATADISKs")
    yield Assumption(
        "share of the disk that is a cache",
        f"{state.CACHE_SHARE:.0%}",
        "published: disks are about 83 % full of originals",
        _order("caches / 10"),
    )


def _of_links() -> Iterator[Assumption]:
    every = sites.catalogue("all")
    slow = scenarios.SCENARIOS["degraded_network"]
    into = ", ".join(f"{low} to {high}" for low, high in list(drawing.INGRESS.values())[1:])
    yield Assumption(
        "into a site, Gb/s, of Tier 1, 2, 3, smallest to largest",
        into,
        "ASSUMED",
        _order("ingress / 10"),
    )
    yield Assumption("transfers into a site at once", f"{state.N_CHANNELS}", "ASSUMED")
    yield Assumption(
        "speed of one transfer, by closeness 1 to 7",
        f"{', '.join(f'{speed / 1e6:,.4g}' for speed in links.THROUGHPUT[1:8])} MB/s",
        "published means of ATLAS links; inside a site and beyond 7 ASSUMED",
        _order("links / 10"),
    )
    yield Assumption(
        "links that degrade",
        f"none; `degraded_network`: {slow.degraded_share:.0%} of the sites fetch at "
        f"{slow.degraded_factor:.0%} of the speed for {slow.degraded_length_s / HOUR_S:g} h",
        "ASSUMED",
        _order("degraded_network"),
    )
    yield Assumption(
        "closeness of two sites",
        f"median {_closeness(every, True):.0f} in a cloud, {_closeness(every, False):.0f} across, "
        f"a step less to a Tier 0 or 1; {(every.closeness == links.UNKNOWN).mean():.0%} unknown",
        "published medians; scatter and the step less ASSUMED",
    )


def _closeness(every: sites.Catalogue, is_near: bool) -> float:
    """Median of the known pairs of Tier-2 and Tier-3 sites, in a cloud or across."""
    small, cloud = every.tier >= 2, np.array(every.cloud)
    pairs = ((cloud[:, None] == cloud) == is_near) & small[:, None] & small
    known = pairs & (every.closeness > 1) & (every.closeness < links.UNKNOWN)
    return float(np.median(every.closeness[known]))


def _span(quantiles: list) -> str:
    middle = quantiles[len(quantiles) // 2]
    return f"{quantiles[0]:,} to {quantiles[-1]:,}, median {middle:,}"


# --- what happens there ---------------------------------------------------------------------------


def _of_failures() -> Iterator[Assumption]:
    normal, rough = scenarios.SCENARIOS["normal"], scenarios.SCENARIOS["outage"]
    hole = scenarios.SCENARIOS["black_hole_site"]
    yield Assumption(
        "attempts that a site fails",
        f"{drawing.FAILURE[1][0]:.1%} to {drawing.FAILURE[1][-1]:.0%} of those at a site, "
        f"median {drawing.FAILURE[1][3]:.1%}",
        "published quantiles of queues, their ends ASSUMED",
        _order("no site failures", "twice the site failures"),
    )
    yield Assumption(
        "a site at which all fails",
        f"none; `black_hole_site`: {hole.black_holes}, within {hole.black_hole_s:.0f} s",
        "ASSUMED",
        _order("black_hole_site"),
    )
    yield Assumption(
        "when a failing attempt stops", "after v² of its length, v in [0, 1)", "ASSUMED"
    )
    yield Assumption("attempts before a job is lost", f"{state.MAX_ATTEMPTS}", "ASSUMED")
    yield Assumption(
        "recorded failures that are the job's own", f"{draws.PAYLOAD_SHARE:.0%}", "ASSUMED"
    )
    yield Assumption(
        "outages of a site",
        f"{_often(normal)}, at most {normal.n_outages} an episode; `outage`: {_often(rough)}",
        "ASSUMED",
        _order("no outages", "outage"),
    )


def _of_queues() -> Iterator[Assumption]:
    others, surge = Background(), scenarios.SCENARIOS["surge"]
    yield Assumption(
        "work offered over capacity",
        f"{TASK.load}, to which the sites are scaled",
        "waits nearest those published of 2018, see results",
        _order("load 0.5", "load 0.7", "load 0.8"),
    )
    yield Assumption(
        "arrivals that surge",
        f"none; `surge`: {surge.surge_factor:g} times as many for "
        f"{surge.surge_length_s / HOUR_S:g} h",
        "ASSUMED",
        _order("surge"),
    )
    yield Assumption(
        "queues",
        "first come, first served; `backfill=True` is EASY",
        "ASSUMED",
        _order("backfill"),
    )
    yield Assumption(
        "jobs of others",
        f'none; `background="busy"`: they hold {others.held:.0%} of the cores, and a pilot takes '
        f"{others.latency_s / 60:g} min",
        "ASSUMED, chosen by hand for published waits of 2018",
        _order("busy, load 0.2"),
    )
    yield Assumption(
        "before an episode",
        f"{TASK.warmup_days:g} days under PanDA's analysis rule",
        "ASSUMED",
        _order("no warm-up"),
    )
    yield Assumption("jobs that read one data set", "read nested parts of it", "ASSUMED")


def _often(scenario: scenarios.Scenario) -> str:
    length, every = scenario.outage_length_s / HOUR_S, scenario.outage_every_s / DAY_S
    return f"{length:g} h every {every:g} days"


# --- the jobs -------------------------------------------------------------------------------------


def _of_rows() -> Iterator[Assumption]:
    yield Assumption(
        "where rows come from",
        f'`workload="{TASK.workload}"`, a bundled surrogate',
        "drawn from a model of the reference records",
        f"{_order('tabar', 'reference')}; {_arrivals(GENERATORS, 'rows of five generators')}",
    )
    yield Assumption(
        "jobs a day",
        f"{TASK.rate:,}, folded from {reference.RATE:,} in the reference",
        f"Park et al. 2024: 1.65 M in 150 days, {reference.RATE:,} a day",
        _order("2,000 jobs a day"),
    )
    yield Assumption(
        "test weeks", f"the last {stream.TEST_SHARE:.0%}, in whole weeks", "by construction"
    )
    yield Assumption(
        "jobs of eight cores, others have one", f"{tasks.EIGHT_CORE_SHARE:.0%}", "published, 2024"
    )
    yield Assumption(
        "a row's site counts as unknown",
        f"below {gathering.RARE_ROWS} rows and {gathering.RARE_SHARE:.0%} of its format",
        "ASSUMED",
    )


def _of_tasks() -> Iterator[Assumption]:
    yield Assumption(
        "jobs a task",
        f"{bursts.JOBS_PER_TASK} on average, lognormal of spread {gathering.SIZE_SPREAD}",
        "published mean; the shape ASSUMED, fitted to published popularity",
    )
    yield Assumption(
        "rows that make a task",
        f"alike in format, site, time (n ** {gathering.TIME_POWER} parts) and bytes "
        f"(n ** {gathering.BYTES_POWER})",
        "ASSUMED; rows with `task` and `dataset` keep theirs",
        f"{_order('tasks drawn anew')}; {_arrivals(('rows alone',), 'real rows gathered anew')}",
    )
    yield Assumption(
        "how a task's jobs come",
        f"{bursts.N_SCOUTS} at once, others {bursts.DELAY_H} h later, over {bursts.LENGTH_H:g} h, "
        f"{bursts.BATCH_JOBS[0]} to {bursts.BATCH_JOBS[1]} together (medians)",
        "ASSUMED",
    )
    yield Assumption(
        "tasks that read the data of the one before", f"{gathering.REUSE:.0%}", "ASSUMED"
    )
    yield Assumption(
        "replicas of a data set",
        f"{replicas.MEAN_REPLICAS} on average, at most {replicas.MAX_REPLICAS}",
        "published; the shape ASSUMED",
        _order("tasks drawn anew"),
    )


# --- what a broker knows, and how it is judged ----------------------------------------------------


def _of_broker() -> Iterator[Assumption]:
    yield Assumption(
        "jobs that may wait at a site",
        f"twice those that run, or those of {brokerage.CAP_FLOOR:g}; less on a small grid",
        "PanDA's public documentation",
    )
    yield Assumption(
        "PanDA's draw",
        f"by weight (running + 1) / (queued + 1) among the best {brokerage.N_BEST}",
        "PanDA's public documentation",
    )
    yield Assumption(
        "sites that PanDA's rule leaves out",
        f"failed ≥ twice the finished, and at least {brokerage.CAP_FLOOR:g}",
        "public documentation; the floor ASSUMED",
    )
    yield Assumption(
        "recent ends of jobs", f"counts halve every {state.MEMORY_S / HOUR_S:g} h", "ASSUMED"
    )
    yield Assumption(
        "expected work",
        f"mean of past jobs that are alike, with {observation.N_PRIOR} jobs of the overall mean",
        "ASSUMED",
    )
    yield Assumption(
        '`reveal="estimate"`',
        f"true work times lognormal noise of spread {prepared.ESTIMATE_SIGMA:.2f}, a factor of 2",
        "ASSUMED",
        _estimate(),
    )


def _of_judging() -> Iterator[Assumption]:
    yield Assumption(
        "a job lost or rejected",
        f"costs {measures.LOSS:g} mean service times beside its time",
        "ASSUMED: failing fast must not pay",
    )
    yield Assumption("runs in a slowdown", f"at least {measures.TAU_S:g} s", "usual in scheduling")
    yield Assumption(
        "limits",
        f"{TASK.wait_limit / HOUR_S:g} h of waiting, {TASK.byte_limit / 1e9:g} GB moved, "
        f"{state.MAX_ATTEMPTS} failures",
        "set so that PanDA's rule breaks one in 2 to 5 % of steps",
        "none: costs are beside the flow time",
    )


# --- the reference records ------------------------------------------------------------------------


def _of_arrivals() -> Iterator[Assumption]:
    low, high = arrivals.CAMPAIGN_GAIN
    yield Assumption(
        "tasks by weekday",
        f"Sunday {arrivals.WEEK[6]:g} of the mean day, Tuesday {arrivals.WEEK[1]:g}",
        "published for Sundays, other days ASSUMED",
    )
    yield Assumption(
        "tasks by hour",
        f"± {arrivals.DAY_AMPLITUDE:.0%}, most at {arrivals.DAY_PEAK_HOUR:g} h UTC",
        "ASSUMED",
    )
    yield Assumption(
        "drift and campaigns",
        f"weekly drift of {arrivals.DRIFT_SD:.0%}, autocorrelation "
        f"{arrivals.DRIFT_AUTOCORRELATION}; {low:.0%} to {high:.0%} more every "
        f"{arrivals.CAMPAIGN_DAYS:g} days",
        "published autocorrelation; the rest ASSUMED",
    )
    yield Assumption(
        "data sets used before",
        f"{datasets.REUSE:.0%} of tasks, {datasets.REUSE_OWN:.0%} of these the user's own",
        "ASSUMED (published: 93 % of the used have one user)",
    )


def _of_outcomes() -> Iterator[Assumption]:
    yield Assumption(
        "log10 of CPU seconds",
        f"three classes around {', '.join(f'{mode:g}' for mode in work.WORK_MODES[:, 1])}; the "
        f"mean moves by {work.WORK_DRIFT} in 150 days",
        "fitted to a published histogram; what makes a task long ASSUMED",
    )
    yield Assumption(
        "final states",
        f"{work.KILLED_SHARE:.0%} of tasks killed; the users' code fails Beta"
        f"{users.TASK_FAILURE} of a task; {outcomes.EARLY_FAILURE:.0%} of failures stop at once",
        "the mix of the four states ASSUMED",
    )
    yield Assumption(
        "where they ran",
        f"PanDA's rule at load {background.BACKGROUND_LOAD}; BNL has {datasets.BNL_SHARE:g} times "
        "the slots of its size",
        "ASSUMED (Park et al. 2024: BNL is the top site)",
    )
    yield Assumption(
        "largest input", f"{reference_tables.CAP_BYTES:.0e} bytes", "published: a cap of an extract"
    )
    yield Assumption(
        "levels that leave an ingest",
        f"those of {levels.RARE} rows or more",
        "ASSUMED, as k = 5 is common for small counts",
        "none: it is about privacy",
    )


PARTS = {
    "sites": _of_sites,
    "links": _of_links,
    "failures": _of_failures,
    "load and queues": _of_queues,
    "rows": _of_rows,
    "tasks": _of_tasks,
    "broker": _of_broker,
    "judging": _of_judging,
    "reference: arrivals": _of_arrivals,
    "reference: work and ends": _of_outcomes,
}


# --- what was measured ----------------------------------------------------------------------------


def _order(*settings: str) -> str:
    """Tau of settings of `benchmarks.sensitivity`, and what is best there where it is another."""
    result = _result("sensitivity")
    rows = {row["setting"]: row for row in result["settings"]}
    best = min(set(result["flow"]) - {ORACLE}, key=result["flow"].__getitem__)
    taus = [f"{rows[name]['tau']['value']:.2f} ({name}" for name in settings]
    others = [f", best {rows[name]['best']})" * (rows[name]["best"] != best) for name in settings]
    parts = [tau + (other or ")") for tau, other in zip(taus, others, strict=True)]
    return f"τ {', '.join(parts)}"


def _estimate() -> str:
    cells = {(cell["load"], cell["scenario"]): cell for cell in _result("policies")["cells"]}
    cell = cells[SHOWN["load"], SHOWN["scenario"]]
    flow = {row["policy"]: row["flow"]["mean"] for row in cell["policies"]}
    past, noisy, true = flow["greedy"], flow["greedy_estimate"], flow["greedy_true"]
    return f"`greedy` {past:.2f} m by past means, {noisy:.2f} by estimates, {true:.2f} by the truth"


def _arrivals(names: tuple[str, ...], words: str) -> str:
    """Tau of the orders on other arrivals with that on the trace."""
    tau = {row["source"]: row["tau"]["value"] for row in _result("transfer")["sources"]}
    found = [tau[name] for name in names]
    span = f"{min(found):.2f}" + (f" to {max(found):.2f}" if len(found) > 1 else "")
    return f"τ {span} ({words}, floor {tau['real half']:.2f})"


def _result(name: str) -> dict:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
