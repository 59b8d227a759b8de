import json

import pytest

import pandaenv
from benchmarks import untouched


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    out = tmp_path_factory.mktemp("untouched") / "curves.json"
    few = ["--only", "dqn", "--steps", "160", "--points", "2", "--windows", "1", "--seeds", "3"]
    untouched.main([*few, "--out", str(out)])
    return json.loads(out.read_text()), out


def test_a_learner_is_played_after_every_part_of_its_training(result):
    told, out = result
    assert [curve["environment"] for curve in told["curves"]] == ["recommended", "as it is"]
    assert told["curves"][0]["arguments"] == pandaenv.recommended("dqn")
    for curve in told["curves"]:
        assert [point["step"] for point in curve["points"]] == [80, 160]
        assert all(0.3 < point["flow"] < 30 for point in curve["points"])
    assert told["rules"]["greedy_true"]["mean"] < told["rules"]["random"]["mean"]
    assert out.with_suffix(".svg").read_text().startswith("<?xml")


def test_flow_times_are_exact_whatever_was_learned_from(result):
    """The first candidate is what greedy takes, so none of 8 can be far from it."""
    told, _ = result
    greedy = told["rules"]["greedy"]["mean"]
    assert all(point["flow"] > 0.9 * greedy for point in told["curves"][0]["points"])


def test_the_table_orders_learners_among_the_rules(result):
    lines = untouched.to_markdown(result[0]).splitlines()[2:]
    flows = [float(line.split("|")[2]) for line in lines]
    assert flows == sorted(flows) and len(flows) == 7


@pytest.mark.parametrize("learner", ["a2c", None, 3])
def test_settings_are_recommended_only_for_what_was_tried(learner):
    with pytest.raises(ValueError, match="unknown learner .* known: ppo, maskable_ppo, dqn"):
        pandaenv.recommended(learner)
