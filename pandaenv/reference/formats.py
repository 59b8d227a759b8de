"""The formats of the reference workload: the physics all workloads share, and what a task reads.

In: nothing, and tasks with their users. Out: shares, sizes and costs of K formats and P projects;
format, project and production step of each task. Names are public, shares ASSUMED after the
published task mix.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .arrivals import phase

ERAS = ("run2", "run3", "legacy", "other")
PROJECTS = {
    "run2": "mc20_13TeV .74 data18_13TeV .08 data17_13TeV .07 data16_13TeV .07 data15_13TeV .04",
    "run3": "mc23_13p6TeV .68 mc21_13p6TeV .05 data22_13p6TeV .12 data23_13p6TeV .10 "
    "data24_13p6TeV .05",
    "legacy": "mc16_13TeV .76 data18_13TeV .08 data16_13TeV .06 data17_13TeV .05 "
    "data15_13TeV .03 mc15_13TeV .02",
    "other": "data15_hi .18 data18_hi .22 data23_hi .10 mc16_5TeV .10 data17_5TeV .10 valid1 .14 "
    "mc12_8TeV .06 data12_8TeV .05 mc23_5p36TeV .05",
}
PROJECT_SLOPE = {"data24_13p6TeV": 2.0, "mc21_13p6TeV": -1.5, "mc15_13TeV": -1.0}
PRODSTEPS = ("PhysCont", "deriv", "merge", "recon")
FAMILIES = {
    "PHYS": (1, {"run2": 0.52, "run3": 0.50, "legacy": 0.10, "other": 0.15}),
    "PHYSLITE": (1, {"run2": 0.08, "run3": 0.22, "legacy": 0.01, "other": 0.03}),
    "HIGG": (11, {"run2": 0.10, "run3": 0.04, "legacy": 0.25, "other": 0.02}),
    "TOPQ": (6, {"run2": 0.07, "run3": 0.02, "legacy": 0.17, "other": 0.02}),
    "EXOT": (24, {"run2": 0.06, "run3": 0.03, "legacy": 0.15, "other": 0.03}),
    "SUSY": (18, {"run2": 0.04, "run3": 0.02, "legacy": 0.10, "other": 0.02}),
    "STDM": (9, {"run2": 0.03, "run3": 0.02, "legacy": 0.07, "other": 0.05}),
    "JETM": (13, {"run2": 0.02, "run3": 0.04, "legacy": 0.04, "other": 0.06}),
    "EGAM": (9, {"run2": 0.02, "run3": 0.03, "legacy": 0.02, "other": 0.03}),
    "FTAG": (4, {"run2": 0.02, "run3": 0.04, "legacy": 0.03, "other": 0.02}),
    "BPHY": (12, {"run2": 0.02, "run3": 0.01, "legacy": 0.03, "other": 0.08}),
    "TAUP": (4, {"run2": 0.01, "run3": 0.01, "legacy": 0.01, "other": 0.01}),
    "MUON": (5, {"run2": 0.01, "run3": 0.02, "legacy": 0.01, "other": 0.02}),
    "TRUTH": (4, {"run2": 0.02, "run3": 0.02, "legacy": 0.03, "other": 0.06}),
    "HION": (5, {"run2": 0.001, "run3": 0.001, "legacy": 0.001, "other": 0.40}),
    "LLP": (1, {"run2": 0.01, "run3": 0.03, "legacy": 0.001, "other": 0.001}),
}
"""Number of formats of each family and its share of tasks by era (2022: HIGG .25, PHYS .19, TOPQ
.16, EXOT .14, SUSY .07, STDM .06, JETM .04, EGAM .02; in 2024 PHYS dominates)."""
FORMAT_SEED = 2024
"""Sizes, costs and drifts of formats are drawn once with this seed: all workloads share them."""
FILE_BYTES = {"PHYSLITE": 1.0e9, "PHYS": 2.4e9, "TRUTH": 3.0e8}
"""Median file of a format; PHYSLITE published, PHYS after 3 times its bytes an event, TRUTH and
the others ASSUMED."""
FILE_BYTES_OTHER, FILE_BYTES_SPREAD = 1.3e9, 0.5


@dataclass(frozen=True, eq=False)
class Formats:
    """The physics shared by all workloads: K formats, P projects, four eras."""

    datatype: np.ndarray  # names (K,)
    project: np.ndarray  # names (P,)
    log_share: np.ndarray  # ln share of a format's tasks by era (4, K)
    slope: np.ndarray  # its change over 150 days (K,)
    log_project: np.ndarray  # ln share of a project by era (4, P)
    project_slope: np.ndarray  # (P,)
    file_bytes: np.ndarray  # median (K,)
    cost: np.ndarray  # how long its tasks run, standard normal (K,)


@lru_cache(maxsize=1)
def table() -> Formats:
    """The formats and projects, the same for every workload."""
    rng = np.random.default_rng(FORMAT_SEED)
    names, share, median = [], [], []
    for family, (n, by_era) in FAMILIES.items():
        rank = 1.0 / np.arange(1, n + 1) ** 1.1
        names += [f"DAOD_{name}" for name in _members(family, n)]
        share += [[by_era[era] * r for era in ERAS] for r in rank / rank.sum()]
        other = FILE_BYTES_OTHER * np.exp(FILE_BYTES_SPREAD * rng.standard_normal(n))
        median += [FILE_BYTES.get(family, x) for x in other]
    project, log_project = _project_table()
    return Formats(
        datatype=np.array(names),
        project=project,
        log_share=np.log(np.array(share).T),
        slope=0.6 * rng.standard_normal(len(names)),
        log_project=log_project,
        project_slope=np.array([PROJECT_SLOPE.get(p, 0.0) for p in project]),
        file_bytes=np.array(median),
        cost=rng.standard_normal(len(names)),
    )


def _members(family: str, n: int) -> list[str]:
    """Names of a family's formats as ATLAS numbers them: PHYS, SUSY1.., HIGG1D1, HIGG2D1, ..."""
    if n == 1:
        return [family + ("1" if family == "LLP" else "")]
    if family == "HIGG":
        return [f"HIGG{1 + i % 8}D{1 + i // 8}" for i in range(n)]
    return [f"{family}{i + (family != 'TRUTH')}" for i in range(n)]


