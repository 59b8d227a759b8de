"""benchmarks.speed.metrics: what is timed against ours gives the same numbers."""

import numpy as np
import pytest

from benchmarks.speed import metrics
from metrics import association, jsd, marginals


@pytest.fixture(scope="module")
def halves():
    rows = metrics._records(6_000, 0)
    return rows[:3_000], rows[3_000:].reset_index(drop=True)


def test_the_restatements_agree_with_the_metrics(halves):
    a, b = halves
    assert metrics.scipy_jsd(a, b) == pytest.approx(jsd(a, b), abs=1e-9)
    ours = marginals.numerical(a, b).to_numpy().mean()
    assert metrics.scipy_wd(a, b) == pytest.approx(ours, rel=1e-9)
    plain = metrics.plain_association(a)
    np.testing.assert_allclose(association.association(a), plain, atol=1e-9)


def test_every_line_has_a_time_and_those_with_a_peer_a_ratio(halves):
    lines = metrics._lines(*(t[:400] for t in halves))
    assert all(line["n"] == 400 and line["seconds"] > 0 for line in lines.values())
    assert all(("against" in line) == ("ratio" in line) for line in lines.values())


def test_a_whole_evaluation_is_timed_by_group(halves):
    a, b = halves
    found = metrics.everything(a, b[:1_000], b[1_000:1_600].reset_index(drop=True), 0)
    assert set(found["seconds"]) == set(found["sizes"]) and "diff-MLEF" not in found["seconds"]
    assert found["total_seconds"] >= sum(found["seconds"].values()) and found["n"] == 500


def test_growth_is_the_exponent_of_the_time():
    sizes = {"1": {"x": {"seconds": 1.0}}, "4": {"x": {"seconds": 4.0}}}
    assert metrics._growth(sizes) == {"x": [pytest.approx(1.0)]}
