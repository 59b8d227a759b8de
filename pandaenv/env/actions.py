"""Actions as users and libraries give them, checked: sites as whole numbers.

In: an action, or a batch of them. Out: the sites as Python or numpy integers.

Raises: `gymnasium.error.InvalidAction` with the rule and what came.
"""

from typing import Any

import numpy as np
from gymnasium.error import InvalidAction

from foundations.checks import is_integer


def one_site(action: Any, n_sites: int) -> int:
    """The site of an action: a whole number, of numpy too, or an array () of one."""
    value = action[()] if isinstance(action, np.ndarray) and action.shape == () else action
    if is_integer(value) and 0 <= (site := int(value)) < n_sites:
        return site
    raise InvalidAction(f"an action must be a whole number in [0, {n_sites}), got {action!r}")


def many_sites(actions: Any, n: int, n_sites: int, skip: np.ndarray | None = None) -> np.ndarray:
    """The sites of n actions, int64 (n,); 0 where skip, bool (n,), says that they are ignored."""
    sites = np.asarray(actions)
    if sites.shape != (n,) or sites.dtype.kind not in "iu":
        raise InvalidAction(f"actions must be {n} whole numbers, got {actions!r}")
    if skip is not None and skip.any():
        sites = np.where(skip, 0, sites)
    wrong = sites.astype(np.uint64) >= n_sites  # below zero becomes enormous
    if wrong.any():
        raise InvalidAction(
            f"an action must be a whole number in [0, {n_sites}), got {sites[wrong][0]} for "
            f"environment {wrong.argmax()}"
        )
    return sites.astype(np.int64, copy=False)
