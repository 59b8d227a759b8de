"""generators.grouped.children: the chain knows of a row what was learned of it."""

import numpy as np
import pytest

from generators.grouped import children
from generators.grouped.children import Chain, meet_spans, new_columns
from generators.grouped.rows import describe_groups, describe_rows, of_chain
from tests.generators.grouped.test_rows import prepared


class Replay:
    """Rows already known, given instead of drawn ones."""

    def __init__(self, table, at):
        self.table, self.at = table, at

    def take(self, rows):
        return self

    def reveal(self, known):
        for name, x in known.items():
            np.testing.assert_allclose(x, self.table[name][self.at], err_msg=name, atol=1e-9)

    def draw(self, names):
        return {name: self.table[name][self.at] for name in names}


def test_a_chain_led_along_true_rows_knows_what_was_learned_of_them():
    shape, groups, time, scores, codes = prepared()
    parents = describe_groups(shape, groups, time, scores, codes)
    table = describe_rows(shape, groups, parents, time, scores, codes)
    order = np.argsort(-groups.size, kind="stable")
    in_order = {name: x[order] for name, x in parents.items()}
    chain = Chain.of(shape, in_order)
    for k in range(int(groups.size.max())):
        m = int((groups.size > k).sum())
        at = groups.first[:-1][order[:m]] + k
        gap, code, residual = children._next(shape, Replay(table, at), chain, in_order, m, k)
        assert (gap == table["gap"][at]).all()
        assert (code == codes[at][:, shape.changing]).all()
        assert (residual[:, 0] == table["residual 0"][at]).all()


def test_what_is_drawn_and_what_is_given_are_all_that_is_learned():
    shape, groups, time, scores, codes = prepared()
    parents = describe_groups(shape, groups, time, scores, codes)
    table = describe_rows(shape, groups, parents, time, scores, codes)
    inner = [name for name in parents if name != "start"]
    assert set(table) == {*inner, *of_chain(shape), *new_columns(shape)}


def test_long_gaps_are_stretched_to_the_span():
    shape, *_ = prepared()
    of = np.repeat([0, 1, 2], [4, 3, 2])
    long = np.ceil(shape.long + 1) * 10
    gap = np.array([0, 1, long, long, 0, long, 2, 0, 1.0])
    span = np.array([1 + 2.5 * long, 100 * long, 5.0])
    met = meet_spans(shape, of, gap, span)
    assert met[:4].sum() == pytest.approx(span[0], abs=2)
    assert met[4:7].sum() == 2 * long + 2  # no more than twice as long
    assert (met[7:] == gap[7:]).all()  # there is no long gap
