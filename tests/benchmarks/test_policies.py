"""The table of policies: paired differences, intervals, the same worlds for all, the board."""

import json

import gymnasium as gym
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks.play import leaderboard
from benchmarks.play.cells import GREEDY_ESTIMATE
from benchmarks.play.episodes import ENV_ID, play, play_episodes
from benchmarks.policies import main
from benchmarks.report.comparison import cell_tables, readme_text, sentence, verdict
from benchmarks.report.finished import read_sealed_table, write_sealed_table
from benchmarks.report.intervals import (
    bootstrap,
    differences,
    excludes_zero,
    interval,
    summary,
    to_markdown,
    with_interval,
)
from pandaenv import policies, reference
from pandaenv.env.config import TaskConfig

SMALL = {"sites": 4, "rate": 250, "episode_jobs": 50, "load": 0.7, "split": "test"}


@pytest.fixture
def episodes() -> pd.DataFrame:
    """Two policies on 24 worlds, 3 a window, that differ much; `b` is about one worse on each."""
    rng = np.random.default_rng(0)
    seed = np.arange(24)
    world, gap = rng.normal(0, 50, 24), 1 + 0.1 * rng.normal(size=24)
    shared = {"seed": seed, "window": seed % 8, "cost": 0.0}
    parts = [
        pd.DataFrame({"policy": name, "return": world - gap * k, "flow": k + 1.0, **shared})
        for k, name in enumerate("ab")
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    path = tmp_path_factory.mktemp("pool") / "pool.parquet"
    reference.records(days=28, seed=1, rate=300).to_parquet(path)
    return path


# Intervals


def test_an_interval_is_students():
    values = np.random.default_rng(1).normal(3, 2, 15)
    low, high = stats.t.interval(0.95, 14, values.mean(), stats.sem(values))
    found = interval(values)
    assert (found["low"], found["high"]) == pytest.approx((low, high))
    assert (found["mean"], found["n"]) == (pytest.approx(values.mean()), 15)


def test_one_episode_has_no_interval():
    assert interval([2.0]) == {"mean": 2.0, "low": 2.0, "high": 2.0, "n": 1}


def test_the_bootstrap_draws_whole_windows():
    rng = np.random.default_rng(0)
    window = np.repeat(np.arange(100), 3)
    between, within = rng.normal(size=100), rng.normal(size=300)
    low, high = bootstrap(5 + between[window] + 0.1 * within, window)
    # the spread is that of 100 windows, not of 300 episodes
    assert (low + high) / 2 == pytest.approx(5 + between.mean(), abs=0.05)
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(between.var() / 100), rel=0.15)
    assert bootstrap(np.arange(6.0), np.zeros(6, int))[0] > 0  # one window: its episodes


def test_a_difference_is_clear_where_both_intervals_are():
    assert excludes_zero({"low": 1.0, "high": 2.0, "bootstrap": [0.5, 3.0]})
    assert not excludes_zero({"low": 1.0, "high": 2.0, "bootstrap": [-0.5, 3.0]})
    assert not excludes_zero({"low": -1.0, "high": 2.0, "bootstrap": [0.5, 3.0]})
    assert excludes_zero({"low": -2.0, "high": -1.0})


def test_pairing_by_world_finds_what_means_hide(episodes):
    (row,) = differences(episodes, "a")
    assert row["policy"] == "a" and row["minus"] == "b"
    assert 0.8 < row["return"]["low"] < 1 < row["return"]["high"] < 1.2
    spread = summary(episodes, against="a")[0]["return"]
    assert spread["high"] - spread["low"] > 20


def test_episodes_of_one_window_count_as_one(episodes):
    (row,) = differences(episodes, "a")
    assert row["return"]["n"] == 8
    twice = pd.concat([episodes, episodes.assign(seed=episodes["seed"] + 24)])
    assert differences(twice, "a")[0]["return"]["low"] == pytest.approx(row["return"]["low"])


# Tables


def test_the_table_is_sorted_by_flow(episodes):
    rows = summary(episodes, against="b")
    assert [row["policy"] for row in rows] == ["a", "b"]
    table = to_markdown(rows).splitlines()
    assert "reduction vs b (95 % CI)" in table[0]
    assert table[2].startswith("| a | 1.000 | 1.000 (1.000 to 1.000) | ")
    assert table[3].startswith("| b | 2.000 |  | ") and table[3].endswith(" | 0.0000 |")


def test_a_gap_is_the_flow_over_the_bound_window_by_window(episodes):
    bound = np.where(episodes["window"] < 4, 0.5, 0.8)
    bounded = summary(episodes.assign(bound=bound), against="b")
    assert bounded[0]["gap"] == pytest.approx(interval([1.0] * 4 + [0.25] * 4))
    assert bounded[1]["gap"]["mean"] == pytest.approx((3 + 1.5) / 2)
    assert bounded[0]["flows"] == [1.0] * 8
    assert to_markdown(bounded).splitlines()[2].count("62.5% (29.0% to 96.0%)") == 1
    assert "gap" not in to_markdown(summary(episodes, against="b"))


