"""Trained agents: policies of Stable-Baselines3 as `pandaenv.policies.Policy`, kept in a folder.

In: a policy network. Out: `Agent`, which takes the allowed site it finds best, or draws one as it
did in training, in one world or in many; `save` and `load`, a folder with the weights as
safetensors and a JSON card that says what they are. Nothing in it is code, and loading runs none.

    agent = load("agents/scoring_0")
    agent.reset(seed=0)
    site = agent.act(env)
"""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from gymnasium.spaces import Discrete
from safetensors import SafetensorError
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as tensors_to_bytes
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor

from foundations.files import write
from pandaenv.env.observation import space

from .scoring import SiteScoringPolicy, traits_of

FORMAT = "pandaenv-agent/1"
CARD, WEIGHTS = "card.json", "weights.safetensors"


class Standardised(BaseFeaturesExtractor):
    """Observations less their mean, over their deviation: what a plain network on them needs.

    The moments are constants that are saved with the weights; `take` measures them.
    """

    def __init__(self, observation_space):
        d = int(np.prod(observation_space.shape))
        super().__init__(observation_space, d)
        self.register_buffer("mean", torch.zeros(d))
        self.register_buffer("deviation", torch.ones(d))

    def take(self, seen: np.ndarray) -> None:
        """Measure the moments of observations (n, d); what never changes is only centred."""
        deviation = seen.std(axis=0)
        self.mean.copy_(torch.as_tensor(seen.mean(axis=0)))
        self.deviation.copy_(torch.as_tensor(np.where(deviation > 1e-4, deviation, 1.0)))

    def forward(self, observations: Tensor) -> Tensor:
        return ((observations - self.mean) / self.deviation).clamp(-10.0, 10.0)


class Agent:
    """A trained policy network as a policy, see `pandaenv.policies`; it never takes a masked site.

    An agent that scores sites plays on any catalogue, another one on as many sites as it was
    trained on.

    Args:
        network: a policy of Stable-Baselines3 on flat observations.
        kind: of KINDS, what `load` makes it from.
        options: JSON-able arguments of the network; what else it needs follows from the grid.
        draws: whether it draws a site by the network's probabilities, as in training, or takes the
            likeliest; ties go to the larger site.
    """

    def __init__(self, network, kind: str, n_sites: int, options: dict, draws: bool = False):
        self.network, self.kind, self.n_sites, self.options = network, kind, n_sites, options
        self.draws = draws
        self.network.set_training_mode(False)
        self._setting = None

    def __repr__(self) -> str:
        return f"Agent({self.kind!r}, n_sites={self.n_sites})"

    def reset(self, seed: int | Sequence[int]) -> None:
        """Start anew, for one world or, with a seed for each, for many."""
        seeds = [seed] if np.ndim(seed) == 0 else seed
        self._rngs = [np.random.default_rng(s) for s in seeds]

    def act(self, env) -> int:
        return int(self.act_all(env)[0])

    def act_all(self, envs) -> np.ndarray:
        """A site for the waiting job of each world, int64 (n,)."""
        episodes = envs.unwrapped.episodes
        if episodes.setting is not self._setting:
            self._meet(envs, episodes)
        logits = np.where(episodes.view.mask > 0, self.logits(episodes.view.flat), -np.inf)
        if self.draws:  # the largest of logits with Gumbel noise is drawn by their softmax
            logits = logits + [rng.gumbel(size=episodes.n_sites) for rng in self._rngs]
        return logits.argmax(axis=1)

    def logits(self, flat: np.ndarray) -> np.ndarray:
        """What it makes of each site, float32 (n, S), from flat observations (n, d)."""
        network = self.network
        with torch.no_grad():
            seen = network.pi_features_extractor(torch.as_tensor(flat))
            return network.action_net(network.mlp_extractor.forward_actor(seen)).numpy()

    def _meet(self, envs, episodes) -> None:
        """Get to know the sites of another environment."""
        if self.kind == "scoring":
            self.network.mlp_extractor.see(traits_of(envs))
        elif episodes.n_sites != self.n_sites:
            raise ValueError(
                f"this agent was trained on {self.n_sites} sites, got {episodes.n_sites}"
            )
        self._setting = episodes.setting


def _flat(n_sites: int, width: int) -> ActorCriticPolicy:
    """A plain network on all numbers at once."""
    return ActorCriticPolicy(
        space(n_sites, True),
        Discrete(n_sites),
        _no_schedule,
        net_arch=[width, width],
        features_extractor_class=Standardised,
    )


def _scoring(n_sites: int, width: int, n_layers: int) -> SiteScoringPolicy:
    return SiteScoringPolicy(
        space(n_sites, True), Discrete(n_sites), _no_schedule, width=width, n_layers=n_layers
    )


def _no_schedule(progress: float) -> float:
    return 0.0


KINDS = {"flat": _flat, "scoring": _scoring}


def save(agent: Agent, folder: str | os.PathLike, card: dict | None = None) -> Path:
    """Write an agent as weights and card; what more the card says is the caller's.

    The card names the hash of the weights and is replaced last: a kill leaves an agent that loads,
    or one that says it is damaged.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights = tensors_to_bytes({k: v.clone() for k, v in agent.network.state_dict().items()})
    own = {
        "format": FORMAT,
        "kind": agent.kind,
        "n_sites": agent.n_sites,
        "options": agent.options,
        "draws": agent.draws,
        "sha256": hashlib.sha256(weights).hexdigest(),
    }
    write(folder / WEIGHTS, weights)
    write(folder / CARD, (json.dumps((card or {}) | own, indent=1) + "\n").encode())
    return folder


def load(folder: str | os.PathLike) -> Agent:
    """Inverse of `save`.

    Raises:
        ValueError: what lies there is no agent, is damaged or does not fit.
    """
    folder = Path(folder)
    try:
        card = json.loads((folder / CARD).read_text())
        weights = (folder / WEIGHTS).read_bytes()
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder} must hold {CARD} and {WEIGHTS} of an agent: {error}") from error
    if not isinstance(card, dict) or card.get("format") != FORMAT or card.get("kind") not in KINDS:
        raise ValueError(f"{folder / CARD} must be the card of a {FORMAT}")
    if hashlib.sha256(weights).hexdigest() != card.get("sha256"):
        raise ValueError(f"{folder / WEIGHTS} is not what the card names: its hash is another one")
    try:
        network = KINDS[card["kind"]](card["n_sites"], **card["options"])
        network.load_state_dict(tensors_from_bytes(weights))
        return Agent(network, card["kind"], card["n_sites"], card["options"], card["draws"])
    except (KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise ValueError(f"{folder} does not fit an agent of this version: {error}") from error
