"""Layout: what goes in comes back, and what cannot be learned is refused."""

import json

import numpy as np
import pandas as pd
import pytest

from generators.layout import Layout, check, check_frame

RNG = np.random.default_rng(5)
N = 600
MIXED = pd.DataFrame(
    {
        "normal": RNG.normal(size=N),
        "poisson": RNG.poisson(3, N),
        "huge": RNG.integers(0, 2**53, N),
        "spike": np.where(RNG.random(N) < 0.3, 1e11, RNG.lognormal(20, 1, N)),
        "constant": 7,
        "float32": RNG.random(N).astype("float32"),
        "cents": np.round(RNG.random(N), 2),
        "nullable": pd.array(RNG.integers(0, 9, N), dtype="Int64"),
        "category": pd.Categorical(RNG.choice(list("xyz"), N), categories=list("wxyz")),
        "ordered": pd.Categorical(RNG.choice([3, 1, 2], N), categories=[3, 1, 2], ordered=True),
        "text": RNG.choice(["p", "q<b>"], N),
        "object": pd.Series(RNG.choice(np.array(["p", 1], dtype=object), N), dtype=object),
        "flag": RNG.random(N) < 0.5,
    }
)


def test_layout_gives_the_frame_back():
    layout = Layout.from_table(MIXED)
    pd.testing.assert_frame_equal(layout.join(*layout.split(MIXED)), MIXED)


def test_layout_survives_json():
    layout = Layout.from_table(MIXED)
    assert Layout.from_json(json.loads(json.dumps(layout.to_json()))) == layout


def test_layout_codes_unseen_categories_as_minus_one():
    layout = Layout.from_table(MIXED[["category", "text"]])
    _, codes = layout.split(pd.DataFrame({"category": ["w", "x"], "text": ["p", "new"]}))
    assert codes.tolist() == [[-1, 0], [0, -1]]


def test_layout_names_the_missing_column():
    with pytest.raises(ValueError, match="missing .'poisson'"):
        Layout.from_table(MIXED).split(MIXED.drop(columns="poisson"))


def test_layout_cuts_numbers_to_the_seen_range_and_grid():
    layout = Layout.from_table(MIXED[["poisson", "cents"]])
    joined = layout.join(np.array([[-4.0, 0.123], [99.4, 7.0]]), np.empty((2, 0), np.int64))
    assert joined["poisson"].tolist() == [MIXED["poisson"].min(), MIXED["poisson"].max()]
    assert joined["cents"].tolist() == [0.12, MIXED["cents"].max()]


def test_unused_levels_of_a_categorical_are_kept_but_never_coded():
    column = Layout.from_table(MIXED[["category"]]).columns[0]
    assert column.categories == ("x", "y", "z") and column.levels == ("w", "x", "y", "z")


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (MIXED.iloc[:0], "must have at least one row and one column"),
        (pd.DataFrame(index=range(3)), "must have at least one row and one column"),
        (
            pd.concat([MIXED, MIXED[["text"]]], axis=1),
            "names must differ, got 'text' more than once",
        ),
        (MIXED.rename(columns={"text": 3}), "names must be strings, got 3"),
        (MIXED.assign(normal=[np.nan, *MIXED["normal"][1:]]), "normal: 1 of 600 .* row 0"),
        (MIXED.assign(normal=[*MIXED["normal"][:-1], np.inf]), "normal: .* finite.* row 599 = inf"),
        (MIXED.assign(text=[None, *MIXED["text"][1:]]), "text: 1 of 600 rows are missing"),
        (MIXED.assign(huge=2**53 + 2), r"huge: .* beyond 2\*\*53"),
        (MIXED.assign(normal=pd.Timestamp("2024-01-01")), "normal: dtype .* got datetime64"),
        (MIXED.assign(normal=1j), "normal: dtype .* got complex"),
        (MIXED.assign(object=[(1,)] * N), "object: categories must be .* got tuple"),
    ],
)
def test_what_cannot_be_learned_is_refused_in_one_sentence(table, sentence):
    with pytest.raises(ValueError, match=sentence):
        check_frame(table)
        check(table)


def test_what_is_no_frame_is_refused():
    with pytest.raises(TypeError, match="got dict"):
        check_frame({"a": [1]})
