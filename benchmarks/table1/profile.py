"""Profiles of Table I: sizes, budgets and metrics, from `benchmarks/configs/fidelity-*.toml`.

In: the name of a profile. Out: a `Profile`.
"""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import generators
from benchmarks.inputs.places import CONFIGS
from metrics.report import TABLE_1

OWN = ("generator", "steps")  # of a row, not of the generator's constructor


@dataclass(frozen=True)
class Profile:
    """Sizes, budgets and metrics of one run.

    Attributes:
        n_train: rows that the generators learn from.
        n_holdout: held-out rows, both halves together.
        n_mlef: rows that the regressors of diff-MLEF are trained on.
        days: of the reference workload.
        budget: seconds of training for each generator.
        steps: optimizer steps, instead of a budget.
        n_seeds: runs of the stochastic metrics.
        generators: by the name of a row: options of the constructor, `generator` where the row is
            not called after it, and `steps` where the row has a number of its own.
    """

    name: str
    n_train: int
    n_holdout: int
    n_mlef: int
    days: int = 150
    budget: float | None = None
    steps: int | None = None
    n_seeds: int = 1
    metrics: tuple[str, ...] = TABLE_1
    generators: dict[str, dict] = field(default_factory=dict)

    def rows(self) -> tuple[str, ...]:
        """Rows of a run that names none: all built-in generators and those of the profile."""
        return tuple(dict.fromkeys((*generators.names(), *self.generators)))

    def options(self, row: str) -> tuple[str, dict]:
        """The generator of a row, and the options of its constructor."""
        own = {k: v for k, v in self.generators.get(row, {}).items() if k not in OWN}
        return self.generators.get(row, {}).get("generator", row), own

    def steps_of(self, row: str) -> int | None:
        """Optimizer steps of a row, None where a budget counts."""
        return self.generators.get(row, {}).get("steps", self.steps) if self.steps else None

    @classmethod
    def read(cls, name: str) -> "Profile":
        """Read a profile by name or from a TOML file; a ValueError names those there are."""
        path = Path(name) if name.endswith(".toml") else CONFIGS / f"fidelity-{name}.toml"
        if not path.is_file():
            known = sorted(p.stem.removeprefix("fidelity-") for p in CONFIGS.glob("fidelity-*"))
            raise ValueError(f"unknown profile {name!r}; known: {', '.join(known)}, or a TOML file")
        try:
            options = tomllib.loads(path.read_text(encoding="utf-8"))
            options |= {"metrics": tuple(options.get("metrics", TABLE_1))}
            return cls(path.stem.removeprefix("fidelity-"), **options)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{path}: no profile: {error}".replace("Profile.__init__() ", "")
            ) from None
