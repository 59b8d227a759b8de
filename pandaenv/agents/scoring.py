"""A policy that scores sites: one small network, applied to every site in turn.

In: flat observations of `PandaSiteAllocationEnv` and constants of its sites (`Traits`). Out: a
logit for each site and a value, as a policy class of Stable-Baselines3 that obeys masks. All sites
share the weights, which therefore depend neither on the number nor on the order of sites: what was
trained on twelve sites plays on forty.

    envs = PandaVecEnv(64, sites="tier1")
    model = MaskablePPO(SiteScoringPolicy, envs, policy_kwargs={"traits": traits_of(envs)})

Notation: n observations, S sites, H width. Source of the idea: Zaheer et al. (2017), Deep Sets,
arXiv 1703.06114, an equivariant map over sites and an invariant one, by their mean, for the value.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from torch import Tensor, nn

from foundations.units import HOUR_S
from pandaenv.env.observation import DATA, DELAY, N_GRID, N_JOB, N_SITE

try:
    from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
except ImportError as error:
    raise ImportError("scoring sites needs sb3-contrib: pip install 'pandaenv[rl]'") from error

FREE, WAITING, QUEUED_WORK, RUNNING, POWER = 0, 1, 2, 3, 6
"""Columns of the sites block of an observation."""
N_DERIVED = 7
"""Columns that `SiteScorer.derived` adds to them."""
LONGEST = 0.999
"""Largest x / (1 + x) that `odds` inverts."""


class Traits(NamedTuple):
    """Constants of S sites that the observation does not contain."""

    cores: np.ndarray  # (S,) slots that others usually leave
    rate: np.ndarray  # (S, S) bytes in a mean service time m, from row to column
    hours: float  # m in hours


def traits_of(envs: Any) -> Traits:
    """Traits of the sites of a single environment, a vector environment or a `PandaVecEnv`."""
    prepared = (envs if hasattr(envs, "episodes") else envs.unwrapped).episodes.prepared
    sites, link = prepared.grid.sites, prepared.grid.link
    rate = np.minimum(link, sites["channel"]) * prepared.unit
    return Traits(sites["usual"].astype(np.float64), rate, prepared.unit / HOUR_S)


class SiteScorer(nn.Module):
    """Logits (n, S) and features for the value (n, H) of flat observations (n, 18 + 8 S).

    Args:
        traits: of the sites; without them, the columns derived from them are zero.
        width: H.
        n_layers: hidden layers of the scorer, at least 1.
    """

    def __init__(self, traits: Traits | None, width: int = 32, n_layers: int = 2):
        super().__init__()
        self.of_site = nn.Linear(N_SITE + N_DERIVED, width)
        self.of_rest = nn.Linear(N_JOB + N_GRID, width, bias=False)
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in range(n_layers - 1))
        self.score = nn.Linear(width, 1, bias=False)
        self.pooled = nn.Linear(width + N_JOB + N_GRID, width)
        self.latent_dim_vf = width
        self.set_traits(traits)

    def set_traits(self, traits: Traits | None) -> None:
        """Score sites with these traits from now on."""
        for name in ("cores", "rate"):
            value = None if traits is None else getattr(traits, name)
            value = None if value is None else torch.as_tensor(value, dtype=torch.float32)
            self.register_buffer(name, value, persistent=False)
        self.hours = 1.0 if traits is None else float(traits.hours)

    def forward(self, flat: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (n, S) and features for the value (n, H)."""
        job, sites, grid = split(flat)
        rest = torch.cat([job, grid], dim=-1)
        h = self._embed(job, sites, rest)
        return self.score(h).squeeze(-1), self._pool(h, rest)

    def forward_actor(self, flat: Tensor) -> Tensor:
        """Logits (n, S)."""
        return self(flat)[0]

    def forward_critic(self, flat: Tensor) -> Tensor:
        """Features for the value (n, H)."""
        return self(flat)[1]

    def _embed(self, job: Tensor, sites: Tensor, rest: Tensor) -> Tensor:
        """Hidden features of each site, (n, S, H)."""
        x = torch.cat([sites, self.derived(job, sites)], dim=-1)
        h = self.of_site(x).add_(self.of_rest(rest).unsqueeze(-2)).relu_()
        for layer in self.hidden:
            h = layer(h).relu_()
        return h

    def _pool(self, h: Tensor, rest: Tensor) -> Tensor:
        """Features for the value; its gradient does not reach the sites' features."""
        return torch.relu(self.pooled(torch.cat([h.mean(dim=-2).detach(), rest], dim=-1)))

    def derived(self, job: Tensor, sites: Tensor) -> Tensor:
        """Times of the job at each site, computed from the observation, (n, S, N_DERIVED).

        In units of m, as log(1 + x): moving the input, waiting for an ingress channel, waiting in
        the queue, running, and their total. Then all and free cores, as log2(1 + x) / 8.
        """
        run = odds(job[:, 3:4]) * mean_power(sites, self.cores) / sites[..., POWER]
        queue = odds(sites[..., QUEUED_WORK])
        delay = odds(sites[..., DELAY]) / self.hours
        if self.cores is None:
            move = cores = free = torch.zeros_like(run)
        else:
            move = self._transfer(job, sites[..., DATA])
            cores = torch.log2(1 + self.cores).expand_as(run) / 8
            free = torch.log2(1 + sites[..., FREE] * self.cores) / 8
        total = torch.maximum(move + torch.where(move > 0, delay, 0.0), queue) + run
        times = torch.stack([move, delay, queue, run, total], dim=-1)
        return torch.cat([torch.log1p(times), torch.stack([cores, free], dim=-1)], dim=-1)

    def _transfer(self, job: Tensor, data: Tensor) -> Tensor:
        """Time to move the input to each site over the fastest link from a replica, (n, S)."""
        nbytes = torch.expm1(job[:, :1] * float(np.log1p(1e12)))
        best = (data.unsqueeze(-1) * self.rate).amax(dim=-2).clamp_min(1.0)
        return nbytes / best * (1 - data)


