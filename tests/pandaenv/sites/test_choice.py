"""The sites a user asks for, and what is refused."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from pandaenv import sites
from pandaenv.sites import Catalogue, catalogue


def test_sites_come_largest_first_and_bnl_leads(everything):
    assert everything.names[0] == "BNL-ATLAS"
    assert (np.diff(everything.cores) <= 0).all()
    assert catalogue().names == everything.names[:40]


def test_tier1_is_the_tier0_and_the_twelve_tier1_sites():
    grid = catalogue("tier1")
    assert sorted(grid.tier) == [0] + [1] * 12
    assert {"CERN-PROD", "BNL-ATLAS", "pic"} <= set(grid.names)


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
