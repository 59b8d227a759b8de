"""Errors that a user can correct, shown as one sentence instead of a traceback.

In: the body of a command. Out: nothing if it ends well. If it raises one of USER_ERRORS, or one of
Gymnasium's own, the line `error: SENTENCE` on stderr and exit code 1; every other error passes with
its traceback.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

USER_ERRORS = (ValueError, OSError, ImportError, MemoryError)


@contextmanager
def one_sentence() -> Iterator[None]:
    """Exit with one sentence for what the user can correct; also a decorator, `@one_sentence()`."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, (*USER_ERRORS, *_of_gymnasium())):
            raise
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(1) from None


def _of_gymnasium() -> tuple[type[Exception], ...]:
    """Gymnasium's errors, where it is loaded: it is not needed by commands that only learn."""
    gymnasium = sys.modules.get("gymnasium")
    return (gymnasium.error.Error,) if gymnasium else ()
