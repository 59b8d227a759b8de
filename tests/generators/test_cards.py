"""generators.cards: the README.md beside a saved generator."""

import json

import numpy as np
import pandas as pd
import pytest

import generators
from foundations.pages import MARK
from generators.cards import FILE
from tests.generators import contracts

RNG = np.random.default_rng(4)
TABLE = pd.DataFrame(
    {
        "x|y": RNG.random(80),
        "when": pd.date_range("2024-01-01", periods=80, freq="h"),
        "secret": RNG.choice(["alice", "bob", None], 80),
        "n": 1,
    }
)


def card_of(folder):
    text = (folder / FILE).read_text(encoding="utf-8")
    _, front, body = text.split("---\n", 2)
    entries = (line.split(": ", 1) for line in front.splitlines())
    return {key: json.loads(value) for key, value in entries}, body


@pytest.mark.parametrize("name", contracts.ALL)
def test_a_card_says_what_was_learned_and_how(name, tmp_path):
    model = contracts.fit(name, TABLE, seed=7)
    front, body = card_of(model.save(tmp_path / "of alice"))
    assert front == {
        "library_name": "pandaenv",
        "tags": ["tabular", "synthetic-data", model.name],
    }
    assert "learned 80 rows" in body and "with seed 7" in body
    for option, value in model.get_params().items():
        assert f"| `{option}` | `{json.dumps(value)}` |" in body
    for row in (
        r"| x\|y | number |",
        "| when | date |",
        "| secret | category, 3 levels, some missing |",
        "| n | number |",
    ):
        assert row in body
    assert "alice" not in body and "bob" not in body and str(tmp_path) not in body
    assert "- python 3." in body and 'generators.load("FOLDER")' in body


def test_the_same_seed_gives_the_same_card_also_when_saved_again(tmp_path):
    for name in ("a", "b"):
        contracts.fit("tabar", TABLE, seed=2).save(tmp_path / name)
    generators.load(tmp_path / "a").save(tmp_path / "c")
    cards = {(tmp_path / name / FILE).read_bytes() for name in "abc"}
    assert len(cards) == 1
    (tmp_path / "a" / FILE).unlink()  # as of an earlier version
    assert (
        generators.load(tmp_path / "a").sample(9).equals(generators.load(tmp_path / "b").sample(9))
    )


def test_a_model_without_its_counts_has_a_card_without_them(tmp_path):
    model = contracts.fit("smote", TABLE)
    model.rows_ = model.seed_ = None
    _, body = card_of(model.save(tmp_path))
    assert "that learned a table." in body


def test_a_stream_has_its_columns_of_groups(tmp_path):
    table = pd.DataFrame(
        {"time": np.arange(60) / 10, "x": RNG.random(60), "task": np.arange(60) // 6}
    )
    model = generators.make("grouped", d_trunk=8, d_head=8).fit(table, steps=1, progress=False)
    _, body = card_of(model.save(tmp_path))
    assert "| task | number of a group |" in body and "| time | number |" in body


@pytest.mark.parametrize("own", [True, False])
def test_a_page_of_the_users_own_is_kept(tmp_path, own):
    page = tmp_path / FILE
    page.write_text("my notes\n" if own else f"{MARK}\nof another model\n")
    contracts.fit("smote", TABLE).save(tmp_path)
    assert (page.read_text() == "my notes\n") is own
