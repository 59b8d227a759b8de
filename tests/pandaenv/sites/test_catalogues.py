"""A catalogue checks its values, and nobody can change them afterwards."""

import numpy as np
import pytest

from pandaenv.sites import Catalogue


def two_sites(**changes) -> Catalogue:
    fields = {
        "names": ("here", "there"), "tier": [1, 2], "cloud": ("A", "B"), "cores": [10, 5],
        "power": [10.0, 12.0], "disk": [1e15, 1e14], "ingress": [1e9, 1e8],
        "failure_rate": [0.1, 0.0],
    } | changes  # fmt: skip
    return Catalogue(**fields)


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
