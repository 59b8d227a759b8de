"""A Gymnasium spec whose arguments JSON can hold, so that `spec.to_json()` brings it back."""

from dataclasses import replace

from gymnasium.envs.registration import EnvSpec

from .config import plain


class PlainSpec:
    """Part of an environment: whatever spec it is given, it keeps it with plain arguments."""

    _spec: EnvSpec | None = None

    @property
    def spec(self) -> EnvSpec | None:
        """How `gym.make` made it, None for one made by its class."""
        return self._spec

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:
        if spec is not None:
            spec = replace(spec, kwargs=plain(spec.kwargs))
        self._spec = spec
