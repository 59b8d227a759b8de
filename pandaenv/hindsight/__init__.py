"""Hindsight: how well the jobs of an episode could be placed by one who knows all that comes."""

from .limit import N_STEPS, Limit, limit_of, lower_bound
from .search import N_MOVES, Found, best_found

__all__ = ["N_MOVES", "N_STEPS", "Found", "Limit", "best_found", "limit_of", "lower_bound"]
