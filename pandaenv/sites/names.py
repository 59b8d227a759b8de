"""Public names of the grid's sites by cloud and tier, and names of queues made from them.

In: a queue's name. Out: its site's. Names are those of the WLCG; `pandaenv.sites.reading` says what
else in the catalogue is drawn.
"""

QUEUE_SUFFIXES = ("_SHORT", "_HIMEM")
"""Ends of the names of queues that are made from a site's name."""
SITES = {
    "CERN": {
        0: "CERN-PROD",
        2: "CERN-P1",
    },
    "US": {
        1: "BNL-ATLAS",
        2: "AGLT2 MWT2 SWT2_CPB UTA_SWT2 OU_OSCER_ATLAS NET2 SLAC BU_ATLAS_Tier2",
        3: "LUCILLE ANLASC BELLARMINE-ATLAS-T3 NERSC",
    },
    "UK": {
        1: "RAL-LCG2",
        2: (
            "UKI-LT2-QMUL UKI-LT2-RHUL UKI-NORTHGRID-MAN-HEP UKI-NORTHGRID-LANCS-HEP "
            "UKI-NORTHGRID-LIV-HEP UKI-SCOTGRID-GLASGOW UKI-SCOTGRID-ECDF "
            "UKI-SOUTHGRID-OX-HEP UKI-SOUTHGRID-RALPP UKI-SOUTHGRID-BHAM-HEP"
        ),
        3: (
            "UKI-NORTHGRID-SHEF-HEP UKI-SCOTGRID-DURHAM UKI-SOUTHGRID-CAM-HEP UKI-LT2-UCL-HEP "
            "UKI-SOUTHGRID-SUSX"
        ),
    },
    "DE": {
        1: "FZK-LCG2",
        2: (
            "DESY-HH DESY-ZN GoeGrid LRZ-LMU MPPMU wuppertalprod UNI-FREIBURG praguelcg2 "
            "CYFRONET-LCG2 CSCS-LCG2"
        ),
        3: "TUDresden-ZIH HEPHY-UIBK UNI-SIEGEN-HEP",
    },
    "FR": {
        1: "IN2P3-CC",
        2: (
            "GRIF-LAL GRIF-IRFU GRIF-LPNHE IN2P3-CPPM IN2P3-LAPP IN2P3-LPC IN2P3-LPSC "
            "TOKYO-LCG2 BEIJING-LCG2 RO-07-NIPNE"
        ),
        3: "RO-02-NIPNE",
    },
    "IT": {
        1: "INFN-T1",
        2: "INFN-MILANO-ATLASC INFN-NAPOLI-ATLAS INFN-ROMA1 INFN-FRASCATI",
        3: "INFN-GENOVA INFN-ROMA3 INFN-COSENZA GR-01-AUTH",
    },
    "NL": {
        1: "SARA-MATRIX NIKHEF",
        2: "WEIZMANN-LCG2 TECHNION-HEP IL-TAU-HEP TR-10-ULAKBIM",
        3: "RUG-CIT ZA-WITS-CORE",
    },
    "RU": {
        1: "RRC-KI-T1",
        2: "RRC-KI JINR-LCG2 RU-Protvino-IHEP ru-PNPI",
        3: "ITEP ru-Moscow-SINP-LCG2 ru-Moscow-FIAN-LCG2",
    },
    "CA": {
        1: "TRIUMF-LCG2",
        2: (
            "CA-SFU-T2 CA-VICTORIA-WESTGRID-T2 CA-SCINET-T2 CA-MCGILL-CLUMEQ-T2 "
            "CA-WATERLOO-T2 Australia-ATLAS"
        ),
    },
    "ES": {
        1: "pic",
        2: "ifae IFIC-LCG2 UAM-LCG2 NCG-INGRID-PT EELA-UTFSM",
        3: "LIP-Coimbra",
    },
    "ND": {
        1: "NDGF-T1",
        2: "SiGNET UNIBE-LHEP SE-SNIC-T2",
        3: "ARNES UNIGE-DPNC",
    },
    "TW": {
        1: "Taiwan-LCG2",
        2: "TW-FTT",
        3: "HK-LCG2",
    },
}
"""Public WLCG names by cloud and tier: T0 1, T1 12, T2 66, T3 26."""


def resolve_queue(name: str) -> str:
    """The site a queue-style name was made from: `MWT2_SHORT` -> `MWT2`; other names are sites."""
    for suffix in QUEUE_SUFFIXES:
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    return name
