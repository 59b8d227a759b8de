"""Names of queues find their site and its speed."""

from pandaenv import sites
from pandaenv.sites import catalogue, resolve


def test_queue_names_resolve_to_sites(everything):
    assert resolve("BNL-ATLAS_SHORT") == "BNL-ATLAS_SHORT"
    assert resolve("BNL-ATLAS_SHORT", among=catalogue("tier1").names) == "BNL-ATLAS"
    assert resolve("ANALY_BNL_LONG") == "BNL-ATLAS"
    assert resolve("analy_mwt2_ucore") == "MWT2"
    assert resolve("MWT2", among=["DESY-HH"]) is None
    assert resolve("INFN-PISA") is None  # a site of its own, not a queue of INFN-T1
    assert resolve("") is None and resolve("ANALY_") is None and resolve("nowhere") is None
    assert all(a in everything.names for a in sites.ALIASES.values())


def test_the_speed_of_a_queue_is_that_of_its_site():
    grid = catalogue("all")
    found = sites.power_by_name(["ANALY_BNL_LONG", "nowhere", "MWT2"])
    power = [grid.power[grid.index(name)] for name in ("BNL-ATLAS", "MWT2")]
    assert found == {"ANALY_BNL_LONG": power[0], "nowhere": None, "MWT2": power[1]}
