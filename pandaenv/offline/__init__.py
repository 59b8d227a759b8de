"""Offline data sets for safe reinforcement learning: collected, read back, scored."""

from .collection import HOME, Dataset, collect, describe, load
from .dsrl import metadata
from .trajectories import REQUIRED, play

__all__ = ["HOME", "REQUIRED", "Dataset", "collect", "describe", "load", "metadata", "play"]
