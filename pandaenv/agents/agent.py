"""Trained agents: policy networks of Stable-Baselines3 as `pandaenv.policies.Policy`.

In: a policy network. Out: an `Agent`, which takes the allowed site with the largest logit, or draws
one as it did in training, in one environment or in many.

    agent = load("agents/scoring_0")
    agent.reset(seed=0)
    site = agent.act(env)
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.policies import ActorCriticPolicy

from pandaenv.policies.rules import check_sites

from .scoring import traits_of


class Agent:
    """A trained policy network as a policy, see `pandaenv.policies`; it never takes a masked site.

    An agent of kind "scoring" plays on any catalogue, one of kind "flat" on as many sites as it was
    trained on.

    Args:
        network: a policy of Stable-Baselines3 on flat observations.
        kind: of `KINDS`: how `load` makes the network.
        n_sites: number of sites it was trained on.
        options: arguments of the network as JSON can hold them; the grid determines the rest.
        draws: whether it draws a site by the network's probabilities, as in training, or takes the
            likeliest; ties go to the larger site.
    """

    def __init__(
        self,
        network: ActorCriticPolicy,
        kind: str,
        n_sites: int,
        options: dict[str, Any],
        draws: bool = False,
    ):
        self.network, self.kind, self.n_sites, self.options = network, kind, n_sites, options
        self.draws = draws
        self.network.set_training_mode(False)
        self._prepared: Any = None

    def __repr__(self) -> str:
        return f"Agent({self.kind!r}, n_sites={self.n_sites})"

    def reset(self, seed: int | Sequence[int]) -> None:
        """Seed one environment or, with a seed for each, many."""
        seeds: Any = [seed] if np.ndim(seed) == 0 else seed
        self._rngs = [np.random.default_rng(s) for s in seeds]

    def act(self, env: Any) -> int:
        """A site for the waiting job."""
        return int(self.act_all(env)[0])

    def act_all(self, envs: Any) -> np.ndarray:
        """A site for the waiting job of each environment, int64 (n,)."""
        episodes = envs.unwrapped.episodes
        check_sites(episodes)
        if episodes.prepared is not self._prepared:
            self._adapt(envs, episodes)
        logits = np.where(episodes.view.mask > 0, self.logits(episodes.view.flat), -np.inf)
        if self.draws:  # the largest of logits with Gumbel noise is drawn by their softmax
            logits = logits + [rng.gumbel(size=episodes.n_sites) for rng in self._rngs]
        return logits.argmax(axis=1)

    def logits(self, flat: np.ndarray) -> np.ndarray:
        """The network's logit of each site, float32 (n, S), from flat observations (n, d)."""
        network = self.network
        with torch.no_grad():
            features = network.pi_features_extractor(torch.as_tensor(flat))
            return network.action_net(network.mlp_extractor.forward_actor(features)).numpy()

    def _adapt(self, envs: Any, episodes: Any) -> None:
        """Take over the sites of another environment."""
        if self.kind == "scoring":
            self.network.mlp_extractor.set_traits(traits_of(envs))
        elif episodes.n_sites != self.n_sites:
            raise ValueError(
                f"this agent was trained on {self.n_sites} sites, got {episodes.n_sites}"
            )
        self._prepared = episodes.prepared
