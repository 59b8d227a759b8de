"""How far a synthetic table can be trusted: fidelity, usefulness and privacy, on any mixed table.

`evaluate` scores a table with every number beside its real floor; the plain functions are below it.
"""

from metrics.association import diff_corr
from metrics.detection import c2st
from metrics.efficacy import diff_mlef
from metrics.judge import Judge, evaluate
from metrics.marginals import jsd, wd
from metrics.privacy import dcr
from metrics.report import Report

from . import (
    association,
    density,
    detection,
    efficacy,
    marginals,
    meanings,
    membership,
    neighbours,
    privacy,
    tails,
    temporal,
)

__all__ = [
    "Judge",
    "Report",
    "association",
    "c2st",
    "dcr",
    "density",
    "detection",
    "diff_corr",
    "diff_mlef",
    "efficacy",
    "evaluate",
    "jsd",
    "marginals",
    "meanings",
    "membership",
    "neighbours",
    "privacy",
    "tails",
    "temporal",
    "wd",
]
