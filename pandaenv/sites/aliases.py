"""The site of the catalogue that a queue's or a site's name means, and how fast it is.

In: names as they stand in records. Out: the catalogue's name and GFLOP/s per core, None where no
site fits.
"""

from __future__ import annotations

from collections.abc import Iterable

from .reading import embedded

DEFAULT_POWER = 10.0
"""GFLOP/s per core of an unknown site: HS06 per core = 10 is the common default, and 1 HS06 is
read as 1 GFLOP/s."""
ALIASES = dict(
    pair.split("=")
    for pair in (
        "bnl=BNL-ATLAS cern=CERN-PROD fzk=FZK-LCG2 ral=RAL-LCG2 triumf=TRIUMF-LCG2 "
        "sara=SARA-MATRIX taiwan=Taiwan-LCG2 ndgf=NDGF-T1 infn=INFN-T1 tokyo=TOKYO-LCG2 "
        "ific=IFIC-LCG2 uam=UAM-LCG2 lrz=LRZ-LMU cscs=CSCS-LCG2 cyfronet=CYFRONET-LCG2 "
        "sfu=CA-SFU-T2 qmul=UKI-LT2-QMUL rhul=UKI-LT2-RHUL glasgow=UKI-SCOTGRID-GLASGOW "
        "ecdf=UKI-SCOTGRID-ECDF lancs=UKI-NORTHGRID-LANCS-HEP man=UKI-NORTHGRID-MAN-HEP "
        "liv=UKI-NORTHGRID-LIV-HEP weizmann=WEIZMANN-LCG2 wuppertal=wuppertalprod "
        "prague=praguelcg2 nikhef-elprod=NIKHEF in2p3=IN2P3-CC swt2=SWT2_CPB "
        "ou_oscer=OU_OSCER_ATLAS jinr=JINR-LCG2 milano=INFN-MILANO-ATLASC"
    ).split()
)
"""Short names by which PanDA queues call a site, folded."""


def resolve(name: str, among: Iterable[str] | None = None) -> str | None:
    """The catalogue's name for a queue or site name, or None where nothing fits.

    A known name is its own answer. Otherwise case, a leading `ANALY_` and suffixes after `_` are
    ignored, and a few names by which PanDA calls sites (`BNL`, `CERN`) are known.

    Args:
        among: the names an answer may have; by default the whole embedded catalogue.

    Example:
        >>> resolve("ANALY_BNL_LONG"), resolve("MWT2_SHORT", among=["MWT2"]), resolve("nowhere")
        ('BNL-ATLAS', 'MWT2', None)
    """
    known = embedded().names if among is None else tuple(among)
    if name in known:
        return name
    folded = {n.lower(): n for n in known}
    stem = str(name).lower().removeprefix("analy_")
    while stem:
        if stem in folded:
            return folded[stem]
        alias = ALIASES.get(stem)
        if alias and alias.lower() in folded:
            return folded[alias.lower()]
        stem = stem.rpartition("_")[0]
    return None


def power_by_name(names: Iterable[str]) -> dict[str, float | None]:
    """GFLOP/s per core of the sites that names mean, None where the catalogue has none.

    Example:
        >>> power_by_name(["BNL-ATLAS", "nowhere"])["nowhere"] is None
        True
    """
    catalogue = embedded()
    power = dict(zip(catalogue.names, catalogue.power.tolist(), strict=True))
    return {name: power.get(resolve(name)) for name in names}
