"""The brokering problem as a Gymnasium environment: one step, one arriving job, one site."""

from .allocation import (
    ARGUMENTS,
    PandaSiteAllocationEnv,
    blocks,
    chosen_window,
    frame,
    job_log,
)
from .config import BYTE_LIMIT, WAIT_LIMIT_S, TaskConfig

__all__ = [
    "ARGUMENTS",
    "BYTE_LIMIT",
    "WAIT_LIMIT_S",
    "PandaSiteAllocationEnv",
    "TaskConfig",
    "blocks",
    "chosen_window",
    "frame",
    "job_log",
]
