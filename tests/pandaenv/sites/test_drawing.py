"""The embedded catalogue is the drawn one and follows the published distributions."""

import numpy as np
import pytest

from pandaenv import sites
from pandaenv.sites import drawing


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
