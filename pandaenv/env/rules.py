"""The rules of an episode: how placements are judged, what is masked, what is known of jobs.

In: a reward measure, limits, a prepared task. Out: one tuple that kernels take.
"""

from typing import NamedTuple

import numpy as np


class Rules(NamedTuple):
    """How placements are judged and sites masked."""

    measure: int  # of `pandaenv.env.measures.MEASURES`
    unit: float  # m, s
    wait_limit: float  # s
    byte_limit: float  # bytes
    cap_floor: float  # jobs
    features: np.ndarray  # (J, N_JOB) float32
    is_relative: bool = False  # rewards are told from what the best site would cost
