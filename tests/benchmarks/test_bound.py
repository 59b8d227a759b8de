"""The command that bounds episodes from both sides."""

import json

import pytest

from benchmarks.bound import main

SMALL = "--sites 4 --rate 300 --jobs 40 --seeds 3 --steps 40 --moves 20"


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    out = tmp_path_factory.mktemp("bound") / "bound.json"
    main([*SMALL.split(), "--policies", "greedy", "random", "--out", str(out)])
    return json.loads(out.read_text())


def test_every_flow_lies_above_the_bound_and_the_best_found_below_rules(result):
    flows = {row["policy"]: row["flows"] for row in result["policies"]}
    assert set(flows) == {"best found", "greedy", "random"} and len(result["bounds"]) == 3
    for name, found in flows.items():
        gaps = [flow / low - 1 for flow, low in zip(found, result["bounds"], strict=True)]
        assert min(gaps) >= 0, name
        (row,) = (row for row in result["policies"] if row["policy"] == name)
        assert row["gap"]["mean"] == pytest.approx(sum(gaps) / 3)
    assert flows["best found"][0] <= flows["random"][0]
    assert result["service"]["mean"] <= result["bound"]["mean"]


def test_it_says_how_to_make_it_again(result):
    assert result["command"].startswith(f"python -m benchmarks.bound {SMALL}")
    assert result["seed"] == [0, 1, 2] and result["env"]["sites"] == 4
    assert result["policies"][1]["saved"] is None or result["policies"][0]["saved"] is not None


def test_the_table_shows_the_gap_and_between_what_the_best_lies(result, tmp_path, capsys):
    main(
        [*SMALL.split(), "--seeds", "1", "--policies", "greedy", "--out", str(tmp_path / "a.json")]
    )
    said = capsys.readouterr().out
    assert "| gap to the bound (95 % CI) |" in said and "| best found |" in said
    assert "The best placement takes between " in said
