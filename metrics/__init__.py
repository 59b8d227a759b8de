"""How far a synthetic table can be trusted: fidelity, usefulness and privacy, on any mixed table.

`evaluate` scores a table with every number beside its real floor; the plain functions are below it.
"""

from metrics import association, detection, efficacy, marginals, neighbours, privacy
from metrics.association import diff_corr
from metrics.detection import c2st
from metrics.efficacy import diff_mlef
from metrics.marginals import jsd, wd
from metrics.privacy import dcr
from metrics.report import Judge, Report, evaluate

__all__ = [
    "Judge", "Report", "association", "c2st", "dcr", "detection", "diff_corr", "diff_mlef",
    "efficacy", "evaluate", "jsd", "marginals", "neighbours", "privacy", "wd",
]  # fmt: skip
