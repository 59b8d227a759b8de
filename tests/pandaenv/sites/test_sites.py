"""The catalogue: what it holds, how it is chosen, and what it refuses."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from pandaenv import sites
from pandaenv.sites import Catalogue, catalogue, drawing, resolve


@pytest.fixture(scope="module")
def everything() -> Catalogue:
    return catalogue("all")


def two_sites(**changes) -> Catalogue:
    fields = {
        "names": ("here", "there"), "tier": [1, 2], "cloud": ("A", "B"), "cores": [10, 5],
        "power": [10.0, 12.0], "disk": [1e15, 1e14], "ingress": [1e9, 1e8],
        "failure_rate": [0.1, 0.0],
    } | changes  # fmt: skip
    return Catalogue(**fields)


def test_the_committed_file_is_the_drawn_one_byte_for_byte(tmp_path):
    drawing.write(tmp_path / "sites.csv")
    assert (tmp_path / "sites.csv").read_bytes() == sites.PATH.read_bytes()


def test_150_queues_at_105_sites_of_the_published_tiers(everything):
    parents = [sites.resolve_queue(n) for n in everything.names]
    tier = dict(zip(parents, everything.tier.tolist(), strict=True))
    assert everything.n_sites == 150
    assert np.bincount(list(tier.values())).tolist() == [1, 12, 66, 26]


def test_sizes_speeds_and_failures_follow_the_published_quantiles(everything):
    assert everything.cores.sum() == pytest.approx(600e3, rel=0.1)
    assert np.median(everything.cores) == pytest.approx(1600, rel=0.1)
    assert everything.cores.max() == pytest.approx(24e3, rel=0.1)
    levels = [0.05, 0.25, 0.5, 0.75, 0.95]
    power, failure = (
        np.quantile(everything.power, levels),
        np.quantile(everything.failure_rate, levels),
    )
    np.testing.assert_allclose(power, [8.2, 10.0, 11.1, 14.1, 19.3], rtol=0.03)
    np.testing.assert_allclose(failure, [0.008, 0.027, 0.053, 0.13, 0.36], rtol=0.06)
    assert abs(np.corrcoef(np.log(everything.cores), everything.power)[0, 1]) < 0.2


def test_sites_come_largest_first_and_bnl_leads(everything):
    assert everything.names[0] == "BNL-ATLAS"
    assert (np.diff(everything.cores) <= 0).all()
    assert catalogue().names == everything.names[:40]


def test_tier1_is_the_tier0_and_the_twelve_tier1_sites():
    grid = catalogue("tier1")
    assert sorted(grid.tier) == [0] + [1] * 12
    assert {"CERN-PROD", "BNL-ATLAS", "pic"} <= set(grid.names)


def test_closeness_is_symmetric_with_the_published_medians(everything):
    d, cloud = everything.closeness, np.array(everything.cloud)
    other, same = ~np.eye(150, dtype=bool), cloud[:, None] == cloud
    assert (d == d.T).all() and (np.diag(d) == 0).all() and (d[other] >= 1).all()
    assert np.median(d[same & other]) == 4 and np.median(d[~same]) == 5
    assert (d[other] == 11).mean() == pytest.approx(0.14, abs=0.02)


def test_a_pair_keeps_its_link_in_every_catalogue(everything):
    some = catalogue(["MWT2", "BNL-ATLAS", "DESY-HH"])
    rows = [everything.index(n) for n in some.names]
    assert (some.closeness == everything.closeness[np.ix_(rows, rows)]).all()
    assert (some.closeness == sites.derive_closeness(some.names, some.tier, some.cloud)).all()


def test_links_fall_with_closeness_and_scale_together(everything):
    assert (np.diff(sites.THROUGHPUT) <= 0).all()
    np.testing.assert_array_equal(everything.link, sites.THROUGHPUT[everything.closeness])
    half = dataclasses.replace(everything, link_scale=0.5)
    np.testing.assert_array_equal(half.link, everything.link / 2)


def test_a_list_of_names_a_file_and_a_catalogue_are_accepted(tmp_path):
    named = catalogue(["MWT2", "BNL-ATLAS"])
    assert named.names == ("BNL-ATLAS", "MWT2")
    pd.read_csv(sites.PATH).query("name in @named.names").to_csv(tmp_path / "two.csv", index=False)
    read = catalogue(str(tmp_path / "two.csv"))
    for field in dataclasses.fields(Catalogue):
        assert np.array_equal(getattr(read, field.name), getattr(named, field.name))
    assert catalogue(named) is named


def test_names_may_be_an_array():
    names = ("BNL-ATLAS", "MWT2")
    assert set(catalogue(np.array(names)).names) == set(names)


def test_queue_names_resolve_to_sites(everything):
    assert resolve("BNL-ATLAS_SHORT") == "BNL-ATLAS_SHORT"
    assert resolve("BNL-ATLAS_SHORT", among=catalogue("tier1").names) == "BNL-ATLAS"
    assert resolve("ANALY_BNL_LONG") == "BNL-ATLAS"
    assert resolve("analy_mwt2_ucore") == "MWT2"
    assert resolve("MWT2", among=["DESY-HH"]) is None
    assert resolve("INFN-PISA") is None  # a site of its own, not a queue of INFN-T1
    assert resolve("") is None and resolve("ANALY_") is None and resolve("nowhere") is None
    assert all(a in everything.names for a in sites.ALIASES.values())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cores": [0, 5]}, "cores must be at least 1, got 0 at site 'here'"),
        ({"cores": [1e10, 5]}, r"cores must be at most 1e\+09, got 10000000000 at site 'here'"),
        ({"cores": [1e20, 5]}, r"cores must fit 64 bits, got 1e\+20 in row 0"),
        ({"cores": [1.5, 5]}, "cores must be whole numbers, got 1.5 in row 0"),
        ({"power": [10, -1]}, "power must be positive, got -1.0 at site 'there'"),
        ({"power": [10, np.nan]}, "power must be finite, got nan in row 1"),
        ({"power": [10]}, "power must have one value for each of 2 sites"),
        ({"power": ["fast", "slow"]}, "power must be numbers"),
        ({"disk": [np.inf, 1]}, "disk must be finite, got inf in row 0"),
        ({"ingress": [0, 1]}, "ingress must be positive, got 0.0 at site 'here'"),
        ({"failure_rate": [0, 1]}, r"failure_rate must be in \[0, 1\), got 1.0 at site 'there'"),
        ({"tier": [1, 4]}, "tier must be in 0..3, got 4 at site 'there'"),
        ({"names": ("a", "a")}, "site names must be distinct, got 'a' 2 times"),
        ({"names": ("a", "")}, "site names must be non-empty strings, got '' in row 1"),
        ({"names": ()}, "a catalogue needs at least one site, got none"),
        ({"closeness": [[0, 1], [2, 0]]}, "closeness must be symmetric, got 1 from 'here' to 'th"),
        ({"closeness": [[1, 2], [2, 0]]}, "closeness must be 0 from a site to itself, got 1"),
        ({"closeness": [[0, 12], [12, 0]]}, "closeness must be between 0 and 11, got 12"),
        ({"closeness": [[0, np.nan], [np.nan, 0]]}, "closeness must be finite, got nan in row 0"),
        ({"closeness": [[0]]}, r"closeness must have shape \(2, 2\), got \(1, 1\)"),
        ({"link_scale": 0.0}, "link_scale must be positive and finite, got 0.0"),
        ({"link_scale": "a"}, "link_scale must be positive and finite, got 'a'"),
        ({"names": None}, "names must be a sequence of strings, got None"),
        ({"cloud": None}, "cloud must be a sequence of strings, got None"),
        ({"cloud": "XX"}, "cloud must be a sequence of strings, got 'XX'"),
        ({"link_scale": np.nan}, "link_scale must be positive and finite, got nan"),
        ({"disk": [1, -1]}, "disk must be at least 0, got -1.0 at site 'there'"),
        ({"tier": [np.nan, 1]}, "tier must be finite, got nan in row 0"),
    ],
)
def test_a_broken_catalogue_is_refused_in_one_sentence(changes, message):
    with pytest.raises(ValueError, match=message):
        two_sites(**changes)


@pytest.mark.parametrize(
    ("which", "message"),
    [
        (0, "sites must be between 1 and 150, got 0"),
        (151, "sites must be between 1 and 150, got 151"),
        (True, "sites must be a number"),
        ("tier9", "sites must be a number, .* got 'tier9'"),
        (2.5, "sites must be a number, .* got 2.5"),
        (["MWT2", "nowhere"], "unknown site 'nowhere'"),
        (["MWT2", "MWT2"], "site names must be distinct"),
        ([], "at least one site"),
        ("missing.csv", "missing.csv: a site catalogue must be a readable CSV file"),
    ],
)
def test_an_unknown_choice_of_sites_is_refused_in_one_sentence(which, message):
    with pytest.raises(ValueError, match=message):
        catalogue(which)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be a readable CSV file"),
        ("name,tier\nA,1\n", "needs the column 'cloud'"),
        ("{head}\n", "needs at least one row"),
        ("{head}\n,1,X,5,10,1,1,0\n", "every site needs a name, row 0 has none"),
        ("{head}\nA,1,X,5,,1,1,0\n", "power must be a finite number, got 'nan' at site 'A'"),
        ("{head}\nA,1,X,5,fast,1,1,0\n", "power must be a finite number, got 'fast' at site 'A'"),
        ("{head}\nA,1,X,5,-3,1,1,0\n", "power must be positive, got -3.0 at site 'A'"),
        ("{head}\nA,1,X,5,9,1,1,0\nA,1,X,5,9,1,1,0\n", "distinct, got 'A' 2 times"),
    ],
)
def test_a_broken_file_is_refused_by_its_name(tmp_path, text, message):
    path = tmp_path / "grid.csv"
    path.write_text(text.format(head=",".join(sites.COLUMNS)))
    with pytest.raises(ValueError, match=message) as error:
        catalogue(path)
    assert str(error.value).startswith(str(path))


def test_arrays_of_a_catalogue_are_read_only_and_its_input_untouched():
    cores = np.array([10, 5])
    grid = two_sites(cores=cores)
    cores[0] = 99
    assert grid.cores[0] == 10
    with pytest.raises(ValueError, match="read-only"):
        grid.cores[0] = 1


def test_taking_rows_keeps_everything_together(everything):
    part = everything.take([5, 2])
    assert part.names == (everything.names[5], everything.names[2])
    assert part.power.tolist() == everything.power[[5, 2]].tolist()
    assert part.closeness[0, 1] == everything.closeness[5, 2]
    with pytest.raises(ValueError, match="at least one site"):
        everything.take([])
