"""Pieces of work for the tests of engines; light, for every worker imports them."""

import os
import signal
import time


def square(folder, n):
    """A piece: leaves the square of n."""
    (folder / f"{n}.txt").write_text(str(n * n))


def killed_once(folder, n):
    """As `square`, but the first worker that takes piece 3 is killed."""
    mark = folder / "killed"
    if n == 3 and not mark.exists():
        mark.write_text("")
        os.kill(os.getpid(), signal.SIGKILL)
    square(folder, n)


def wrong(n):
    if n == 2:
        raise ValueError("the second piece is wrong")


def always_killed(n):
    os.kill(os.getpid(), signal.SIGKILL)


def first_wrong(folder, n):
    if n == 0:
        raise ValueError("piece 0 is wrong")
    time.sleep(0.05)
    square(folder, n)