def split(flat: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The blocks job (n, 12), sites (n, S, 8) and grid (n, 6) of flat observations."""
    sites = flat[:, N_JOB:-N_GRID].unflatten(-1, (-1, N_SITE))
    return flat[:, :N_JOB], sites, flat[:, -N_GRID:]


def odds(share: Tensor) -> Tensor:
    """x, given x / (1 + x)."""
    share = share.clamp(0.0, LONGEST)
    return share / (1 - share)


def mean_power(sites: Tensor, cores: Tensor | None) -> Tensor:
    """Mean power of a core divided by that of the fastest site, (n, 1)."""
    power = sites[..., POWER]
    if cores is None:
        return power.mean(dim=-1, keepdim=True)
    return (power * cores).sum(dim=-1, keepdim=True) / cores.sum()


class SiteScoringPolicy(MaskableActorCriticPolicy):
    """`SiteScorer` as a policy of `sb3_contrib.MaskablePPO`, for flat observations.

    Args:
        traits: see `traits_of`.
        width, n_layers: of the scorer.
        options: of every policy of Stable-Baselines3.
    """

    def __init__(
        self,
        observation_space: Box,
        action_space: Discrete,
        lr_schedule: Callable[[float], float],
        traits: Traits | None = None,
        width: int = 32,
        n_layers: int = 2,
        **options: Any,
    ):
        n_sites = int(getattr(action_space, "n", 0))
        expected = (N_JOB + N_SITE * n_sites + N_GRID,)
        if not isinstance(action_space, Discrete) or not isinstance(observation_space, Box):
            raise ValueError(f"sites are scored from flat observations, got {observation_space}")
        if observation_space.shape != expected:
            raise ValueError(
                f"flat observations of {n_sites} sites must have shape {expected}, got "
                f"{observation_space.shape}"
            )
        self.traits, self.width, self.n_layers = traits, width, n_layers
        super().__init__(observation_space, action_space, lr_schedule, **options)

    def _build(self, lr_schedule: Callable[[float], float]) -> None:
        self.mlp_extractor = SiteScorer(self.traits, self.width, self.n_layers)
        self.action_net = nn.Identity()
        self.value_net = nn.Linear(self.width, 1)
        nn.init.orthogonal_(self.mlp_extractor.score.weight, gain=0.01)
        nn.init.zeros_(self.value_net.weight)
        self.optimizer = self.optimizer_class(
            self.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs
        )

    def _get_constructor_parameters(self) -> dict:
        own = {"traits": self.traits, "width": self.width, "n_layers": self.n_layers}
        return super()._get_constructor_parameters() | own
