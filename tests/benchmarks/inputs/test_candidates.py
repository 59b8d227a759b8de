"""Generators and policies by name, as objects of your own, and saved: they run, or are refused."""

import json

import numpy as np
import pandas as pd
import pytest

import generators
from benchmarks import fidelity, memorisation, pretrain, transfer
from benchmarks.inputs import candidates

MODULE = '''
"""A generator and a policy of a user."""

class Resampler:
    """It has fit and sample, and nothing else."""
    def fit(self, table):
        self.table = table
    def sample(self, n, seed=0):
        return self.table.sample(n, replace=True, random_state=seed).reset_index(drop=True)

class Unfit:
    def sample(self, n):
        return n

class First:
    def reset(self, seed):
        pass
    def act(self, env):
        return env.unwrapped.mask.argmax()
'''


def table(n=400):
    rng = np.random.default_rng(0)
    x = rng.lognormal(size=n)
    site = pd.Series(rng.choice(["BNL", "CERN"], n)).astype("category")
    return pd.DataFrame({"x": x, "work": x**2 + rng.random(n), "site": site})


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A current folder with a module of a user's own, a table and a saved generator."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toys_of_mine.py").write_text(MODULE)
    table().to_csv(tmp_path / "table.csv", index=False)
    generators.make("smote").fit(table()).save(tmp_path / "saved" / "neighbours")
    return tmp_path


def test_fidelity_scores_an_object_of_mine_and_a_saved_generator(here, capsys):
    names = ["toys_of_mine:Resampler", "saved/neighbours"]
    words = ["--profile", "smoke", "--data", "table.csv", "--quiet", "--out", "out"]
    assert fidelity.main([*words, "--generators", *names]) == 0
    assert "| toys_of_mine:Resampler |" in capsys.readouterr().out
    result = json.loads((here / "out" / "table1.json").read_text())
    assert [row["model"] for row in result["rows"]] == ["toys_of_mine:Resampler", "neighbours"]
    assert all(np.isfinite(row["WD"]) for row in result["rows"])
    assert (here / "out" / "samples" / "toys_of_mine.Resampler.parquet").is_file()
    before = (here / "out" / "rows" / "toys_of_mine.Resampler.json").stat().st_mtime_ns
    assert fidelity.main([*words, "--generators", *names]) == 0
    assert (here / "out" / "rows" / "toys_of_mine.Resampler.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("command", ["fidelity", "memorisation", "transfer", "pretrain"])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere_:Mine", "the module 'nowhere_' cannot be imported"),
        ("toys_of_mine:Nobody", "'toys_of_mine' has no attribute 'Nobody'"),
        ("toys_of_mine:Unfit", "must have the methods fit and sample; fit is missing"),
        ("saved", "no saved generator in saved: generator.json is missing"),
        ("gan", "unknown generator 'gan'; known: smote, "),
    ],
)
def test_what_is_no_generator_is_refused_before_any_work(here, capsys, command, name, message):
    option = "--generator" if command == "pretrain" else "--generators"
    words = [option, name, "--out", "out"]
    if command == "pretrain":
        with pytest.raises((ValueError, OSError), match=message):
            pretrain.main(words)
    else:
        main = {"fidelity": fidelity, "memorisation": memorisation, "transfer": transfer}[command]
        assert main.main(words) == 1
        said = capsys.readouterr().err
        assert message in said and said.count("\n") == 1
    assert not (here / "out").exists() and not (here / "runs").exists()


def test_two_candidates_of_one_name_are_refused(here, capsys):
    words = ["--data", "table.csv", "--out", "out", "--generators", "smote", "smote"]
    assert fidelity.main(words) == 1
    assert "must have different names, got 'smote' twice" in capsys.readouterr().err


def test_a_saved_generator_is_for_tables_of_its_columns(here):
    saved = candidates.generator("saved/neighbours")
    saved.fit(table())
    with pytest.raises(ValueError, match="the saved smote has the columns"):
        saved.fit(table()[["x", "site"]])


def test_arguments_are_passed_where_a_method_takes_them():
    class Strict:
        def fit(self, table, steps):
            self.given = steps

        def sample(self, n, **options):
            return n, options

    model = Strict()
    candidates.fit(model, table(), seed=3, steps=7)
    assert model.given == 7
    assert candidates.sample(model, 5, seed=3) == (5, {"seed": 3})


def test_what_tells_candidates_apart(here):
    assert candidates.settings(generators.make("smote")) == {"k": 5, "rare": 0.01}
    mine = candidates.settings(candidates.generator("toys_of_mine:Resampler"))
    assert mine["model"] == "Resampler" and len(mine["source"]) == 64
    assert len(candidates.settings(candidates.generator("saved/neighbours"))["saved"]) == 64
    policy = candidates.policy("toys_of_mine:First")
    assert policy.identity == ("toys_of_mine:First", mine["source"])
    assert candidates.policy("random").identity == ("random",)
