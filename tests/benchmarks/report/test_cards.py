"""Cards of data sets: sums, the page; those that are committed say what their recipes do."""

import json
from pathlib import Path

import pytest

from benchmarks.report import cards
from pandaenv import policies
from pandaenv.offline import collect, load
from pandaenv.offline.recipes import SETS, Behaviour, make_mixture
from tests.pandaenv.offline.carts import cart, grid

RESULTS = Path(cards.__file__).parent.parent / "results"
COMMITTED = [path.stem.removeprefix("offline-") for path in RESULTS.glob("offline-panda-*.json")]


def test_a_card_adds_up_what_is_in_the_file(tmp_path):
    mix = make_mixture((Behaviour("random"), Behaviour("greedy")))
    path = collect(grid(), mix, tmp_path / "a.hdf5", episodes=3)
    card, data = cards.card(path), load(path)
    assert (card["n_steps"], card["n_episodes"]) == (75, 3)
    assert card["episodes"]["policy"] == ["random", "greedy", "random"]
    assert card["episodes"]["return"] == data.returns().tolist()
    assert card["per_episode"]["cost_wait"]["mean"] == data["cost_wait"].sum() / 3
    assert [(row["policy"], row["episodes"]) for row in card["by_policy"]] == [
        ("random", 2),
        ("greedy", 1),
    ]
    assert "75 placements" in cards.to_markdown(card) and "No reference" in cards.to_markdown(card)


def test_a_card_is_three_files_and_a_sentence(tmp_path):
    path = cart(tmp_path / "cart.hdf5")
    made = cards.write(path, {"command": "none"})
    assert [p.suffix for p in made] == [".png", ".md", ".json"] and all(p.exists() for p in made)
    assert json.loads(made[-1].read_text())["provenance"] == {"command": "none"}
    assert "4 episodes" in cards.sentence(path)


@pytest.mark.parametrize("name", sorted(COMMITTED))
def test_a_committed_card_says_what_its_recipe_does(name):
    card = json.loads((RESULTS / f"offline-{name}.json").read_text())
    assert card["name"] == name and card["env_id"] == SETS[name].env
    assert card["policy_mix"] == make_mixture(SETS[name].behaviours).names
    assert card["n_steps"] == card["n_episodes"] * card["env_arguments"].get("episode_jobs", 5500)
    assert sum(row["episodes"] for row in card["by_policy"]) == card["n_episodes"]
    assert min(card["episodes"]["return"]) == pytest.approx(card["min_return"])
    assert max(card["episodes"]["cost"]) == pytest.approx(card["max_cost"])
    scores = card["reference"]
    assert scores["expert"]["policy"] in policies.names()
    assert scores["expert"]["return"] > scores["random"]["return"]
    assert name in card["provenance"]["command"]


def test_every_set_of_the_small_grid_has_a_committed_card():
    assert {name for name in SETS if "tier1" in name} <= set(COMMITTED)


def test_the_committed_agents_were_trained_more_than_once():
    result = json.loads((RESULTS / "offline-agents.json").read_text())
    assert result["command"].startswith("python -m benchmarks.offline_agents")
    for found in result["sets"]:
        assert (
            found["set"] in SETS
            and found["reference"]
            == json.loads((RESULTS / f"offline-{found['set']}.json").read_text())["reference"]
        )
        for row in found["learners"]:
            assert "why_not" in row or row["score"]["over_trainings"]["n"] >= 3
