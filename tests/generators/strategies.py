"""Hypothesis strategies for tables of every kind a generator must take.

A table is drawn as a short recipe, a seed and a kind for each column, and built from it, so that
examples shrink to few columns and rows and yet reach hundreds of categories.
"""

import numpy as np
import pandas as pd
from hypothesis import strategies as st

EXACT = 2**53  # largest integer whose neighbours a float64 still tells apart


def _levels(rng, n, k):
    """n draws of 0..k-1, half of them skewed as categories of real tables are."""
    return np.minimum(rng.zipf(1.5, n) - 1, k - 1) if rng.random() < 0.5 else rng.integers(0, k, n)


def _category(values):
    def make(rng, n):
        codes = rng.integers(0, len(values), n)
        return pd.Categorical.from_codes(codes, list(values), ordered=bool(rng.random() < 0.5))

    return make


NUMBERS = {
    "normal": lambda rng, n: rng.normal(size=n),
    "float32": lambda rng, n: rng.normal(size=n).astype("float32"),
    "heavy tail": lambda rng, n: np.exp(rng.normal(size=n) * 20),
    "both signs, huge": lambda rng, n: rng.normal(size=n) * 10.0 ** rng.integers(-300, 300, n),
    "ties": lambda rng, n: rng.integers(0, 3, n) / 4,
    "one atom": lambda rng, n: np.where(rng.random(n) < 0.7, 1e11, rng.lognormal(20, 2, n)),
    "cents": lambda rng, n: np.round(rng.random(n) * 99, 2),
    "constant": lambda rng, n: np.full(n, 0.1),
    "zero and minus zero": lambda rng, n: rng.choice([0.0, -0.0, 1.0], n),
    "small integers": lambda rng, n: rng.integers(-3, 9, n),
    "int8": lambda rng, n: rng.integers(-128, 128, n).astype("int8"),
    "uint8": lambda rng, n: rng.integers(0, 256, n).astype("uint8"),
    "uint64": lambda rng, n: rng.integers(0, EXACT, n, endpoint=True).astype("uint64"),
    "nullable integers": lambda rng, n: pd.array(rng.integers(0, 50, n), dtype="Int64"),
    "nullable floats": lambda rng, n: pd.array(rng.random(n), dtype="Float64"),
    "integers to 2**53": lambda rng, n: rng.integers(-EXACT, EXACT, n, endpoint=True),
    "the ends of the integers": lambda rng, n: rng.choice([-EXACT, EXACT - 1, EXACT], n),
    "counter": lambda rng, n: np.arange(n) + EXACT - n,
}
CATEGORIES = {
    "text": lambda rng, n: rng.choice(["p", "<q>", "", "é", "a\nb"], n),
    "many texts": lambda rng, n: [f"site-{i}" for i in _levels(rng, n, rng.integers(1, 300))],
    "300 texts": lambda rng, n: [f"s{i % 300}" for i in rng.permutation(n)],
    "one text": lambda rng, n: ["only"] * n,
    "all texts differ": lambda rng, n: [f"id{i}" for i in range(n)],
    "bool": lambda rng, n: rng.random(n) < 0.3,
    "always true": lambda rng, n: np.ones(n, bool),
    "nullable bool": lambda rng, n: pd.array(rng.random(n) < 0.3, dtype="boolean"),
    "category": _category("xyz"),
    "unused levels": _category([f"l{i}" for i in range(400)]),
    "category of integers": _category([3, -1, 10**15, 7]),
    "category of floats": _category([0.5, -1.5, 1e300]),
    "category of bools": _category([True, False]),
    "objects": lambda rng, n: np.array([1, "1", 2.5, True, "b"], object)[rng.integers(0, 5, n)],
}
KINDS = {**NUMBERS, **CATEGORIES}


def build(kinds, n, seed):
    """The table of n rows whose columns are of the given kinds."""
    rng = np.random.default_rng(seed)
    data = {f"{i} {kind}": KINDS[kind](rng, n) for i, kind in enumerate(kinds)}
    return pd.DataFrame(data)


@st.composite
def tables(draw, kinds=tuple(KINDS), max_rows=700):
    """Mixed tables of 1 to 6 columns; one row, no numericals and no categoricals among them."""
    n = draw(st.sampled_from([1, 2, 3, 20, 300, max_rows]))
    names = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=6))
    return build(names, n, draw(st.integers(0, 2**16)))
