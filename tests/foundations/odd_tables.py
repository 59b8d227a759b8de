"""A table of all that is not plain: dates, spans, huge integers, nullable dtypes, gaps."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa


def odd_table(n=160, seed=0):
    """n rows; the columns whose names end in _gaps lack a fifth of their values."""
    rng = np.random.default_rng(seed)
    dates = pd.Series(pd.date_range("2024-01-01", periods=n, freq="37min"))
    spans = pd.Series(pd.to_timedelta(rng.integers(0, 10**6, n), unit="s"))
    letters, truths = pd.Series(rng.choice(list("abc"), n)), pd.Series(rng.random(n) < 0.5)
    numbers, counts = pd.Series(rng.normal(size=n)), pd.Series(rng.integers(0, 9, n))
    columns = {
        "date": dates,
        "zoned": dates.dt.tz_localize("UTC").dt.tz_convert("Europe/Zurich"),
        "date_gaps": dates,
        "span": spans,
        "count_gaps": counts.astype("Int64"),
        "float_gaps": numbers.astype("float32"),
        "number_gaps": numbers,
        "truth_gaps": truths.astype("boolean"),
        "letter_gaps": letters,
        "level_gaps": letters.astype("category"),
        "object_gaps": letters.astype(object),
        "huge": pd.Series(2**60 + 1 + 1000 * rng.integers(0, 9, n)),
        "unsigned": pd.Series(rng.integers(0, 5, n).astype(np.uint64) + np.uint64(2**63)),
        "arrow": counts.astype("int64[pyarrow]"),
        "arrow_float": numbers.astype("float[pyarrow]"),
        "decimal": pd.Series([Decimal(int(i)) / 4 for i in counts]).astype(
            pd.ArrowDtype(pa.decimal128(10, 2))
        ),
        "sparse": numbers.astype(pd.SparseDtype(float)),
        "sparse_counts": counts.astype(pd.SparseDtype("int64", 0)),
        "dictionary": letters.astype(pd.ArrowDtype(pa.dictionary(pa.int8(), pa.string()))),
        "arrow_gaps": numbers.astype("double[pyarrow]"),
        "arrow_text_gaps": letters.astype("string[pyarrow]"),
        "arrow_date": dates.astype("timestamp[us][pyarrow]"),
        "arrow_span": spans.astype("duration[us][pyarrow]"),
        "nothing": pd.Series(np.full(n, np.nan)),
        "plain": numbers + 1,
    }
    lacking = {name: rng.random(n) < 0.2 for name in columns if name.endswith("_gaps")}
    table = pd.DataFrame(columns)
    for name, gaps in lacking.items():
        table[name] = table[name].mask(gaps)
    return table
