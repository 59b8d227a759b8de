"""generators.completion: rows completed from conditions of their own."""

import numpy as np
import pandas as pd
import pytest

from generators.completion import completion
from generators.tabar import TabAR
from generators.tabddpm import MaskedTabDDPM

KINDS = {"tabddpm": MaskedTabDDPM, "tabar": TabAR}
RNG = np.random.default_rng(0)
N = 3_000
COLOUR = RNG.integers(0, 3, N)
TABLE = pd.DataFrame(
    {
        "size": np.where(COLOUR == 2, RNG.random(N) + 5, RNG.random(N)),
        "colour": pd.Categorical.from_codes(COLOUR, list("abc")),
        "shape": np.where(RNG.random(N) < 0.9, COLOUR % 2 == 0, COLOUR % 2 == 1),
        "alone": RNG.random(N),
    }
)


@pytest.fixture(scope="module", params=KINDS)
def fitted(request):
    model = KINDS[request.param](
        d_trunk=16,
        d_head=16,
        batch_size=256,
        order=("colour", "size", "shape", "alone"),
        given=("colour",),
    )
    return model.fit(TABLE, steps=180, progress=False)


def test_each_row_is_drawn_given_its_own_condition(fitted):
    rows = completion(fitted, N, seed=1)
    rows.reveal({"colour": COLOUR})
    drawn = rows.draw(["size", "shape"])
    assert np.mean((drawn["size"] > 3) == (COLOUR == 2)) > 0.96
    # False stands before True among the categories
    for colour in range(3):
        share = drawn["shape"][COLOUR == colour].mean()
        assert share == pytest.approx(0.9 if colour % 2 == 0 else 0.1, abs=0.08)


def test_the_same_seed_draws_the_same(fitted):
    found = []
    for _ in range(2):
        rows = completion(fitted, 50, seed=3)
        rows.reveal({"colour": COLOUR[:50]})
        found.append(rows.draw(["size", "alone"]))
    assert all((found[0][name] == found[1][name]).all() for name in found[0])


def test_a_copy_of_some_rows_leaves_the_others_alone(fitted):
    rows = completion(fitted, 40, seed=5)
    rows.reveal({"colour": np.full(40, 2)})
    s, x = rows.rows.s.clone(), rows.rows.x.clone()
    part = rows.take(np.arange(10))
    assert len(part.draw(["size"])["size"]) == 10
    assert (rows.rows.s == s).all() and (rows.rows.x == x).all()


def test_what_is_given_is_neither_learned_nor_sampled(fitted):
    with pytest.raises(ValueError, match="has columns that must be given"):
        fitted.sample(3)
    with pytest.raises(ValueError, match="given must name columns of .* got 'weight'"):
        type(fitted)(given=("weight",)).fit(TABLE, steps=1, progress=False)
    x = fitted.to_rows(TABLE.iloc[:9])
    assert (fitted.net_.nll(x)[:, 0] == 0).all() and (fitted.net_.nll(x)[:, 1] > 0).any()


def test_what_is_given_is_given_again_when_loaded(fitted, tmp_path):
    loaded = type(fitted).load(fitted.save(tmp_path))
    found = []
    for model in (fitted, loaded):
        rows = completion(model, 60, seed=2)
        rows.reveal({"colour": COLOUR[:60]})
        found.append(rows.draw(["size"])["size"])
    assert (found[0] == found[1]).all()


def test_a_column_of_one_value_is_known_and_drawn_as_it_is():
    model = MaskedTabDDPM(d_trunk=8, d_head=8, given=("same",))
    model.fit(TABLE.assign(same="only", number=7.0), steps=2, progress=False)
    rows = completion(model, 5, seed=0)
    rows.reveal({"same": np.zeros(5, np.int64)})
    assert (rows.draw(["number"])["number"] == 7.0).all()
