"""Job records: made from raw PanDA dumps, read back from files, split into train and test."""

from .ingestion import OUTPUTS, ingest, read, split, write

__all__ = ["OUTPUTS", "ingest", "read", "split", "write"]
