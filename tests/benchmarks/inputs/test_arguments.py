"""Commands: wrong options are refused before the work, and what breaks is one sentence."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import frontier, policies, ppo
from benchmarks.inputs import arguments

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("tasks --seeds 0", "argument --seeds: must be a whole number of at least 1, got '0'"),
        ("calibration --seeds 0", "argument --seeds: must be a whole number of at least 1"),
        ("policies --seeds 0", "argument --seeds: must be a whole number of at least 1, got '0'"),
        ("policies --rate nan", "argument --rate: must be a positive number, got 'nan'"),
        ("policies --out /", "argument --out: must be a file; / is a folder"),
        (
            "policies --out FILE/x.json",
            "argument --out: must be in a writable folder; FILE is not",
        ),
        ("policies --mine a:B --seeds 3", "error: --mine plays the frozen worlds"),
        ("policies --mine a:B --jobs 9", "it takes no --jobs"),
        ("ppo --only scorign", "error: unknown agent 'scorign'; "),
        ("ppo --threads 0", "argument --threads: must be a whole number of at least 1, got '0'"),
        ("ppo --steps -5", "argument --steps: must be a whole number of at least 1, got '-5'"),
        ("ppo --config nowhere.toml", "error: nowhere.toml must be a readable TOML file"),
        ("load --loads x", "--loads must be numbers with commas between them, got 'x'"),
        ("load --out FILE", "argument --out: must be in a writable folder; FILE is not"),
        ("defects --n 0", "argument --n: must be a whole number of at least 2, got '0'"),
        ("anomalies --rows 0", "argument --rows: must be a whole number of at least 1, got '0'"),
        ("frontier --result nowhere.json", "error: [Errno 2] No such file"),
        ("frontier --result benchmarks/results/load.json", "must be of agents with a cost_limit"),
        (
            "animate --out FILE/a.gif",
            "argument --out: must be in a writable folder; FILE is not",
        ),
        ("pretrain --steps 0", "argument --steps: must be a whole number of at least 1, got '0'"),
        ("sampler --rows few", "argument --rows: must be a whole number of at least 2, got 'few'"),
    ],
)
def test_a_wrong_option_is_one_sentence(command, message, tmp_path, monkeypatch, capsys):
    taken = tmp_path / "taken"
    taken.write_text("")
    module, *words = command.replace("FILE", str(taken)).split()
    main = importlib.import_module(f"benchmarks.{module}").main
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit) as left:
        arguments.command(lambda: main(words))
    assert left.value.code in (1, 2)
    assert message.replace("FILE", str(taken)) in capsys.readouterr().err.splitlines()[-1]
    assert taken.read_text() == ""


def test_commands_end_so():
    words = [sys.executable, "-m", "benchmarks.frontier", "--result", "nowhere.json"]
    run = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 1 and run.stderr.startswith("error: [Errno 2] No such file")


def test_steps_of_the_command_line_go_over_those_of_each_agent():
    args = ppo._parser().parse_args(["--steps", "7", "--only", "scoring", "ppo"])
    config = ppo.chosen(ppo.read_config(args.config), args)
    assert {name: recipe.steps for name, recipe in config.recipes().items()} == {
        "scoring": 7,
        "ppo": 7,
    }
    args = ppo._parser().parse_args([])
    untouched = ppo.read_config(args.config)
    assert ppo.chosen(untouched, args) == untouched


def test_a_board_beside_another_result_has_a_name_of_its_own(tmp_path):
    names = [policies.board_beside(tmp_path / f"{n}.json").name for n in ("policies", "mine")]
    assert names == ["leaderboard.json", "mine-leaderboard.json"]


def test_an_interrupt_is_said_in_a_word(capsys):
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as left:
        arguments.command(stop)
    assert left.value.code == 130 and capsys.readouterr().err == "stopped\n"


def test_limits_are_found_in_the_results_of_agents_alone():
    agents = {"a": {"cost_limit": 0.1}, "b": {}}
    assert frontier.held_to_a_limit({"config": {"agents": agents}}) == {"a": 0.1}
    assert frontier.held_to_a_limit({}) == frontier.held_to_a_limit([1]) == {}
