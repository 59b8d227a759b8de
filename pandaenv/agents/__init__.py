"""Trained agents: policies of Stable-Baselines3 as `pandaenv.policies.Policy`, kept in a folder."""

from .agent import Agent
from .networks import KINDS, Standardiser
from .storage import CARD, FORMAT, WEIGHTS, load, save

__all__ = ["Agent", "CARD", "FORMAT", "KINDS", "Standardiser", "WEIGHTS", "load", "save"]
