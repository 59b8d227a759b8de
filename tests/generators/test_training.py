"""The training loop: pure in seed and steps, exact in resuming, safe in writing."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from generators import training
from generators.plan import Plan
from generators.training import Descent, Pace

ROOT = Path(__file__).parents[2]
X = torch.randn(300, 4, generator=torch.Generator().manual_seed(3))
PACE = Pace(batch_size=64, lr=1e-2, steps=40, warmup=5, ema=0.9)


class Boom(RuntimeError):
    pass


def learner(fail_at=None):
    net = nn.Linear(4, 4)
    torch.nn.init.eye_(net.weight)
    torch.nn.init.zeros_(net.bias)
    seen = []

    def loss(rows, rng):
        seen.append(rows)
        if fail_at == len(seen):
            raise Boom
        noise = torch.randn(len(rows), 4, generator=rng)
        return {"fit": ((net(X[rows] + noise) - X[rows]) ** 2).mean()}

    out = Descent(net, loss, [torch.optim.AdamW(net.parameters(), lr=1.0)], len(X))
    out.seen = seen
    return out


def train(plan, fail_at=None, key=None):
    one = learner(fail_at)
    history = training.run(one, replace(plan, key=key or {"model": "test"}), PACE)
    return one, history


def test_same_seed_same_weights_and_losses():
    plan = Plan(seed=4, steps=30, progress=False)
    (a, ha), (b, hb) = train(plan), train(plan)
    assert torch.equal(a.module.weight, b.module.weight)
    assert ha.losses.equals(hb.losses) and list(ha.losses.columns) == ["step", "lr", "fit"]
    assert not torch.equal(
        a.module.weight, train(Plan(seed=5, steps=30, progress=False))[0].module.weight
    )


def test_training_leaves_the_global_generator_alone():
    one, before = learner(), torch.random.get_rng_state()
    training.run(one, Plan(steps=3, progress=False), PACE)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("stop", [1, 2, 17, 29])
def test_resume_gives_the_weights_of_an_unbroken_run(tmp_path, stop):
    whole, history = train(Plan(seed=1, steps=30, progress=False))
    plan = Plan(seed=1, steps=30, progress=False, checkpoint=tmp_path / "run", every=0.0)
    with pytest.raises(Boom):
        train(plan, fail_at=stop)
    resumed, again = train(plan)
    assert len(resumed.seen) == 30 - (stop - 1)
    assert torch.equal(whole.module.weight, resumed.module.weight)
    assert torch.equal(whole.module.bias, resumed.module.bias)
    assert history.losses.equals(again.losses) and again.n_steps == 30


def test_a_finished_checkpoint_gives_the_model_without_a_step(tmp_path):
    plan = Plan(steps=10, progress=False, checkpoint=tmp_path / "run")
    done, _ = train(plan)
    again, _ = train(plan)
    assert not again.seen and torch.equal(done.module.weight, again.module.weight)


def test_a_budget_probes_and_then_trains_as_the_same_number_of_steps_would():
    one, history = train(Plan(seed=2, budget=0.3, progress=False))
    same, _ = train(Plan(seed=2, steps=history.n_steps, progress=False))
    assert history.n_steps > 1 and torch.equal(one.module.weight, same.module.weight)


def test_a_resumed_budget_keeps_its_number_of_steps(tmp_path):
    plan = Plan(budget=0.2, progress=False, checkpoint=tmp_path / "run", every=0.0)
    _, first = train(plan)
    _, second = train(plan)
    assert first.n_steps == second.n_steps


@pytest.mark.parametrize("cut", [5, 200, -1])
def test_a_truncated_checkpoint_is_refused(tmp_path, cut):
    plan = Plan(steps=10, progress=False, checkpoint=tmp_path / "run")
    train(plan)
    plan.checkpoint.write_bytes(plan.checkpoint.read_bytes()[:cut])
    with pytest.raises(ValueError, match="run is not a whole checkpoint"):
        train(plan)


def test_a_checkpoint_with_one_flipped_bit_is_refused(tmp_path):
    plan = Plan(steps=10, progress=False, checkpoint=tmp_path / "run")
    train(plan)
    data = bytearray(plan.checkpoint.read_bytes())
    data[-3] ^= 4
    plan.checkpoint.write_bytes(data)
    with pytest.raises(ValueError, match="its hash or format is wrong"):
        train(plan)


def test_a_foreign_file_is_refused(tmp_path):
    plan = Plan(steps=10, progress=False, checkpoint=tmp_path / "run")
    save_file({"w": torch.zeros(3)}, plan.checkpoint)
    with pytest.raises(ValueError, match="not a whole checkpoint"):
        train(plan)


@pytest.mark.parametrize(
    "other",
    [
        {"plan": Plan(steps=11, progress=False)},
        {"plan": Plan(steps=10, seed=9, progress=False)},
        {"plan": Plan(steps=10, progress=False), "key": {"model": "another"}},
    ],
)
def test_the_checkpoint_of_another_run_is_refused(tmp_path, other):
    path = tmp_path / "run"
    train(Plan(steps=10, progress=False, checkpoint=path))
    plan = Plan(other["plan"].seed, None, other["plan"].steps, False, path)
    with pytest.raises(ValueError, match="checkpoint of another run"):
        train(plan, key=other.get("key"))


def test_a_folder_that_cannot_be_written_fails_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot write a checkpoint"):
        train(Plan(steps=10, progress=False, checkpoint=tmp_path / "file" / "run"))


def test_a_write_that_fails_on_the_way_leaves_the_last_good_checkpoint(tmp_path, monkeypatch):
    plan = Plan(seed=1, steps=12, progress=False, checkpoint=tmp_path / "run", every=0.0)
    with pytest.raises(Boom):
        train(plan, fail_at=6)
    good = plan.checkpoint.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.warns(UserWarning, match="No space left on device; training goes on"):
        train(plan)
    assert plan.checkpoint.read_bytes() == good


def test_nothing_is_left_beside_the_checkpoint(tmp_path):
    train(Plan(steps=10, progress=False, checkpoint=tmp_path / "run", every=0.0))
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_batches_visit_every_row_once_an_epoch():
    rows = torch.cat(list(training.batches(100, 20, 0, 0, 5)))
    assert sorted(rows.tolist()) == list(range(100))
    assert rows.tolist() != list(range(100))


def test_batches_do_not_depend_on_where_they_start():
    whole = list(training.batches(103, 20, 7, 0, 23))
    late = list(training.batches(103, 20, 7, 12, 23))
    assert all(torch.equal(a, b) for a, b in zip(whole[12:], late, strict=True))


def test_a_small_table_is_repeated_up_to_a_batch():
    (rows,) = training.batches(3, 4096, 0, 0, 1)
    assert len(rows) >= training.MIN_BATCH and set(np.bincount(rows)) == {len(rows) // 3}


def test_rate_warms_up_then_falls_to_zero():
    rates = [training.rate(s, 100, Pace(1, 2.0, 1, warmup=10)) for s in range(100)]
    assert rates[0] == pytest.approx(0.2) and max(rates) == 2.0 and rates[-1] < 0.002
    assert all(a >= b for a, b in zip(rates[10:], rates[11:], strict=False))


def test_the_module_ends_with_the_averaged_weights():
    one = learner()
    state = training.State.start(one, 0, 0.9)
    kept, latest = one.module.weight.detach().clone(), None
    for n, rows in enumerate(training.batches(len(X), 64, 0, 0, 20)):
        training._advance(state, rows, PACE, 20, 1)
        latest = one.module.weight.detach()
        keep = min(0.9, (1 + n) / (10 + n))
        kept = latest.clone() if n == 0 else keep * kept + (1 - keep) * latest
    trained, _ = train(Plan(seed=0, steps=20, progress=False))
    torch.testing.assert_close(trained.module.weight.detach(), kept)
    assert not torch.allclose(kept, latest)


THREADS = """
import numba, numpy as np, pandas as pd, torch
import generators
rng = np.random.default_rng(0)
table = pd.DataFrame({"x": rng.normal(size=600), "c": rng.choice(list("abc"), 600)})
fit = lambda: generators.make("tabddpm", d_trunk=16).fit(table, steps=5, progress=False)
first = fit().sample(50, seed=0)
generators.make("smote").fit(table)  # runs a parallel kernel
assert fit().sample(50, seed=0).equals(first)
from generators import training
with training.steady_threads():
    assert torch.get_num_threads() == training.THREADS == 1
