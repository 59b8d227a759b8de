"""Offline data sets for safe reinforcement learning: collected, read, scored, converted."""

from .collection import collect, file_attributes
from .datasets import HOME, Dataset, load
from .dsrl import metadata
from .trajectories import REQUIRED, play

__all__ = ["HOME", "REQUIRED", "Dataset", "collect", "file_attributes", "load", "metadata", "play"]
