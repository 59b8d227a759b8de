"""The brokering problem as a Gymnasium environment: one step, one arriving job, one site."""

from .allocation import (
    ARGUMENTS,
    BYTE_LIMIT,
    WAIT_LIMIT_S,
    PandaSiteAllocationEnv,
    blocks,
    chosen_window,
    frame,
    job_log,
)

__all__ = [
    "ARGUMENTS",
    "BYTE_LIMIT",
    "PandaSiteAllocationEnv",
    "WAIT_LIMIT_S",
    "blocks",
    "chosen_window",
    "frame",
    "job_log",
]