torch.set_num_threads(numba.config.NUMBA_NUM_THREADS + 1)  # the user's own wish is left alone
with training.steady_threads():
    assert torch.get_num_threads() == numba.config.NUMBA_NUM_THREADS + 1
"""


def test_numba_does_not_change_the_threads_of_training():
    command = [sys.executable, "-c", THREADS]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment
    )
    assert done.returncode == 0, done.stderr


KILLED = """
import os, signal, sys
import numpy as np, pandas as pd, torch
import generators
torch.set_num_threads(1)
path, kill_at = sys.argv[1], int(sys.argv[2])
rng = np.random.default_rng(0)
table = pd.DataFrame({"x": rng.normal(size=2000), "c": rng.choice(list("abc"), 2000)})
model = generators.make("tabddpm", d_trunk=32, batch_size=128)
if kill_at:
    from generators import training
    advance = training._advance
    def dying(state, *rest):
        if state.step == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        advance(state, *rest)
    training._advance = dying
model.fit(table, seed=5, steps=60, progress=False, checkpoint=path or None, every=0.0)
print(model.sample(100, seed=1).to_json(double_precision=15))
print(model.losses_.to_json(double_precision=15))
"""


def _run(path, kill_at):
    command = [sys.executable, "-c", KILLED, str(path), str(kill_at)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


@pytest.mark.slow
def test_a_killed_process_resumed_gives_the_unbroken_model_bit_for_bit(tmp_path):
    whole = _run("", 0)
    assert whole.returncode == 0, whole.stderr
    for kill_at in (3, 41):
        path = tmp_path / f"run-{kill_at}"
        killed = _run(path, kill_at)
        assert killed.returncode == -signal.SIGKILL and path.exists()
        assert training.read_checkpoint(path)[0]["step"] == str(kill_at)
        resumed = _run(path, 0)
        assert resumed.stdout == whole.stdout, resumed.stderr
