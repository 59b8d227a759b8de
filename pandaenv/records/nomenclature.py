r"""ATLAS data-set names: their six fields, and the same words found in free text.

In: a name such as `mc20_13TeV.410470.PhPy8EG.deriv.DAOD_PHYS.e6337_s3681_p5980`. Out: its fields.
`project.datasetNumber.physicsShort|streamName.prodStep.dataType.AMITags[_tidNNN_00]`: always six
fields split on '.'; a `scope:` may stand before, containers lack the `_tid`, period containers put
`PhysCont` in the prodStep field. The patterns are in the common subset of Python's `re` and RE2, so
that a query engine applies the very rules that `parse` and `find` do.
Source: ATLAS data-set nomenclature, ATL-COM-GEN-2007-003 (2007, revised); Park et al. (2024), III.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

PRODSTEPS = (
    "deriv",
    "merge",
    "recon",
    "PhysCont",
    "evgen",
    "simul",
    "digit",
    "pile",
    "overlay",
    "daq",
    "calib",
    "skim",
)

PROJECT = (
    r"(?:(?:mc|data)[0-9]{2}_(?:[0-9]{1,3}(?:p[0-9]{1,3})?[GT]eV|hip?[0-9]{0,2}(?:p[0-9]{1,2})?(?:TeV)?|cos|comm"
    r"|calib|test|valid|900GeV|1beam)|valid[0-9]{1,2}|data_test)"
)
"""Projects: year of simulation or data taking and beam energy. A closed vocabulary, so that no
other first field of a name (users have named data sets after themselves) passes for a project."""
PRODSTEP = "(?:" + "|".join(PRODSTEPS) + ")"
DATATYPE = r"[A-Z][A-Z0-9]{1,11}(?:_[A-Z][A-Z0-9]{0,15})?"
DAOD = r"DAOD_[A-Z][A-Z0-9]{0,15}"
FORMAT = (
    r"DAOD_(?:PHYS(?:LITE|VAL)?|RPVLL|IDTIDE|IDTRKVALID|SMWEIGHTS|TLA"
    r"|(?:BPHY|EGAM|EXOT|FTAG|HDBS|HIGG|HIGP|HION|IDTR|JETM|L1CALO|LLJ|LLP|MUON|NCB|STDM|SUSY|TAUP"
    r"|TCAL|TOPQ|TRIG|TRUTH)[0-9]{0,2}(?:D[0-9]{1,2})?)"
)
"""Public DAOD formats. A closed vocabulary: job names are free text, and the user `jdoe` may have
called an output `DAOD_JDOE`."""
NAME = (
    r"^(?:[A-Za-z0-9_.\-]+:)?([A-Za-z0-9_\-]+)\.([A-Za-z0-9_\-]+)\.([A-Za-z0-9_+\-]+)"
    r"\.([A-Za-z0-9_\-]+)\.([A-Za-z0-9_\-]+)\.([A-Za-z0-9_\-]+)/?$"
)
PRIVATE = r"^(?:[A-Za-z0-9_.\-]+:)?(?:user|group|panda|hc_test)\."
"""Names of data sets that users, groups and tests made: never a central DAOD."""
AROUND = r"^[A-Za-z0-9_.\-]+:|/$"
"""What may stand before and behind a name without making it that of another data set."""

# A word in free text ends where letters and digits do: `_` may part two words (x_DAOD_PHYS_v1).
_START, _END = r"(?:^|[^A-Za-z0-9])", r"(?:[^A-Za-z0-9]|$)"
PROJECT_TOKEN = f"{_START}({PROJECT}){_END}"
PRODSTEP_TOKEN = f"{_START}({PRODSTEP}){_END}"
PRODSTEP_BEFORE_DAOD = f"{_START}({PRODSTEP})[._]{DAOD}{_END}"
DAOD_TOKEN = f"{_START}({DAOD}){_END}"


@dataclass(frozen=True)
class DatasetName:
    """The six fields of an official data-set name; `number` keeps its leading zeros."""

    project: str
    number: str
    stream: str
    prodstep: str
    datatype: str
    tags: str

    @property
    def is_daod(self) -> bool:
        return re.fullmatch(DAOD, self.datatype) is not None

    @property
    def is_container(self) -> bool:
        return "_tid" not in self.tags


def parse(name: str) -> DatasetName:
    """Split an official data-set name into its six fields.

    Raises `ValueError` where the name is no such name; the message does not repeat it, because
    names of private data sets hold the names of their owners.

    >>> parse("data15_13TeV:data15_13TeV.00123456.physics_Main.deriv.DAOD_FTAG2.r1_p1_tid01_00")
    DatasetName(project='data15_13TeV', number='00123456', stream='physics_Main', \
prodstep='deriv', datatype='DAOD_FTAG2', tags='r1_p1_tid01_00')
    """
    match = re.match(NAME, name.strip())
    if is_private(name):
        raise ValueError("an official data-set name starts with its project, not with an owner")
    if match is None:
        n_fields = name.count(".") + 1
        raise ValueError(
            "a data-set name is project.number.stream.prodstep.datatype.tags, six non-empty fields "
            f"of letters, digits, '_' and '-'; got {n_fields} field{'s' * (n_fields != 1)}"
        )
    return DatasetName(*match.groups())


def is_private(name: str) -> bool:
    """Whether a user, a group or a test made the data set."""
    return re.match(PRIVATE, name.strip()) is not None


@dataclass(frozen=True)
class Tokens:
    """Words of the vocabulary met in free text; empty where there is none."""

    project: str = ""
    prodstep: str = ""
    datatype: str = ""


def find(text: str) -> Tokens:
    """The first project, production step and DAOD format in a job's or an output's name.

    A production step right before the format wins over one that stands elsewhere.

    >>> find("user.nobody.mc20_13TeV.410470.ttbar.deriv.DAOD_PHYS.p5980.merge_v1")
    Tokens(project='mc20_13TeV', prodstep='deriv', datatype='DAOD_PHYS')
    """
    prodstep = _first(PRODSTEP_BEFORE_DAOD, text) or _first(PRODSTEP_TOKEN, text)
    return Tokens(_first(PROJECT_TOKEN, text), prodstep, _first(DAOD_TOKEN, text))


def _first(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    return match.group(1) if match else ""
