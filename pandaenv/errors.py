"""Errors that a user can correct, shown as one sentence instead of a traceback.

In: the body of a command. Out: nothing if it ends well. If it raises one of USER_ERRORS, the line
`error: SENTENCE` on stderr and exit code 1; every other error passes with its traceback.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import gymnasium as gym

USER_ERRORS = (ValueError, OSError, ImportError, MemoryError, gym.error.Error)


@contextmanager
def one_sentence() -> Iterator[None]:
    """Exit with one sentence for what the user can correct; also a decorator, `@one_sentence()`."""
    try:
        yield
    except USER_ERRORS as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(1) from None
