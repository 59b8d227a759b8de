"""Progress of a long run on stderr: the step, the time so far, and an estimate of the time left.

In: expected seconds of the steps to come. Out: a line for each step.
"""

import sys
import time


class Progress:
    """Announces steps; the pace of finished steps corrects the expected seconds of the rest."""

    def __init__(self, plan: dict[str, float], quiet: bool = False):
        self.left, self.quiet = dict(plan), quiet
        self.began = time.monotonic()
        self.expected = 0.0

    def start(self, step: str, words: str) -> None:
        """Announce a step and take its seconds off the plan."""
        spent = time.monotonic() - self.began
        pace = max(0.5, spent / self.expected) if self.expected > 5 else 1.0
        left = pace * sum(self.left.values())
        self.expected += self.left.pop(step, 0.0)
        if not self.quiet:
            print(f"[{_minutes(spent)}, about {_minutes(left)} left] {words}", file=sys.stderr)

    def skip(self, name: str) -> None:
        """Take all steps of a finished row off the plan."""
        self.left = {step: s for step, s in self.left.items() if step.split()[0] != name}
        if not self.quiet:
            print(f"{name}: finished in an earlier run", file=sys.stderr)


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
