"""pandaenv: brokering ATLAS analysis jobs as a reinforcement-learning problem."""

__version__ = "0.1.0"
