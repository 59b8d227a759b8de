"""Independent pieces of work: one after the other, in processes of this machine, or on Ray.

In: a function of a module and the argument of each piece. A piece leaves its result in a folder,
whole or not at all, and does nothing where it is there already. So a command gives its pieces to an
engine and then goes through its work as ever, finding all of it done: the results are the same
bytes from every engine, a killed run goes on, and a killed worker costs its piece alone (among
`processes` also those that ran beside it, which begin anew).

On several machines the folder must be one that all of them see, and this package be installed on
each. Learned weights depend on the number of threads: compare engines at the same `--threads`.
"""

import argparse
import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

from tqdm import tqdm

from .arguments import whole

ENGINES = ("serial", "processes", "ray")
TRIES = 3  # of a piece whose worker was killed
PATIENCE_S = 10.0  # for an address to answer


@dataclass(frozen=True)
class Engine:
    """Where pieces run.

    Args:
        name: of `ENGINES`.
        workers: processes at once; None: as many as there are cores. Ray decides by its own cores.
        threads: of each piece; None: of serial work as many as the process has, else one.
        address: of a running Ray cluster, "auto" for that of this machine; None: one is started.
    """

    name: str = "serial"
    workers: int | None = None
    threads: int | None = None
    address: str | None = None

    def run(self, piece: Callable[[Any], None], items: Sequence[Any], quiet: bool = False) -> None:
        """Do all pieces; the first error of one ends the run, those before it are done.

        Raises: ValueError for an address that does not answer, ImportError without ray.
        """
        ways = {"serial": self._one_by_one, "processes": self._in_processes, "ray": self._on_ray}
        done = ways[self.name](piece, list(items))
        for _ in tqdm(done, total=len(items), unit="piece", disable=quiet, desc=self.name):
            pass

    def _one_by_one(self, piece: Callable, items: list) -> Iterator[None]:
        for item in items:
            _work(piece, item, self.threads)
            yield

    def _in_processes(self, piece: Callable, items: list) -> Iterator[None]:
        """Spawned, for threads and forks do not go together; a broken pool is made anew."""
        left, tries = dict(enumerate(items)), 0
        while left:
            workers = min(self.workers or cores(), len(left))
            threads = self.threads or 1
            with ProcessPoolExecutor(
                workers,
                get_context("spawn"),
                _limit_threads,
                (threads,),
            ) as pool:
                sent = {
                    pool.submit(_work, piece, item, threads): number
                    for number, item in left.items()
                }
                try:
                    for future in as_completed(sent):
                        future.result()
                        del left[sent[future]]
                        yield
                except BaseException as error:
                    pool.shutdown(cancel_futures=True)
                    if not isinstance(error, BrokenProcessPool):
                        raise
                    tries += 1
                    if tries == TRIES:
                        raise ValueError(f"workers were killed {TRIES} times") from None

    def _on_ray(self, piece: Callable, items: list) -> Iterator[None]:
        ray = _connected(self.address)
        threads = self.threads or 1
        work = ray.remote(num_cpus=threads, max_retries=TRIES)(_work)
        waiting = [work.remote(piece, item, threads) for item in items]
        while waiting:
            done, waiting = ray.wait(waiting)
            try:
                ray.get(done)
            except ray.exceptions.RayTaskError as error:
                raise error.cause or error from None
            except ray.exceptions.WorkerCrashedError:
                raise ValueError(f"workers were killed {TRIES + 1} times") from None
            yield


SERIAL = Engine()


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _work(piece: Callable[[Any], None], item: Any, threads: int | None) -> None:
    """A piece, with its number of threads; torch, which is slow to import, may not be needed."""
    if threads is not None:
        _limit_threads(threads)
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(threads)
    piece(item)


def _limit_threads(threads: int) -> None:
    """Of the libraries that are still to be loaded."""
    os.environ["OMP_NUM_THREADS"] = str(threads)


def _connected(address: str | None) -> Any:
    """Ray, in contact with a cluster."""
    try:
        import ray
    except ImportError:
        raise ImportError("the engine ray needs: pip install 'pandaenv[distributed]'") from None
    if ray.is_initialized():
        return ray
    _check_answers(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level="error")
    except ConnectionError as error:
        raise ValueError(f"no Ray cluster at {address!r}: {str(error).splitlines()[0]}") from None
    return ray


def _check_answers(address: str | None) -> None:
    """Refuse HOST:PORT that nobody listens at within seconds; Ray itself would wait for minutes."""
    host, _, port = (address or "").rpartition(":")
    if not host or "/" in host:
        return
    try:
        socket.create_connection((host, int(port)), timeout=PATIENCE_S).close()
    except (OSError, ValueError) as error:
        raise ValueError(f"no Ray cluster answers at {address!r}: {error}") from None


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Add --engine, --workers, --threads and --address."""
    add = parser.add_argument
    add("--engine", choices=ENGINES, default="serial", help="where independent pieces run")
    add("--workers", type=whole(1), help="of --engine processes (default: one for each core)")
    add("--threads", type=whole(1), help="of each piece (default: of serial work all, else 1)")
    add("--address", help="of a Ray cluster, HOST:PORT or auto (default: one is started here)")


def engine(options: argparse.Namespace) -> Engine:
    """The engine of a command line."""
    return Engine(options.engine, options.workers, options.threads, options.address)
