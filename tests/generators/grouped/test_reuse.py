"""generators.grouped.reuse: chances against a slow twin, coefficients recovered, laws of draws."""

import numpy as np
import pytest

from generators.grouped.reuse import HOUR, Reuse, Shelf, _walk

MADE = Reuse(np.array([-0.5, 0.1, -0.1]), np.array([0.9, -0.6, -0.3]))


def stream(n=3_000, seed=0, kinds=4):
    rng = np.random.default_rng(seed)
    return np.sort(rng.random(n)) * 60, rng.integers(0, kinds, n)


def slow_shares(history, now, which):
    """The chance of each data set of one kind, from the list of its uses (data set, time)."""
    sets = list(dict.fromkeys(d for d, _ in history))
    last = {d: max(t for e, t in history if e == d) for d in sets}
    score = []
    for d in sets:
        uses = sum(e == d for e, _ in history)
        since = sum(last[e] > last[d] for e in sets)
        terms = np.log(uses), np.log(1 + since), np.log(now - last[d] + HOUR)
        score.append(sum(w * x for w, x in zip(which, terms, strict=True)))
    odds = np.exp(score)
    return dict(zip(sets, odds / odds.sum(), strict=True))


def test_shares_are_those_of_a_plain_loop():
    start, _ = stream(40)
    dataset, _ = MADE.draw(np.random.default_rng(3), start, np.zeros(40, np.int64))
    shelf, history = Shelf(), []
    for now, d in zip(start, dataset.tolist(), strict=True):
        if history:
            expected = slow_shares(history, now, MADE.which)
            found = dict(
                zip(shelf.dataset[: shelf.n].tolist(), MADE.shares(shelf, now), strict=True)
            )
            assert found == pytest.approx(expected)
            z = MADE.old @ [1, np.log(len(expected)), np.log(len(history))]
            assert MADE.chance(shelf) == pytest.approx(1 / (1 + np.exp(-z)))
        place = np.flatnonzero(shelf.dataset[: shelf.n] == d)
        shelf.use(int(place[0]) if len(place) else None, d, now)
        history.append((d, now))


def test_coefficients_are_recovered():
    start, kind = stream(3_000)
    dataset, _ = MADE.draw(np.random.default_rng(1), start, kind)
    found = Reuse.fit(start, kind, dataset)
    assert np.abs(found.which - MADE.which).max() < 0.2
    shelves = (shelf for shelf, _, _ in _walk(start, kind, dataset) if shelf.n)
    away = [found.chance(shelf) - MADE.chance(shelf) for shelf in shelves]
    assert np.mean(np.abs(away)) < 0.03


def test_a_data_set_has_one_kind_and_is_told_who_read_it_before():
    start, kind = stream()
    dataset, before = MADE.draw(np.random.default_rng(2), start, kind)
    first = np.unique(dataset, return_index=True)[1]
    assert (kind == kind[first][dataset]).all()
    assert (np.unique(dataset) == np.arange(dataset.max() + 1)).all() and (np.diff(first) > 0).all()
    for i in range(len(start)):
        users = np.flatnonzero(dataset[:i] == dataset[i])
        assert before[i] == (users[-1] if len(users) else -1)


def test_where_nothing_is_ever_read_again_nothing_is_drawn_again():
    start, kind = stream(400)
    found = Reuse.fit(start, kind, np.arange(400))
    dataset, _ = found.draw(np.random.default_rng(0), start, kind)
    assert len(np.unique(dataset)) >= 398
    alone = Reuse.fit(start[:1], kind[:1], np.zeros(1, np.int64))
    assert (alone.draw(np.random.default_rng(0), start[:1], kind[:1])[0] == 0).all()


def test_data_sets_of_two_kinds_are_learned_as_those_of_their_first():
    found = Reuse.fit(np.arange(6.0), np.array([0, 1, 0, 1, 0, 1]), np.array([0, 0, 0, 0, 1, 1]))
    assert np.isfinite(found.old).all() and np.isfinite(found.which).all()
