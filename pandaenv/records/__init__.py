"""Job records: made from raw PanDA dumps, read back from files, split into train and test."""

from .folder import CASCADE, OUTPUTS, RECORDS, TEST, TRAIN, is_ingested, table_path
from .ingestion import check, ingest
from .splits import split
from .tables import check_rows, opened, read, write
from .traces import TraceFile, import_trace, read_trace

__all__ = [
    "CASCADE",
    "OUTPUTS",
    "RECORDS",
    "TEST",
    "TRAIN",
    "TraceFile",
    "check",
    "check_rows",
    "import_trace",
    "ingest",
    "is_ingested",
    "opened",
    "read",
    "read_trace",
    "split",
    "table_path",
    "write",
]
