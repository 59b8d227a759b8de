"""Several processes train one model: shards, averaged gradients, the same weights everywhere."""

import contextlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import generators
from generators import distributed, training
from generators.distributed import ProcessGroup
from generators.plan import Plan
from generators.training import Descent, Pace
from tests.generators import contracts

ROOT = Path(__file__).parents[2]
X = torch.randn(301, 4, generator=torch.Generator().manual_seed(3))
W = torch.randn(4, 4, generator=torch.Generator().manual_seed(4))
RNG = np.random.default_rng(2)
TABLE = pd.DataFrame(
    {
        "x": RNG.normal(size=900),
        "n": RNG.integers(0, 9, 900),
        "c": RNG.choice(list("abc"), 900),
    }
)


class Duel:
    """Two optimizers and gradients of gradients, as a Wasserstein critic has them; no noise."""

    def __init__(self):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.module = nn.ModuleDict(
                {
                    "G": nn.Linear(4, 4),
                    "D": nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)),
                }
            )
        self.n_rows = len(X)
        self.optimizers = [torch.optim.Adam(self.module[k].parameters(), lr=1.0) for k in "GD"]

    def step(self, rows, rng):
        G, D, (of_G, of_D) = self.module["G"], self.module["D"], self.optimizers
        real, fake = X[rows] @ W, G(X[rows]).detach()
        between = ((real + fake) / 2).requires_grad_()
        (slope,) = torch.autograd.grad(D(between).sum(), between, create_graph=True)
        critic = (D(fake) - D(real)).mean() + ((slope.norm(dim=1) - 1) ** 2).mean()
        of_D.zero_grad()
        critic.backward()
        of_D.step()
        generator = -D(G(X[rows])).mean()
        of_G.zero_grad()
        generator.backward()
        of_G.step()
        return {"critic": critic.detach(), "generator": generator.detach()}


def descent():
    """A regression without noise; the odd batch gives the processes unequal shards."""
    net = nn.Linear(4, 4)
    nn.init.eye_(net.weight)
    nn.init.zeros_(net.bias)
    loss = lambda rows, rng: {"fit": ((net(X[rows]) - X[rows] @ W) ** 2).mean()}  # noqa: E731
    return Descent(net, loss, [torch.optim.AdamW(net.parameters(), lr=1.0)], len(X))


def train(make, checkpoint=None):
    return trained(make(), checkpoint)


def trained(learner, checkpoint=None):
    plan = Plan(seed=1, steps=60, progress=False, checkpoint=checkpoint, every=0.0)
    history = training.run(learner, plan, Pace(65, 1e-2, 60, ema=0.9))
    flat = torch.cat([p.detach().flatten() for p in learner.module.parameters()])
    return flat.double().numpy(), history.losses.drop(columns="step").to_numpy()


def test_shards_part_a_batch_and_weigh_by_size():
    rows, parts, shares = torch.arange(65), [], []
    for rank in range(3):
        member = ProcessGroup(rank, 3)
        parts.append(member.shard(rows))
        shares.append(member.shard_weight)
    assert torch.equal(torch.cat(parts), rows)
    assert sum(shares) == pytest.approx(3) and shares[0] == pytest.approx(22 * 3 / 65)


def test_a_batch_smaller_than_the_world_size_is_refused():
    with pytest.raises(ValueError, match="a row for each process, got 2 for 3"):
        ProcessGroup(0, 3).shard(torch.arange(2))


def test_one_process_is_a_group_of_its_own(monkeypatch):
    for name in distributed.ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    assert distributed.from_environment() == ProcessGroup(0, 1)
    assert distributed.init_process_group().is_leader
    own = torch.Generator().manual_seed(5)
    before = own.get_state()
    assert torch.equal(ProcessGroup().step_rng(own, 1, 2).get_state(), before)


def test_the_noise_of_a_process_depends_on_seed_step_and_rank_alone():
    draw = lambda rank, seed, step: torch.rand(  # noqa: E731
        3, generator=ProcessGroup(rank, 2).step_rng(torch.Generator(), seed, step)
    )
    assert torch.equal(draw(1, 5, 7), draw(1, 5, 7))
    others = [draw(0, 5, 7), draw(1, 6, 7), draw(1, 5, 8)]
    assert not any(torch.equal(draw(1, 5, 7), other) for other in others)


