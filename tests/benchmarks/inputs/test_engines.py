"""benchmarks.inputs.engines: all do the same work, and a killed worker costs its piece alone."""

from functools import partial

import pytest

from benchmarks import memorisation
from benchmarks.inputs.engines import Engine
from benchmarks.play.cells import play_cells
from pandaenv.env.config import TaskConfig
from tests.benchmarks.inputs.pieces import always_killed, first_wrong, killed_once, square, wrong


def left_in(folder):
    return {p.name: p.read_text() for p in sorted(folder.glob("*.txt"))}


SQUARES = {f"{n}.txt": str(n * n) for n in range(5)}


@pytest.mark.parametrize("name", ["serial", "processes"])
def test_every_piece_is_done(name, tmp_path):
    Engine(name, workers=2).run(partial(square, tmp_path), range(5), quiet=True)
    assert left_in(tmp_path) == SQUARES


def test_a_killed_worker_costs_its_piece_alone(tmp_path):
    Engine("processes", workers=2).run(partial(killed_once, tmp_path), range(5), quiet=True)
    assert left_in(tmp_path) == SQUARES and (tmp_path / "killed").exists()


def test_a_piece_that_kills_every_worker_ends_the_run():
    with pytest.raises(ValueError, match="workers were killed 3 times"):
        Engine("processes", workers=1).run(always_killed, [1], quiet=True)


@pytest.mark.parametrize("name", ["serial", "processes"])
def test_the_error_of_a_piece_is_its_own(name):
    with pytest.raises(ValueError, match="the second piece is wrong"):
        Engine(name, workers=2).run(wrong, range(4), quiet=True)


def test_an_error_ends_the_run_before_the_pieces_that_wait(tmp_path):
    with pytest.raises(ValueError, match="piece 0 is wrong"):
        Engine("processes", workers=1).run(partial(first_wrong, tmp_path), range(40), quiet=True)
    assert len(left_in(tmp_path)) < 10


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.0.0.1:none"])
def test_an_address_that_does_not_answer_is_said_at_once(address):
    pytest.importorskip("ray")
    with pytest.raises(ValueError, match=f"no Ray cluster answers at '{address}'"):
        Engine("ray", address=address).run(wrong, [0], quiet=True)


def played(folder, engine):
    task = TaskConfig(workload="reference", sites="tier1", rate=800, episode_jobs=40)
    names = ["random", "least_loaded"]
    play_cells(task, [0.5, 0.7], ["normal"], names, [0, 1], folder, False, engine)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def scored(folder, *words):
    words = ["--seeds", "4", "--rows", "600", "--days", "3", "--holdout", "300", *words]
    words += ["--variants", "TabAR, width 64", "SMOTE, 5 neighbours", "--steps", "5"]
    words += ["--mlef", "200", "--kept", str(folder / "kept"), "--out", str(folder)]
    assert memorisation.main([*words, "--threads", "1"]) == 0
    return {path.name: path.read_bytes() for path in (folder / "kept").iterdir()}


@pytest.mark.slow
def test_processes_leave_the_bytes_of_one(tmp_path):
    here, there = (
        played(tmp_path / name, Engine(name, workers=2)) for name in ("serial", "processes")
    )
    assert here == there and len(here) == 4


@pytest.mark.slow
def test_two_nodes_of_ray_leave_the_bytes_of_one_process_though_a_worker_is_killed(tmp_path):
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1)
    try:
        address = cluster.address
        engine = Engine("ray", address=address)
        (tmp_path / "squares").mkdir()
        engine.run(partial(killed_once, tmp_path / "squares"), range(5), quiet=True)
        assert left_in(tmp_path / "squares") == SQUARES
        assert played(tmp_path / "ray", engine) == played(tmp_path / "here", Engine())
        words = ["--engine", "ray", "--address", address]
        assert scored(tmp_path / "a", *words) == scored(tmp_path / "b", "--engine", "processes")
        with pytest.raises(ValueError, match="the second piece is wrong"):
            engine.run(wrong, range(4), quiet=True)
    finally:
        ray.shutdown()
        cluster.shutdown()
