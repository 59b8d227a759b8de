"""The query engine: its errors and interrupts reach the user in plain words."""

import pytest

from pandaenv.records.engine import plain_engine_errors


def test_ctrl_c_inside_the_engine_stops_like_anywhere_else():
    duckdb = pytest.importorskip("duckdb")
    with pytest.raises(KeyboardInterrupt), plain_engine_errors(duckdb, "dump.csv"):
        raise RuntimeError("Query interrupted")
