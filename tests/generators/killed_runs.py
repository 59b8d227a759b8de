"""Train a small generator in child processes that are killed, and report the outcome.

In: a generator's name, a folder for the checkpoint, a number of kills at seeded moments. Out: one
JSON line with the numbers of kills and of resumed runs, and the hashes of the weights of the runs
that ended. The parent imports the libraries once and forks, so a child begins to train at once; the
kill is a true SIGKILL.

    python -m tests.generators.killed_runs NAME FOLDER KILLS
"""

import hashlib
import json
import os
import random
import signal
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from generators import training
from tests.generators import contracts

STEPS = 600
FIRST, LAST = 0.02, 0.5  # seconds of life of a child
PATIENCE = 900  # seconds granted to a run that nobody is to kill
RNG = np.random.default_rng(0)
TABLE = pd.DataFrame(
    {
        "x": RNG.normal(size=600),
        "n": RNG.integers(0, 9, 600),
        "c": RNG.choice(list("abc"), 600),
    }
)


def train(name, checkpoint):
    """Hash of all weights and losses of a run of STEPS, resumed from the checkpoint if there."""
    model = contracts.make(name).fit(
        TABLE, seed=7, steps=STEPS, progress=False, checkpoint=checkpoint, every=0.02
    )
    arrays = {**model._to_arrays(), "losses": model.losses_.to_numpy(np.float64)}
    text = "".join(f"{k}{v.tobytes().hex()}" for k, v in sorted(arrays.items()))
    return hashlib.sha256(text.encode()).hexdigest()


def start(name, checkpoint, result):
    """A child that trains and leaves the hash in the file `result`."""
    child = os.fork()
    if not child:
        try:
            result.write_text(train(name, checkpoint))
            os._exit(0)
        finally:
            os._exit(1)
    return child


def ended_within(child, seconds):
    """Whether the child ended by itself in time; raises if it failed."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            if status:
                raise RuntimeError(f"the child ended with status {status}")
            return True
        time.sleep(0.002)
    return False


def killed(child):
    """Kill the child; False where it had just ended by itself."""
    os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    assert status == 0 or os.WTERMSIG(status) == signal.SIGKILL, status
    return status != 0


def main(name, folder, n_kills):
    torch.set_num_threads(1)
    moments = random.Random(zlib.crc32(name.encode()))
    checkpoint, result = folder / "run", folder / "hash"
    kills, resumed, hashes = 0, 0, []
    contracts.fit(name, TABLE, steps=1)  # brings in all that a child would load
    while kills < n_kills or not hashes or checkpoint.exists():
        resumed += checkpoint.exists() and int(training.read_checkpoint(checkpoint)[0]["step"]) > 0
        child = start(name, checkpoint, result)
        patience = moments.uniform(FIRST, LAST) if kills < n_kills else PATIENCE
        if ended_within(child, patience) or not killed(child):
            hashes.append(result.read_text())
            checkpoint.unlink()
            continue
        kills += 1
    whole = start(name, None, result)
    assert ended_within(whole, PATIENCE)
    left = sorted(p.name for p in folder.iterdir())
    print(
        json.dumps(
            {
                "kills": kills,
                "resumed": resumed,
                "hashes": hashes,
                "left": left,
                "whole": result.read_text(),
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
