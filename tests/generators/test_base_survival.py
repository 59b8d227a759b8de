"""Killed, short of disk, handed a damaged file: what was good stays, what is wrong is refused."""

import ast
import errno
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import generators
from foundations import files
from generators import base, training
from tests.generators import contracts

ROOT = Path(__file__).parents[2]
RNG = np.random.default_rng(5)
TABLE = pd.DataFrame({"x": RNG.normal(size=400), "c": RNG.choice(list("abc"), 400)})


@pytest.fixture(params=contracts.LEARNED, scope="module")
def name(request):
    return request.param


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tvae", "ctabganplus", "tabddpm"])  # a learner of each kind
def test_twenty_kills_leave_no_trace_in_the_weights(name, tmp_path):
    command = [sys.executable, ROOT / "tests/generators/killed_runs.py", name, tmp_path, "20"]
    paths = str(ROOT)
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["kills"] == 20
    assert result["resumed"] > 2  # on a busy machine few children live to write a checkpoint
    assert set(result["hashes"]) == {result["whole"]}
    assert result["left"] == ["hash"]  # no draft of a killed writer is left


def fit(name, **options):
    return contracts.fit(name, TABLE, seed=1, **{"steps": 20, **options})


def assert_same_weights(one, other):
    a, b = ({k: v.tobytes() for k, v in model._to_arrays().items()} for model in (one, other))
    assert a == b


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def good_checkpoint(name, path):
    """Train until a step in the middle, as a killed process would."""
    model = contracts.make(name)
    model.__class__ = contracts.stopping(type(model), 9)
    with pytest.raises(KeyboardInterrupt):
        model.fit(TABLE, seed=1, steps=20, progress=False, checkpoint=path, every=0.0)
    return path.read_bytes()


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_last_good_checkpoint(name, tmp_path, monkeypatch, call):
    good = good_checkpoint(name, tmp_path / "run")
    with monkeypatch.context() as patch, pytest.warns(UserWarning) as warned:
        patch.setattr(os, call, full)
        model = fit(name, checkpoint=tmp_path / "run", every=0.0)
    sentence = f"cannot write a checkpoint at {tmp_path / 'run'}: No space left on device; training"
    assert all(str(w.message).startswith(sentence) for w in warned)
    assert (tmp_path / "run").read_bytes() == good
    assert [p.name for p in tmp_path.iterdir()] == ["run"]
    assert_same_weights(model, fit(name))
    assert_same_weights(model, fit(name, checkpoint=tmp_path / "run"))


def test_a_limit_on_file_size_leaves_the_last_good_checkpoint(tmp_path):
    good = good_checkpoint("tabddpm", tmp_path / "run")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.warns(UserWarning, match="cannot write a checkpoint at .*: File too large"):
            fit("tabddpm", checkpoint=tmp_path / "run", every=0.0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / "run").read_bytes() == good
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_a_full_disk_leaves_the_last_good_model(name, tmp_path, monkeypatch):
    old = fit(name)
    old.save(tmp_path)
    with monkeypatch.context() as patch, pytest.raises(OSError) as error:
        patch.setattr(os, "fsync", full)
        fit(name, steps=21).save(tmp_path)
    assert str(error.value) == f"cannot save {old.name} in {tmp_path}: No space left on device"
    assert len(list(tmp_path.iterdir())) == 3
    pd.testing.assert_frame_equal(generators.load(tmp_path).sample(20), old.sample(20))


def test_a_model_killed_while_it_is_saved_is_the_old_or_the_new_one(name, tmp_path, monkeypatch):
    old, new = fit(name), fit(name, steps=21)
    old.save(tmp_path)
    replace = os.replace

    def all_but_the_card(draft, target):
        if Path(target).name == base.CARD:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(draft, target)

    with monkeypatch.context() as patch, pytest.raises(OSError):
        patch.setattr(os, "replace", all_but_the_card)
        new.save(tmp_path)
    pd.testing.assert_frame_equal(generators.load(tmp_path).sample(20), old.sample(20))
    files.write(tmp_path / f".{base.CARD}.abcdefgh{files.SUFFIX}" / base.CARD, "half")
    new.save(tmp_path)
    assert len(list(tmp_path.iterdir())) == 3
    pd.testing.assert_frame_equal(generators.load(tmp_path).sample(20), new.sample(20))