def test_reductions_are_taken_to_pandas_rule_and_to_greedy(episodes):
    named = episodes.assign(policy=episodes["policy"].map({"a": "greedy", "b": "panda_analysis"}))
    (cell,) = cell_tables({(0.6, "normal"): named.assign(bound=0.5)}, against="panda_analysis")
    greedy, panda = cell["policies"]
    assert greedy["panda"]["mean"] == 1.0 and panda["greedy"]["mean"] == -1.0
    assert greedy["greedy"] is None is panda["panda"]
    assert cell["bound"]["mean"] == 0.5 and cell["bounds"] == [0.5] * 8
    head = to_markdown(cell["policies"]).splitlines()[0]
    assert "| reduction vs greedy (95 % CI) | gap to the bound (95 % CI) |" in head
    to_greedy = cell_tables({(0.6, "normal"): named}, against="greedy")[0]
    assert to_markdown(to_greedy["policies"]).splitlines()[0].count("vs greedy") == 1


def test_a_single_window_is_shown_without_an_interval(episodes):
    single = to_markdown(summary(episodes[episodes["window"] == 0], "b"))
    assert " to " not in single
    assert " to " in to_markdown(summary(episodes, "b"))
    assert with_interval(None) == ""


def test_the_verdict_names_the_cells_that_are_not_clear(episodes):
    swapped = episodes.assign(policy=episodes["policy"].map({"a": "b", "b": "a"}))
    found = cell_tables({(0.5, "normal"): episodes, (0.8, "surge"): swapped}, against="b")
    assert verdict(found, "a") == {
        "policy": "a",
        "cells": 2,
        "not_clear": [{"load": 0.8, "scenario": "surge"}],
    }
    said = sentence({"verdict": verdict(found, "a")})
    assert "in 1 of 2 cells" in said and "not in load 0.8, surge" in said
    assert verdict(found, "nobody") is None


# Episodes


@pytest.mark.parametrize("name", ["random", "greedy_true"])
def test_many_worlds_at_once_give_what_they_give_one_by_one(pool, name):
    task, seeds = TaskConfig(workload=str(pool), **SMALL), [0, 3, 9, 11]
    batched = play_episodes(task, policies.make(name), seeds)
    env = gym.make(ENV_ID, **task.arguments())
    single = pd.DataFrame([play(env, policies.make(name), seed) for seed in seeds])
    pd.testing.assert_frame_equal(batched, single)
    assert batched["window"].tolist() == [0, 3, 1, 3]


def test_an_episode_tells_hours_and_losses_as_its_log_does(pool):
    env = gym.make(ENV_ID, workload=str(pool), **SMALL)
    row = play(env, policies.make("random"), 5)
    log = env.unwrapped.log()
    hours = (log["end"] - log["submit"]).mean() / 3600
    assert row["flow_h"] == pytest.approx(hours) and row["flow_h"] > row["wait_h"] > 0
    assert row["wait_h"] == pytest.approx((log["first_start"] - log["submit"]).mean() / 3600)
    is_lost = log["state"].isin(["lost", "rejected"])
    assert row["lost"] == is_lost.mean()
    unit = env.unwrapped.unit / 3600
    assert row["flow"] == pytest.approx(hours / unit + 10 * is_lost.mean())


# The command


@pytest.fixture(scope="module")
def published(pool, tmp_path_factory):
    """The files of a small run: (folder, arguments)."""
    out = tmp_path_factory.mktemp("out")
    arguments = (
        f"--workload {pool} --sites 4 --rate 250 --jobs 50 --seeds 9 --loads .6 .9 "
        f"--scenarios normal --parts {out / 'parts'} --out {out / 'table.json'}"
    ).split()
    main(arguments)
    return out, arguments


def test_the_command_writes_what_it_prints(published, capsys):
    out, arguments = published
    main(arguments)
    result = json.loads((out / "table.json").read_text())
    assert [c["load"] for c in result["cells"]] == [0.6, 0.9]
    table = to_markdown(result["cells"][0]["policies"])
    assert table in capsys.readouterr().out and table in (out / "table.md").read_text()
    names = {row["policy"] for row in result["cells"][0]["policies"]}
    assert names == {*policies.names(), GREEDY_ESTIMATE}
    assert result["verdict"]["cells"] == 2
    assert table in readme_text(result) and "| policy | normal |" in readme_text(result)
    played = pd.read_csv(out / "table.csv")
    assert len(played) == 2 * 9 * len(names) and played.notna().all().all()
    assert (played["flow"] >= played["bound"]).all() and (played["bound"] > 0).all()
    assert played.groupby(["load", "seed"])["bound"].nunique().max() == 1
    assert (out / "table.png").stat().st_size > 10_000
    for name in ("table.json", "table.md", "table.csv", "table-leaderboard.json"):
        assert str(out.parent) not in (out / name).read_text()


