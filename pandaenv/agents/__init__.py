"""Trained agents: policies of Stable-Baselines3 as `pandaenv.policies.Policy`, kept in a folder."""

from .agent import CARD, FORMAT, KINDS, WEIGHTS, Agent, Standardised, load, save

__all__ = ["Agent", "CARD", "FORMAT", "KINDS", "Standardised", "WEIGHTS", "load", "save"]
