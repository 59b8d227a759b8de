"""The columns of a raw PanDA dump: which are used, which must be there, and where they stand.

In: the column names of a file, in any order and letter case. Out: our name of each column. Messages
state our own names alone: without a header line, the names in a file are its first record.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

RAW = (
    "prodsourcelabel",
    "jobstatus",
    "computingsite",
    "creationtime",
    "corecount",
    "actualcorecount",
    "cpuconsumptiontime",
    "ninputdatafiles",
    "inputfilebytes",
    "proddblock",
    "inputfileproject",
    "inputfiletype",
    "jobname",
    "destinationdblock",
    "pandaid",
    "produsername",
    "jeditaskid",
)
"""Columns of a dump that are used; all others are skipped unread."""
REQUIRED = (
    "jobstatus",
    "computingsite",
    "creationtime",
    "cpuconsumptiontime",
    "ninputdatafiles",
    "inputfilebytes",
)
ONE_OF = (
    ("corecount", "actualcorecount"),
    ("proddblock", "inputfiletype", "destinationdblock", "jobname"),
)
"""Of each group at least one column must be there."""
LABELS = ("prodsourcelabel", "jobname")
"""One of these tells user analysis, unless the user says that all jobs are."""
GROUPED = ("jeditaskid", "proddblock")
"""Columns that must be there too where groups are kept."""


def match_columns(
    names: Sequence[str], path: Path, all_analysis: bool = False, groups: bool = False
) -> list[str]:
    """Our name of each column of a dump, or "" for a column that is not used.

    Args:
        all_analysis: no column needs to tell which jobs are user analysis.
        groups: columns must tell task and data set.

    Raises: ValueError for missing columns and for names that differ in letter case only.
    """
    folded = fold_names(names)
    check_columns(set(folded), path, all_analysis, groups)
    for i, name in enumerate(folded):
        if name in folded[:i]:
            raise ValueError(
                f"{path}: column names must be unique but for case; "
                f"columns {folded.index(name) + 1} and {i + 1} share one"
            )
    return [name if name in RAW else "" for name in folded]


def fold_names(names: Sequence[str]) -> list[str]:
    """Names without outer spaces and in lower case."""
    return [str(name).strip().lower() for name in names]


def check_columns(
    found: set[str], path: Path, all_analysis: bool = False, groups: bool = False
) -> None:
    """Raise a ValueError that lists the columns a dump lacks."""
    missing = [name for name in REQUIRED if name not in found]
    choices = ONE_OF if all_analysis else (LABELS, *ONE_OF)
    missing += [" or ".join(names) for names in choices if not found & set(names)]
    if missing:
        raise ValueError(f"{path}: no PanDA dump, it lacks {', '.join(missing)}")
    if groups and (missing := [name for name in GROUPED if name not in found]):
        raise ValueError(f"{path}: groups need {' and '.join(GROUPED)}, it lacks {missing[0]}")
