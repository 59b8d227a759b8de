"""How far a synthetic table can be trusted: fidelity, usefulness and privacy, on any mixed table.

`evaluate` scores a table and sets every number beside its floor. `Evaluator` prepares real tables
once and scores many synthetic ones. The plain functions compute one number each.
"""

from . import (
    association,
    density,
    detection,
    efficacy,
    marginals,
    membership,
    neighbours,
    privacy,
    streams,
    tails,
    temporal,
)
from .association import diff_corr
from .detection import c2st
from .efficacy import Classifier, Regressor, diff_mlef
from .evaluation import Evaluator, evaluate
from .marginals import jsd, wd
from .privacy import dcr
from .report import Report
from .settings import Settings

__all__ = [
    "Classifier",
    "Evaluator",
    "Regressor",
    "Report",
    "Settings",
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
    "membership",
    "neighbours",
    "privacy",
    "streams",
    "tails",
    "temporal",
    "wd",
]
