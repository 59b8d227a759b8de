"""When to stop a training early: a callback of `Generator.fit`.

In: the steps made, and the mean of each loss term since it was told before. Out: whether to stop.
Any function of these two will do; what it returns is taken as a truth.

    model.fit(table, callback=Patience(2_000))

Whether stopped or not, the models over fields (TabDDPM's masked process, TabAR) keep the weights of
their best "validation", the loss of the held-out rows their option of this name sets apart. The
rate falls over the steps a run is given, so a stopped one ends at a higher rate. SMOTE does not
train and calls nothing.
"""

from __future__ import annotations

from math import inf

from foundations import checks


class Patience:
    """Stop when a loss has not reached a new low for so many steps.

    The loss is that of held-out rows, "validation", where a model reports one, and the sum of all
    terms elsewhere. One object serves one fit after the other.

    Args:
        steps: at least 1.
        least: by how much a new low must be lower, at least 0.

    Raises: ValueError for a wrong number.
    """

    def __init__(self, steps: int, least: float = 0.0):
        self.steps = checks.whole("steps", steps, least=1)
        self.least = checks.number("least", least, least=0)
        self._best, self._best_step, self._now = inf, 0, 0

    def __call__(self, step: int, losses: dict[str, float]) -> bool:
        """Whether the best loss so far is older than `steps`."""
        if step <= self._now:  # another training
            self._best, self._best_step = inf, 0
        loss = losses.get("validation", sum(losses.values()))
        if loss < self._best - self.least:
            self._best, self._best_step = loss, step
        self._now = step
        return step - self._best_step >= self.steps
