"""What a seed may be: in, what a user gave; out, the same, or one sentence on what is wrong."""

import numpy as np


def check(seed: int, name: str = "seed") -> int:
    """Return a whole number of at least 0 as it came; anything else is a ValueError."""
    is_whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
    if not (is_whole and seed >= 0):
        raise ValueError(f"{name} must be a whole number of at least 0, got {seed!r}")
    return seed