def _project_table() -> tuple[np.ndarray, np.ndarray]:
    """Names of the P projects and ln of their shares by era, (4, P)."""
    share = [dict(zip(t[::2], map(float, t[1::2]), strict=True)) for t in _project_words()]
    names = list(dict.fromkeys(name for era in share for name in era))
    with np.errstate(divide="ignore"):
        return np.array(names), np.log([[era.get(n, 0.0) for n in names] for era in share])


def _project_words() -> list[list[str]]:
    return [PROJECTS[era].split() for era in ERAS]


def choice(rng: np.random.Generator, log_share: np.ndarray, n: int | None = None) -> np.ndarray:
    """One column per row of unnormalised ln shares (n, K), by the Gumbel trick; int64 (n,)."""
    size = log_share.shape if n is None else (n, log_share.shape[-1])
    return np.argmax(log_share + rng.gumbel(size=size), axis=1)


def choose(rng: np.random.Generator, task: dict, users: dict, formats: Formats) -> None:
    """Format, project and production step of each task, were it to read a new data set."""
    n, user, when = len(task["start"]), task["user"], phase(task["start"])[:, None]
    era = users["era"][user]
    any_format = choice(rng, formats.log_share[era] + formats.slope * when)
    u = rng.random(n)
    habits = [users["first"][user], users["second"][user]]
    datatype = np.select([u < 0.72, u < 0.90], habits, any_format)
    # a campaign is one format of one era for most of its tasks
    leader = _campaign_leader(task["campaign"])
    follows = (task["campaign"] >= 0) & (rng.random(n) < 0.6)
    datatype = np.where(follows, datatype[leader], datatype)
    era = np.where(follows, era[leader], era)
    project = choice(rng, formats.log_project[era] + formats.project_slope * when)
    task["datatype"], task["project"], task["era"] = datatype, project, era
    task["prodstep"] = _prodstep(rng, task, formats)


def _campaign_leader(campaign: np.ndarray) -> np.ndarray:
    """Row of the first task of each task's campaign, int64 (T,)."""
    _, first, inverse = np.unique(campaign, return_index=True, return_inverse=True)
    return first[inverse]


def _prodstep(rng: np.random.Generator, task: dict, formats: Formats) -> np.ndarray:
    """Production step given project, format and date; ASSUMED, `deriv` dominates in 2024."""
    name = formats.project[task["project"]]
    is_data = np.char.startswith(name, "data")
    is_old = np.isin(name, ["mc16_13TeV", "mc15_13TeV", "mc12_8TeV", "mc16_5TeV"])
    is_lite = formats.datatype[task["datatype"]] == "DAOD_PHYSLITE"
    late = 0.5 + phase(task["start"])
    share = np.empty((len(name), 4))  # PhysCont, deriv, merge, recon
    share[:] = [0.001, 0.94, 0.05, 0.01]
    share[is_old] = [0.001, 0.32, 0.67, 0.01]
    share[is_data] = [0.45, 0.45, 0.09, 0.01]
    share[is_data & is_lite] = [0.85, 0.14, 0.005, 0.005]
    share[name == "valid1"] = [0.001, 0.19, 0.20, 0.61]
    share[is_data, 0] *= 1 + late[is_data]
    share[:, 2] *= 1.3 - 0.6 * late
    return choice(rng, np.log(share))
