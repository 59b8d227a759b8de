"""Train and test rows of the reference workload, or of a table file with any columns.

In: what stands behind `--data`. Out: a `Split`: 80 % of the rows to train on and 20 % to test on,
at random, unless the folder of `pandaenv ingest` brings its own. Every refusal is one sentence.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from foundations.tables import is_numerical
from metrics import frames
from pandaenv import records

REFERENCE = "reference"


@dataclass(frozen=True)
class Split:
    """Train and test rows.

    Attributes:
        name: of the table.
        cascade: what `pandaenv ingest` says of its filters, None for other tables.
        note: a sentence on where the rows come from.
    """

    name: str
    train: pd.DataFrame
    test: pd.DataFrame
    cascade: dict | None = None
    note: str = ""


def read(data: str, *, days: int, seed: int) -> Split:
    """Read the reference workload of `days` days, a table file, or a folder written by ingest."""
    if data == REFERENCE:
        return _reference(days, seed)
    path = Path(data)
    if path.is_dir():
        return _folder(path)
    table = read_table(path)
    return Split(path.name, *_at_random(table, seed), note=f"{len(table):,} rows of {path.name}")


def _reference(days: int, seed: int) -> Split:
    from pandaenv import reference

    table = reference.records(days=days, seed=seed)
    note = (
        f"{len(table):,} records of the embedded reference workload ({days} days, seed {seed}): "
        "all are user-analysis jobs in a final state with DAOD input, so no filter applies."
    )
    return Split(REFERENCE, *_at_random(table, seed), note=note)


def _folder(path: Path) -> Split:
    parts = records.TRAIN, records.TEST
    for name in parts:
        if not (path / name).is_file():
            raise ValueError(f"a data folder must hold {' and '.join(parts)}, no {name}")
    train, test = (read_table(path / name) for name in parts)
    file = path / records.CASCADE
    cascade = json.loads(file.read_text()) if file.is_file() else None
    note = f"{len(train) + len(test):,} records of {path.name}"
    frames.pair(train, test, (records.TRAIN, records.TEST))
    return Split(path.name, train, test[list(train.columns)], cascade, note)


def _at_random(table: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    train, test = records.split(table, seed=seed)
    return train.reset_index(drop=True), test.reset_index(drop=True)


def read_table(path: Path) -> pd.DataFrame:
    """Read and check a CSV (also compressed) or Parquet file; text becomes categories."""
    if not path.exists():
        raise ValueError(f"{path.name}: no such file")
    try:
        names, table = _parquet(path) if path.suffix in (".parquet", ".pq") else _csv(path)
    except (OSError, ValueError, EOFError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(f"{path.name}: no readable CSV or Parquet table: {reason[0]}") from error
    twice = pd.Index(names)[pd.Index(names).duplicated()]
    if len(twice):
        raise ValueError(f"{path.name}: column names must differ, got {twice[0]!r} more than once")
    return _checked(_typed(table), path.name)


def _checked(table: pd.DataFrame, what: str) -> pd.DataFrame:
    """The table as it is, if a metric can score it: dates, spans and gaps it can."""
    frames.check(*frames.seen(table), what)
    return table


def _parquet(path: Path) -> tuple[list, pd.DataFrame]:
    import pyarrow.parquet as pq

    names = pq.read_schema(path).names  # reading the table itself refuses a name that comes twice
    if len(set(names)) < len(names):
        return names, pd.DataFrame()
    return names, pq.read_table(path).to_pandas()


def _csv(path: Path) -> tuple[list, pd.DataFrame]:
    """pandas renames a second column of one name, so the header is read by itself."""
    names = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False)
    return names.iloc[0].tolist(), pd.read_csv(path, low_memory=False)


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    """Text as categories; pandas' nullable numbers, where nothing is missing, as numpy's."""
    out = {}
    for name, column in table.items():
        text = pd.api.types.is_object_dtype(column) or pd.api.types.is_string_dtype(column)
        if text and not isinstance(column.dtype, pd.CategoricalDtype):
            column = column.astype("str").where(column.notna(), None).astype("category")
        elif pd.api.types.is_extension_array_dtype(column) and is_numerical(column):
            column = column if column.isna().any() else column.astype(column.dtype.numpy_dtype)
        out[name] = column
    return pd.DataFrame(out)


def subsample(
    split: Split, n_train: int, n_test: int, n_extra: int, seed: int
) -> tuple[Split, pd.DataFrame]:
    """Draw a split of n_train and n_test rows, and up to n_extra further rows in neither."""
    rng = np.random.default_rng([seed, 81])
    train, test = rng.permutation(len(split.train)), rng.permutation(len(split.test))
    left = pd.concat(
        [split.test.iloc[test[n_test:]], split.train.iloc[train[n_train:]]],
        ignore_index=True,
    )
    drawn = replace(
        split,
        train=split.train.iloc[np.sort(train[:n_train])].reset_index(drop=True),
        test=split.test.iloc[np.sort(test[:n_test])].reset_index(drop=True),
    )
    return drawn, left.iloc[:n_extra]
