"""Recipes: how one agent is trained by PPO, in one of four forms.

In: settings, for instance of a TOML file. Out: a `Recipe`, checked.
"""

from dataclasses import dataclass

ALGORITHMS = ("ppo", "maskable", "scoring", "lagrangian")


@dataclass(frozen=True)
class Recipe:
    """How one agent is trained."""

    algorithm: str = "scoring"
    steps: int = 1_000_000
    """Placements, rounded up to whole chapters."""
    n_envs: int = 64
    n_steps: int = 55
    """Placements of each environment in a rollout; a chapter is rounded to whole rollouts."""
    batch_size: int = 880
    n_epochs: int = 4
    learning_rate: float = 1e-3
    """At the start; it falls linearly to a tenth."""
    gamma: float = 0.0
    """0 since `flow_time` credits the step that caused it."""
    gae_lambda: float = 0.95
    ent_coef: float = 0.0
    clip_range: float = 0.2
    width: int = 32
    n_layers: int = 2
    """Hidden layers of the site scorer; a plain network has two."""
    squash: bool = True
    """Pay sign(r) log(1 + |r|): rewards have a long tail that drowns what a placement adds."""
    cost_limit: float | None = None
    """Of `lagrangian`, mean cost of a placement."""
    multiplier_rate: float = 0.02
    """How much the multiplier grows in a rollout of twice the limit."""

    def __post_init__(self):
        if self.algorithm not in ALGORITHMS:
            known = ", ".join(ALGORITHMS)
            raise ValueError(f"unknown algorithm {self.algorithm!r}; known: {known}")
        if (self.algorithm == "lagrangian") != (self.cost_limit is not None):
            raise ValueError(
                "lagrangian takes a cost_limit and the others none, got "
                f"{self.cost_limit} for {self.algorithm}"
            )
