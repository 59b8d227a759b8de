"""Learners from offline data alone: behaviour cloning, its safe form, conservative Q-learning.

In: a `pandaenv.offline.Dataset` and the traits of its sites. Out: a network that scores sites, as a
policy. Each is the loss below, written down; the network is `pandaenv.agents.scoring.SiteScorer`.

| name | in code | loss, mean over a batch of steps (s, a, r, s') |
|---|---|---|
| BC | `behaviour_cloning` | -log pi(a | s), pi the softmax over allowed sites |
| BC-Safe | `behaviour_cloning` on the episodes within the cost limit | the same |
| CQL | `conservative_q_learning` | alpha (log sum_b exp Q(s, b) - Q(s, a)) + (Q(s, a) - y)^2 / 2 |

y = r + gamma Q'(s', argmax_b Q(s', b)), b allowed, Q' a slow copy of Q; y = r at the last step of
an episode, terminal or not, since no job is left to be placed and the observation tells so.
Sources: CQL(H), Kumar et al. (2020), arXiv 2006.04779, eq. 4; double Q, van Hasselt et al. (2016),
arXiv 1509.06461; BC-Safe as in Liu et al. (2023), arXiv 2306.09303.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pandaenv.agents.scoring import SiteScorer, Traits
from pandaenv.offline import Dataset
from pandaenv.offline.trajectories import MASKS


@dataclass(frozen=True)
class Config:
    """How a learner is trained."""

    steps: int = 2_000
    batch_size: int = 256
    learning_rate: float = 2e-3
    """At the start; it falls to zero along a cosine."""
    width: int = 32
    n_layers: int = 2
    alpha: float = 0.1
    """Of CQL's conservative term, chosen on training windows: 1 imitates more and gains less."""
    gamma: float = 0.9
    """Discount of CQL; 0 did as well on training windows, since `flow_time` credits the step that
    caused it."""
    rate: float = 0.005
    """Share by which Q' moves towards Q at every step."""


class ScoringPolicy:
    """A network as a policy: the allowed site it scores highest; it draws nothing."""

    def __init__(self, network: SiteScorer):
        self.network = network

    def reset(self, seed) -> None:
        pass

    def act(self, env) -> int:
        return int(self.act_all(env)[0])

    def act_all(self, envs) -> np.ndarray:
        """A site for the waiting job of each world, int64 (n,)."""
        view = envs.unwrapped.episodes.view
        with torch.no_grad():
            scores = self.network(torch.as_tensor(view.flat))[0].numpy()
        return np.where(view.mask > 0, scores, -np.inf).argmax(axis=1)


def behaviour_cloning(data: Dataset, traits: Traits, config: Config, seed: int) -> ScoringPolicy:
    """Behaviour cloning."""
    steps = Steps(data)

    def loss(network: SiteScorer, rows: Tensor) -> Tensor:
        scores = masked(network(steps.seen[rows])[0], steps.masks[rows])
        return F.cross_entropy(scores, steps.actions[rows])

    return ScoringPolicy(fit(loss, len(steps), traits, config, seed))


def within_cost_limit(data: Dataset, limit: float) -> Dataset | None:
    """The episodes whose cost is within the limit, None if there are none."""
    kept = np.flatnonzero(data.returns("costs") <= limit)
    if not len(kept):
        return None
    parts = {key: np.split(values, data.starts[1:]) for key, values in data.items()}
    chosen = {key: np.concatenate([part[i] for i in kept]) for key, part in parts.items()}
    return Dataset(chosen, data.metadata)


def conservative_q_learning(
    data: Dataset, traits: Traits, config: Config, seed: int
) -> ScoringPolicy:
    """Discrete CQL(H) with a double Q target."""
    steps, slow = Steps(data), new_network(traits, config, seed)

    def loss(network: SiteScorer, rows: Tensor) -> Tensor:
        update_target(slow, network, config.rate)
        return conservative_loss(network, slow, steps, rows, config)

    return ScoringPolicy(fit(loss, len(steps), traits, config, seed))


def conservative_loss(
    network: SiteScorer, slow: SiteScorer, steps: "Steps", rows: Tensor, config: Config
) -> Tensor:
    """alpha (log sum_b exp Q(s, b) - Q(s, a)) + (Q(s, a) - y)^2 / 2, y = r + gamma Q'(s', b*)."""
    Q = masked(network(steps.seen[rows])[0], steps.masks[rows])
    Q_a = Q.gather(1, steps.actions[rows, None]).squeeze(1)
    y = steps.rewards[rows]
    if config.gamma > 0:
        y = y + config.gamma * steps.goes_on[rows] * next_values(network, slow, steps, rows)
    return (config.alpha * (Q.logsumexp(1) - Q_a) + 0.5 * (Q_a - y).square()).mean()


def next_values(network: SiteScorer, slow: SiteScorer, steps: "Steps", rows: Tensor) -> Tensor:
    """Q'(s', argmax_b Q(s', b)) over allowed sites b; of no meaning after an episode's last step.

    The mask of s' is that of the next step.
    """
    following = (rows + 1).clamp(max=len(steps) - 1)
    seen, masks = steps.after[rows], steps.masks[following]
    with torch.no_grad():
        best = masked(network(seen)[0], masks).argmax(1, keepdim=True)
        return slow(seen)[0].gather(1, best).squeeze(1)


def update_target(slow: SiteScorer, network: SiteScorer, rate: float) -> None:
    """Move Q' a little towards Q."""
    with torch.no_grad():
        for mine, its in zip(slow.parameters(), network.parameters(), strict=True):
            mine.lerp_(its, rate)


LEARNERS = {"BC": behaviour_cloning, "BC-Safe": behaviour_cloning, "CQL": conservative_q_learning}


# --- training ------------------------------------------------------------------------------------


class Steps:
    """The columns of a data set as tensors; rewards as sign(r) log(1 + |r|), for their long tail.

    `goes_on` is 0 at the last step of an episode, else 1.
    """

    def __init__(self, data: Dataset):
        rewards = np.sign(data["rewards"]) * np.log1p(np.abs(data["rewards"]))
        self.seen = torch.as_tensor(data["observations"])
        self.after = torch.as_tensor(data["next_observations"])
        self.actions = torch.as_tensor(data["actions"])
        self.masks = torch.as_tensor(data[MASKS] > 0)
        self.rewards = torch.as_tensor(rewards, dtype=torch.float32)
        self.goes_on = torch.as_tensor(~(data["terminals"] | data["timeouts"])).float()

    def __len__(self) -> int:
        return len(self.rewards)


def masked(scores: Tensor, masks: Tensor) -> Tensor:
    """Scores (n, S), minus infinity where a site is not allowed."""
    return scores.masked_fill(~masks, -torch.inf)


def new_network(traits: Traits, config: Config, seed: int) -> SiteScorer:
    """A network drawn from the seed; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SiteScorer(traits, config.width, config.n_layers)


def fit(
    loss: Callable[[SiteScorer, Tensor], Tensor], n: int, traits: Traits, config: Config, seed: int
) -> SiteScorer:
    """Minimise a loss over shuffled batches of n rows by Adam."""
    network = new_network(traits, config, seed)
    learned = [p for name, p in network.named_parameters() if not name.startswith("pooled")]
    optimizer = torch.optim.Adam(learned, config.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
    chance = torch.Generator().manual_seed(seed)
    for _ in range(config.steps):
        rows = torch.randint(n, (config.batch_size,), generator=chance)
        optimizer.zero_grad(set_to_none=True)
        loss(network, rows).backward()
        optimizer.step()
        schedule.step()
    return network
