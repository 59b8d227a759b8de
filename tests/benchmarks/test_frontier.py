"""The figure of return against cost."""

import itertools

import pytest

from benchmarks import frontier


def spread(mean):
    return {"mean": mean, "low": mean * 0.9, "high": mean * 1.2, "n": 8}


@pytest.fixture
def result():
    points = {"free": (0.02, 1.0), "held_b": (0.01, 1.1), "held_a": (0.005, 1.3), "rule": (0.03, 2)}
    rows = [
        {"policy": name, "cost": spread(cost), "flow": spread(flow)}
        for name, (cost, flow) in points.items()
    ]
    agents = {"free": {}, "held_b": {"cost_limit": 0.01}, "held_a": {"cost_limit": 0.005}}
    return {"config": {"agents": agents}, "policies": rows}


def test_names_stand_apart(result):
    for row in result["policies"]:
        row["cost"], row["flow"] = spread(0.02), {"mean": 1.0}
    (axes,) = (figure := frontier.draw(result)).axes
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in axes.texts]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


def test_agents_held_to_a_limit_are_joined_lowest_first(result):
    assert frontier.held(result) == [(0.005, 1.3), (0.01, 1.1)]


def test_every_policy_has_its_mark_and_interval(result):
    (axes,) = frontier.draw(result).axes
    assert {text.get_text() for text in axes.texts} == {"free", "held_b", "held_a", "rule"}
    marks = {tuple(box.lines[0].get_xydata()[0]) for box in axes.containers}
    assert (0.03, 2.0) in marks and len(marks) == 4
    (bar,) = [
        box.lines[2][0].get_segments()[0]
        for box in axes.containers
        if box.lines[0].get_xdata()[0] == 0.03
    ]
    assert bar[:, 0] == pytest.approx([0.027, 0.036])
