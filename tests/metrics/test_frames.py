"""Tables side by side."""

import numpy as np
import pandas as pd
import pytest

from metrics import (
    association,
    attacks,
    c2st,
    dcr,
    density,
    diff_corr,
    diff_mlef,
    frames,
    jsd,
    marginals,
    membership,
    privacy,
    tails,
    wd,
)

FUNCTIONS = {
    "wd": wd,
    "jsd": jsd,
    "by column": lambda a, b: marginals.numerical(a, b).to_numpy(),
    "tails": lambda a, b: tails.tails(a, b).to_numpy(),
    "validity": lambda a, b: list(tails.validity(a, b).values()),
    "diff_corr": diff_corr,
    "association": lambda a, b: association.association(a).to_numpy(),
    "dcr": dcr,
    "closer": lambda a, b: privacy.closer_to_train(a, b, a.iloc[::-1]),
    "c2st": c2st,
    "embedding": lambda a, b: density.embed(a, b)[0].numbers,
    "diff_mlef": lambda a, b: diff_mlef(a, b, a, "took"),
    "membership": lambda a, b: membership.attack(a[:40], a[40:60], b, a[60:], embedding=a).ratio,
    "inference": lambda a, b: attacks.inference(attacks.people(b, a[:40], a[40:])),
}


def dated(seed):
    """Dates with a zone, spans, gaps in numbers and words, integers beyond 2**53."""
    rng = np.random.default_rng(seed)
    start = pd.Timestamp("2024-03-01", tz="America/Chicago")
    table = pd.DataFrame(
        {
            "start": start + pd.to_timedelta(rng.integers(0, 10**6, 80), unit="s"),
            "took": pd.to_timedelta(rng.integers(1, 10**5, 80), unit="s"),
            "bytes": rng.normal(9, 1, 80),
            "id": 2**60 + rng.integers(0, 1000, 80),
            "site": pd.Categorical(rng.choice(["BNL", "CERN", "RAL"], 80)),
        }
    )
    gaps = rng.random((80, 2)) < 0.1
    gaps[:4] = [[True, False], [False, True], [False, False], [False, False]]
    return table.assign(bytes=table["bytes"].mask(gaps[:, 0]), site=table["site"].mask(gaps[:, 1]))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_dates_spans_and_gaps_are_scored_as_the_numbers_they_stand_for(name):
    train, other = dated(0), dated(1)
    score = FUNCTIONS[name]
    as_numbers = score(*frames.seen(train, other))
    assert np.array_equal(score(train, other), as_numbers, equal_nan=True)
    assert np.isfinite(as_numbers).all() or name in ("inference", "tails")


def test_numbers_and_their_texts_are_not_compared_as_categories():
    train = pd.DataFrame({"c": pd.Categorical([1, 2, 3])})
    for other in (["1", "2", "9"], [1, 5], [7, 8]):
        table = pd.DataFrame({"c": pd.Categorical(other)})
        if isinstance(other[0], str):
            with pytest.raises(ValueError, match="'c' must be of one type everywhere, got int in"):
                frames.aligned(train, table, "the synthetic table")
        else:
            assert frames.aligned(train, table, "the synthetic table") is not None