def test_only_the_leader_saves(tmp_path, monkeypatch):
    model = contracts.fit("smote", TABLE)
    for name, value in zip(distributed.ENVIRONMENT, ("1", "2", "localhost", "1"), strict=True):
        monkeypatch.setenv(name, value)
    assert not list(model.save(tmp_path).iterdir())
    monkeypatch.setenv("RANK", "0")
    assert len(list(model.save(tmp_path).iterdir())) == 3


def launch(folder, *arguments):
    """Run this file's `main` in two processes."""
    return run_all([["--standalone", "--nproc-per-node", "2"]], folder, *arguments)


def launch_on_two_nodes(folder, *arguments):
    """The same with one process on each of two nodes, both on this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    where = ["--nnodes", "2", "--nproc-per-node", "1", "--master-addr", "127.0.0.1"]
    where += ["--master-port", port, "--node-rank"]
    return run_all([[*where, "0"], [*where, "1"]], folder, *arguments)


def run_all(nodes, folder, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    torchrun = [sys.executable, "-m", "torch.distributed.run"]
    started = [
        subprocess.Popen(
            [*torchrun, *words, __file__, folder, *arguments],
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for words in nodes
    ]
    said = [node.communicate()[1] for node in started]
    assert not any(node.returncode for node in started), said[0][-3000:]
    return [json.loads((folder / f"rank-{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.slow
def test_two_nodes_end_in_the_weights_of_two_processes(tmp_path):
    (tmp_path / "nodes").mkdir()
    first, second = launch_on_two_nodes(tmp_path / "nodes", "tabddpm")
    assert first["weights"] == second["weights"]
    (tmp_path / "processes").mkdir()
    assert launch(tmp_path / "processes", "tabddpm")[0]["weights"] == first["weights"]


@pytest.mark.slow
def test_two_processes_end_in_the_weights_of_one(tmp_path):
    first, second = launch(tmp_path, "laws")
    assert first == second  # to the last bit
    for make in (descent, Duel):
        weights, losses = train(make)
        np.testing.assert_allclose(first[make.__name__][0], weights, rtol=2e-4, atol=2e-5)
        np.testing.assert_allclose(first[make.__name__][1], losses, rtol=2e-4, atol=2e-5)
    assert first["resumed"] == first["descent"]
    assert first["steps of a budget"] > 1


@pytest.mark.slow
@pytest.mark.parametrize("name", contracts.LEARNED)
def test_every_learned_generator_trains_in_two_processes(name, tmp_path):
    first, second = launch(tmp_path, name)
    assert first["weights"] == second["weights"] and first["losses"] == second["losses"]
    assert np.isfinite(np.array(first["losses"])).all()
    if name == "ctabganplus":  # the losses of a game wander with its noise
        return
    alone = contracts.fit(name, TABLE, steps=150)
    one, two = (np.array(x)[-40:, 2:].mean(0) for x in (alone.losses_, first["losses"]))
    spread = np.array(alone.losses_)[-40:, 2:].std(0)
    assert (np.abs(one - two) < 1.5 * spread + 0.1 * np.abs(one)).all(), (one, two, spread)
    assert list(generators.load(tmp_path / "model").sample(5).columns) == list(TABLE.columns)


def laws(folder):
    out = {make.__name__: [x.tolist() for x in train(make)] for make in (descent, Duel)}
    with contextlib.suppress(InterruptedError):
        trained(stopping(descent(), at=31), folder / "run")
    out["resumed"] = [x.tolist() for x in train(descent, folder / "run")]
    learner, plan = descent(), Plan(budget=0.5, progress=False)
    history = training.run(learner, plan, Pace(65, 1e-2, 60, ema=0.9))
    return {**out, "steps of a budget": history.n_steps}


def stopping(learner, at):
    """The learner, which is interrupted before step `at`."""
    step, done = learner.step, []

    def until_then(rows, rng):
        done.append(1)
        if len(done) > at:
            raise InterruptedError
        return step(rows, rng)

    learner.step = until_then
    return learner


def learned(name, folder):
    model = contracts.fit(name, TABLE, steps=150)
    model.save(folder / "model")
    weights = {k: v.tobytes().hex() for k, v in model._to_arrays().items()}
    return {"weights": weights, "losses": model.losses_.to_numpy(float).tolist()}


def main(folder, what):
    torch.set_num_threads(1)
    result = laws(folder) if what == "laws" else learned(what, folder)
    (folder / f"rank-{distributed.init_process_group().rank}.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
