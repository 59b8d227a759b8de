"""benchmarks.play.apprentices: agents of each source compared world by world on the trace."""

import pandas as pd
import pytest

from benchmarks.play import apprentices
from benchmarks.report.intervals import MEASURES


def episodes(policy, flow, training=0):
    """Eight windows of unequal hardness, in which a policy's flow is `flow` above the window's."""
    rows = [
        {
            "policy": policy,
            "training": training,
            "seed": w,
            "window": w,
            **dict.fromkeys(MEASURES, 0.0),
            "flow": w + flow,
        }
        for w in range(8)
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def rows():
    agents = pd.concat([episodes("trace", 1.0), episodes("poor", 1.4), episodes("poor", 1.6, 1)])
    return apprentices.compare(agents, episodes("greedy", 1.25), "trace")


def test_differences_are_paired_so_that_hard_windows_do_not_hide_them(rows):
    home, poor = rows
    assert [home["source"], poor["source"]] == ["trace", "poor"] and home["saved"] is None
    assert poor["saved"]["mean"] == pytest.approx(-0.5)
    assert poor["saved"]["high"] == pytest.approx(-0.5)  # though windows differ by seven
    assert home["against"]["greedy"]["mean"] == pytest.approx(0.25)
    assert poor["against"]["greedy"]["mean"] == pytest.approx(-0.25)


def test_trainings_of_one_source_are_averaged_and_their_range_is_told(rows):
    poor = rows[1]["trainings"]
    assert poor["n"] == 2
    assert (poor["least"], poor["most"]) == pytest.approx((3.5 + 1.4, 3.5 + 1.6))


def test_a_line_of_the_table_for_each_source(rows):
    head, _, *lines = apprentices.to_markdown(rows).splitlines()
    assert "reduction vs greedy" in head and len(lines) == 2
    assert "-0.500" in lines[1] and "4.900 to 5.100" in lines[1]
