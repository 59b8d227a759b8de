"""Networks of agents, by kind: one on the whole observation, or one that scores each site.

In: a number of sites and the size of the network. Out: an untrained policy of Stable-Baselines3 on
flat observations, into which `pandaenv.agents.load` puts the trained weights.
"""

from collections.abc import Callable

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor

from pandaenv.env.observation import space

from .scoring import SiteScoringPolicy

SMALLEST_DEVIATION = 1e-4
"""Numbers that vary less than this count as constant."""
LARGEST = 10.0
"""Standardised numbers are clipped to +- this."""


class Standardiser(BaseFeaturesExtractor):
    """Observations minus their mean, divided by their standard deviation.

    Mean and deviation are constants saved with the weights; `measure` sets them.
    """

    def __init__(self, observation_space: Box):
        d = int(np.prod(observation_space.shape))
        super().__init__(observation_space, d)
        self.register_buffer("mean", torch.zeros(d))
        self.register_buffer("deviation", torch.ones(d))

    def measure(self, observations: np.ndarray) -> None:
        """Set mean and deviation from observations (n, d); constant numbers are only centred."""
        deviation = observations.std(axis=0)
        scale = np.where(deviation > SMALLEST_DEVIATION, deviation, 1.0)
        self.mean.copy_(torch.as_tensor(observations.mean(axis=0)))
        self.deviation.copy_(torch.as_tensor(scale))

    def forward(self, observations: Tensor) -> Tensor:
        """Standardised observations, (n, d)."""
        return ((observations - self.mean) / self.deviation).clamp(-LARGEST, LARGEST)


def make_flat(n_sites: int, width: int) -> ActorCriticPolicy:
    """Two hidden layers of a width on the whole flat observation."""
    return ActorCriticPolicy(
        space(n_sites, True),
        Discrete(n_sites),
        _no_schedule,
        net_arch=[width, width],
        features_extractor_class=Standardiser,
    )


def make_scoring(n_sites: int, width: int, n_layers: int) -> SiteScoringPolicy:
    """A network that scores each site, see `pandaenv.agents.scoring`."""
    return SiteScoringPolicy(
        space(n_sites, True), Discrete(n_sites), _no_schedule, width=width, n_layers=n_layers
    )


def _no_schedule(progress: float) -> float:
    return 0.0


KINDS: dict[str, Callable[..., ActorCriticPolicy]] = {"flat": make_flat, "scoring": make_scoring}
"""Kind of an agent -> function that makes its network."""
