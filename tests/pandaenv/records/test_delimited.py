"""CSV rows: each line is a row or counted, whatever quotes stand in it."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pandaenv.records.delimited import RowStream
from pandaenv.records.raw_columns import ONE_OF, REQUIRED

NAMES = [*REQUIRED, *(group[0] for group in ONE_OF), "jobname", "piloterrordiag"]


def stream_of(text: str, chunk: int = 1 << 24) -> tuple[list[list[str]], int]:
    """The rows without the column that is not used, and the number of unreadable lines."""
    stream = RowStream(io.StringIO(text), "dump.csv")
    stream.CHUNK, stream.ROWS = chunk, 7
    rows = [list(row.values()) for batch in stream.batches() for row in batch.to_pylist()]
    return rows, stream.n_unreadable


def text_of(rows: list[list[str]], **form) -> str:
    handle = io.StringIO()
    csv.writer(handle, lineterminator="\n", **form).writerows([NAMES, *rows])
    return handle.getvalue()


value = st.text(st.sampled_from('ab ,"'), max_size=4)
row = st.lists(value, min_size=len(NAMES), max_size=len(NAMES)).filter(lambda r: any(r))


@given(st.lists(row, max_size=12), st.sampled_from([3, 50, 1 << 24]), st.booleans())
def test_what_csv_writes_comes_back_however_it_is_cut(rows, chunk, all_quoted):
    form = {"quoting": csv.QUOTE_ALL} if all_quoted else {}
    found, n_unreadable = stream_of(text_of(rows, **form), chunk)
    assert n_unreadable == 0
    assert sorted(found) == sorted(r[:-1] for r in rows)


@given(
    st.integers(1, 40),
    st.sets(st.integers(0, 39)),
    st.integers(0, len(NAMES) - 1),
    st.sampled_from([30, 1 << 24]),
)
def test_a_quote_that_never_closes_costs_its_own_line_and_no_other(n, stray, column, chunk):
    rows = [[f"r{i}c{j}" for j in range(len(NAMES))] for i in range(n)]
    bad = {i for i in stray if i < n}
    lines = [",".join(NAMES)]
    for i, values in enumerate(rows):
        quoted = [('"' if i in bad and j == column else "") + v for j, v in enumerate(values)]
        lines.append(",".join(quoted))
    found, n_unreadable = stream_of("\n".join(lines), chunk)
    assert n_unreadable == len(bad)
    assert sorted(found) == sorted(r[:-1] for i, r in enumerate(rows) if i not in bad)


@pytest.mark.parametrize("chunk", [20, 1 << 24])
def test_a_quoted_value_may_span_lines_that_are_no_rows(chunk):
    values = ["x"] * (len(NAMES) - 1)
    rows = [[*values, "first\nsecond, third\n\nlast"], [*values, "plain"]] * 3
    found, n_unreadable = stream_of(text_of(rows), chunk)
    assert (len(found), n_unreadable) == (6, 0)


def test_lines_of_too_few_or_too_many_values_are_counted():
    good = ",".join("x" * len(NAMES))
    lines = [",".join(NAMES), good, "x", good + ",x", f'"x",{good}', "", "   ", good]
    found, n_unreadable = stream_of("\n".join(lines))
    assert (len(found), n_unreadable) == (2, 3)


def test_a_line_that_never_ends_is_refused():
    stream = RowStream(io.StringIO(",".join(NAMES) + "\n" + "x" * 1000), "dump.csv")
    stream.CHUNK, stream.LIMIT = 10, 100
    with pytest.raises(ValueError, match="a line exceeds 100 letters"):
        list(stream.batches())
