"""Job records: made from raw PanDA dumps, read back from files, split into train and test."""

from .folder import CASCADE, OUTPUTS, RECORDS, TEST, TRAIN, is_ingested, table_path
from .ingestion import check, ingest
from .splits import split
from .tables import read, write

__all__ = [
    "CASCADE",
    "OUTPUTS",
    "RECORDS",
    "TEST",
    "TRAIN",
    "check",
    "ingest",
    "is_ingested",
    "read",
    "split",
    "table_path",
    "write",
]
