"""The table a generator learns, in memory or in files larger than it, behind one face.

In: a `pandas.DataFrame`, or where Parquet files lie. Out: a `Source`: the layout, the counted
values of each number, and all rows as numbers and codes, part after part. Files are read twice:
once to count (`survey`), once for their rows. Models over fields (`tabar`, `tabddpm`) learn from
files larger than memory what they learn from the same table, byte for byte; the system's folder for
temporary files holds about 20 bytes a row and 16 bytes a number. The others read files into memory.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from foundations.parquet import Dataset, as_dataset, is_path
from foundations.plain import PlainView
from foundations.tables import check_shape

from .counts import Histogram
from .layout import Layout, check, check_frame
from .plan import digest
from .survey import Survey

Rows = tuple[np.ndarray, np.ndarray]


class Source(ABC):
    """Rows to learn from.

    Attributes:
        view, layout: of the table.
        n: rows.
        folder: for files of the learner while it learns; None: it keeps all in memory.
    """

    view: PlainView
    layout: Layout
    n: int
    folder: Path | None = None

    @abstractmethod
    def histogram(self, j: int, atom: int) -> Histogram:
        """The counted values of numerical column j; each can be asked for once."""

    @abstractmethod
    def parts(self) -> Iterator[Rows]:
        """Numbers (m, d) and codes (m, c) of all rows in their order."""

    def fingerprint(self) -> str:
        """`plan.fingerprint` of all numbers and codes."""
        hashes = [hashlib.blake2b(digest_size=16) for _ in range(2)]
        for part in self.parts():
            for total, array in zip(hashes, part, strict=True):
                total.update(np.ascontiguousarray(array).tobytes())
        return digest(b"".join(total.hexdigest().encode() for total in hashes))


class InMemory(Source):
    """A table that is there as arrays."""

    def __init__(self, view: PlainView, layout: Layout, numbers: np.ndarray, codes: np.ndarray):
        self.view, self.layout, self.n = view, layout, len(numbers)
        self.numbers, self.codes = numbers, codes

    @classmethod
    def of(cls, table: pd.DataFrame) -> InMemory:
        """The checked table; TypeError or ValueError for what cannot be learned."""
        check_frame(table)
        view = PlainView.of(table)
        plain = view.to_plain(table)
        check(plain)
        layout = Layout.from_table(plain, view.dates)
        return cls(view, layout, *layout.split(plain))

    def histogram(self, j: int, atom: int) -> Histogram:
        return Histogram.of(self.numbers[:, j], atom)

    def parts(self) -> Iterator[Rows]:
        yield self.numbers, self.codes


class InFiles(Source):
    """A data set that is read when it is asked for.

    Args:
        folder: for the counts, and the learner's files.
    """

    def __init__(self, dataset: Dataset, folder: Path):
        check_shape(pd.Index(dataset.columns), len(dataset), dataset.path.name)
        dataset.check_types()
        self.dataset, self.folder, self.n = dataset, folder, len(dataset)
        survey = Survey(dataset.dtypes(), folder)
        for part in dataset.batches():
            survey.add(part)
        self.view, self.layout = survey.finish()
        self._counts = {name: column.counts for name, column in survey.columns.items()}

    def histogram(self, j: int, atom: int) -> Histogram:
        counts = self._counts.pop(self.layout.numericals[j].name)
        found = counts.histogram(atom)
        shutil.rmtree(counts.folder, ignore_errors=True)
        return found

    def parts(self) -> Iterator[Rows]:
        for part in self.dataset.batches():
            yield self.layout.split(self.view.to_plain(part))


@contextmanager
def opened(table: Any) -> Iterator[Source]:
    """The source of a table, or of files at a path; what it writes is gone afterwards."""
    if not is_path(table):
        yield InMemory.of(table)
        return
    with tempfile.TemporaryDirectory(prefix="generators-") as folder:
        yield InFiles(as_dataset(table), Path(folder))