def test_a_run_that_was_stopped_keeps_its_finished_cells(published, tmp_path):
    out, arguments = published
    for path in (out / "parts").iterdir():
        if "random" not in path.name or path.name.startswith("0.9"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
    kept = next(tmp_path.glob("0.6-normal-round_robin-*"))
    write_sealed_table(kept, read_sealed_table(kept).assign(flow=77.0))
    edited = next(tmp_path.glob("0.6-normal-panda_analysis-*"))
    edited.write_text(edited.read_text().replace("panda_analysis", "nobody"))
    again = [*arguments[: arguments.index("--parts")], "--parts", str(tmp_path)]
    main([*again, "--out", str(tmp_path / "again.json")])
    rows = json.loads((tmp_path / "again.json").read_text())["cells"][0]["policies"]
    flow = {row["policy"]: row["flow"]["mean"] for row in rows}
    first = json.loads((out / "table.json").read_text())["cells"][0]["policies"]
    before = {row["policy"]: row["flow"]["mean"] for row in first}
    assert flow.pop("round_robin") == 77.0 and before.pop("round_robin") != 77.0
    assert flow == before


def test_more_windows_are_spread_over_the_same_weeks(pool, tmp_path):
    arguments = (
        f"--workload {pool} --sites 4 --rate 250 --jobs 50 --windows 12 --seeds 12 --loads .6 "
        f"--scenarios normal --policies greedy --bound 0 --parts {tmp_path} "
        f"--out {tmp_path / 'more.json'}"
    ).split()
    main(arguments)
    result = json.loads((tmp_path / "more.json").read_text())
    (row,) = result["cells"][0]["policies"]
    assert result["env"]["windows"] == 12 and len(row["flows"]) == 12
    assert "gap" not in row and "bound" not in result["cells"][0]
    with pytest.raises(ValueError, match="--seeds must be at least --windows, got 11 and 12"):
        main([*arguments, "--seeds", "11"])


# The leaderboard


MINE = """
import numpy as np

class Batched:
    def reset(self, seeds):
        from pandaenv import policies
        self.rule = policies.make("random")
        self.rule.reset(seeds)
    def act_all(self, envs):
        return self.rule.act_all(envs)

class Single:
    def reset(self, seed):
        from pandaenv import policies
        self.rule = policies.make("least_loaded")
        self.rule.reset(seed)
    def act(self, env):
        return self.rule.act(env)

nothing = object()
"""


@pytest.fixture
def board(published, pool, tmp_path, monkeypatch):
    """The board of the small run, where its pool and a module of policies are at hand."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pool.parquet").write_bytes(pool.read_bytes())
    (tmp_path / "mine_.py").write_text(MINE)
    path = tmp_path / "board.json"
    path.write_bytes((published[0] / "table-leaderboard.json").read_bytes())
    return path


def test_the_board_scores_pandas_rule_one_and_others_by_their_flow(board, published):
    held = json.loads(board.read_text())
    scores = {row["policy"]: row["score"] for row in held["entries"]}
    assert scores["panda_analysis"] == {"mean": 1.0, "low": 1.0, "high": 1.0, "n": 8}
    played = pd.read_csv(published[0] / "table.csv")
    flow = played.pivot_table("flow", index=["load", "window"], columns="policy")
    ratio = np.exp(np.log(flow["panda_analysis"] / flow["random"]).mean())
    assert scores["random"]["mean"] == pytest.approx(ratio, rel=1e-5)
    assert held["seed"] == list(range(9)) and len(held["pool_sha256"]) == 64


def test_my_policy_is_measured_on_the_frozen_worlds(board, capsys):
    main(["--mine", "mine_:Batched", "--board", str(board)])
    printed = capsys.readouterr().out.strip().splitlines()
    mine, held = json.loads(printed[-1]), json.loads(board.read_text())
    (random,) = (row for row in held["entries"] if row["policy"] == "random")
    assert mine["policy"] == "mine_:Batched"
    assert mine["score"]["mean"] == pytest.approx(random["score"]["mean"], rel=1e-5)
    assert mine["cost"] == pytest.approx(random["cost"])
    main(["--mine", "mine_:Single", "--board", str(board), "--loads", ".6"])
    table = capsys.readouterr().out
    assert "mine_:Single" in table and "greedy_true" in table


def test_another_task_than_the_frozen_one_is_refused(board):
    held = json.loads(board.read_text())
    held["cells"][0]["flow"]["panda_analysis"][2] *= 1.001
    board.write_text(json.dumps(held))
    with pytest.raises(ValueError, match=r"worlds must be met, but PanDA's rule gives"):
        leaderboard.measure("mine_:Batched", board)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mine_", "unknown policy 'mine_'; known: random"),
        ("nowhere_:Policy", "the module 'nowhere_' cannot be imported"),
        ("mine_:Nobody", "'mine_' has no attribute 'Nobody'"),
        ("mine_:nothing", "must have the methods reset and act or act_all; reset is missing"),
    ],
)
def test_what_is_no_policy_is_refused(board, name, message):
    with pytest.raises(ValueError, match=message):
        leaderboard.measure(name, board)