def test_a_file_where_a_model_is_to_be_saved_is_refused_before_training(tmp_path):
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError, match="a model is saved in a folder, but|cannot write a model"):
            base.check_target(path)
        with pytest.raises(OSError, match="a model is saved in a folder, but|cannot write a model"):
            fit("smote").save(path)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_without_write_permission_is_refused_before_training(tmp_path, monkeypatch):
    def denied(*_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(tempfile, "TemporaryFile", denied)
    with pytest.raises(OSError, match="cannot write a model in .*: Permission denied"):
        base.check_target(tmp_path)


def test_a_good_target_is_made_and_left_empty(tmp_path):
    assert base.check_target(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert not list((tmp_path / "a" / "b").iterdir())


def test_a_checkpoint_that_is_a_folder_is_refused(name, tmp_path):
    with pytest.raises(OSError, match=f"cannot read the checkpoint {re.escape(str(tmp_path))}"):
        fit(name, checkpoint=tmp_path)


damages = st.one_of(
    st.tuples(st.just("cut"), st.integers(0, 2**32), st.just(0)),
    st.tuples(st.just("flip"), st.integers(0, 2**32), st.integers(1, 255)),
    st.tuples(st.just("head"), st.integers(0, 400), st.integers(1, 255)),
    st.tuples(st.just("insert"), st.integers(0, 2**32), st.integers(0, 255)),
)


def damaged(data, damage):
    kind, place, value = damage
    at = place % len(data)
    flipped = data[:at] + bytes([data[at] ^ value]) + data[at + 1 :]
    cut, longer = data[:at], data[:at] + bytes([value]) + data[at:]
    return {"cut": cut, "flip": flipped, "head": flipped, "insert": longer}[kind]


def one_sentence(error):
    text = str(error.value)
    return "\n" not in text and len(text) < 400


@pytest.fixture(scope="module")
def saved(name, tmp_path_factory):
    folder = tmp_path_factory.mktemp(name)
    model = fit(name, checkpoint=folder / "run")
    return model, model.save(folder / "model"), (folder / "run").read_bytes()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(damage=damages)
def test_a_damaged_checkpoint_is_refused_in_one_sentence(saved, damage):
    _, folder, data = saved
    path = folder.parent / "run"
    path.write_bytes(damaged(data, damage))
    with pytest.raises(ValueError, match="is not a whole checkpoint") as error:
        training.read_checkpoint(path)
    assert one_sentence(error)


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    table = pd.DataFrame({"x": np.arange(60.0) % 7, "y": list("abc") * 20})
    model = contracts.fit("tabar", table)
    next(model.net_.parameters()).data.fill_(float("nan"))
    with pytest.raises(ValueError, match="weights must be numbers, those of weights.* are not"):
        generators.load(model.save(tmp_path))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(damage=damages, card=st.booleans())
def test_a_damaged_model_is_refused_in_one_sentence(saved, damage, card):
    model, folder, _ = saved
    (weights,) = folder.glob("*.safetensors")
    path = folder / base.CARD if card else weights
    data = path.read_bytes()
    try:
        path.write_bytes(damaged(data, damage))
        if card and same_card(path, data):  # a blank for a blank says the same
            return
        with pytest.raises(ValueError, match="holds no whole saved generator") as error:
            generators.load(folder)
        assert one_sentence(error)
    finally:
        path.write_bytes(data)


def same_card(path, data):
    try:
        return json.loads(path.read_text()) == json.loads(data)
    except ValueError:
        return False


@settings(max_examples=40, deadline=None, derandomize=True)
@given(data=st.binary(max_size=300))
def test_a_foreign_file_is_refused_in_one_sentence(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("foreign") / base.CARD
    path.write_bytes(data)
    with pytest.raises(ValueError, match="is not a whole checkpoint") as error:
        training.read_checkpoint(path)
    assert one_sentence(error)
    with pytest.raises(ValueError, match="holds no whole saved generator") as error:
        generators.load(path.parent)
    assert one_sentence(error)


def test_a_card_that_lacks_an_entry_is_refused(saved):
    _, folder, _ = saved
    text = (folder / base.CARD).read_text()
    for key in base.KEYS:
        card = {k: v for k, v in json.loads(text).items() if k != key}
        (folder / base.CARD).write_text(json.dumps(base.sealed(card)))
        with pytest.raises(ValueError, match=f"holds no whole saved generator: .* lacks '{key}'"):
            generators.load(folder)
    (folder / base.CARD).write_text(text)


FORBIDDEN = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
CALLS = {"torch.load", "torch.save", "pd.read_pickle", "np.load", "eval", "exec"}


def spelled(node):
    return ast.unparse(node) if isinstance(node, (ast.Name, ast.Attribute)) else ""


@pytest.mark.parametrize("package", ["pandaenv", "generators", "metrics", "benchmarks"])
def test_nothing_is_pickled(package):
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert not {a.name.split(".")[0] for a in node.names} & FORBIDDEN, path
            elif isinstance(node, ast.ImportFrom):
                assert (node.module or "").split(".")[0] not in FORBIDDEN, path
            elif isinstance(node, ast.Call):
                assert spelled(node.func) not in CALLS, f"{path}:{node.lineno}"
                assert not any(k.arg == "allow_pickle" for k in node.keywords), path
                assert not spelled(node.func).endswith("to_pickle"), path
