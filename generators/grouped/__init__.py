"""Streams of groups of rows, such as tasks and their jobs, learned from any table of them."""

from .model import Grouped, GroupedConfig

__all__ = ["Grouped", "GroupedConfig"]
