"""What every generator promises: fit a mixed table, sample rows like it, save and load.

In: a `pandas.DataFrame` whose dtypes say what is numerical and what categorical. Out: a frame of
the same columns, order and dtypes; integers stay integers, categories are seen ones, numbers lie
inside the seen range. The manners are scikit-learn's: the constructor stores, `fit` learns names
ending in `_`.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pandas as pd
from safetensors import SafetensorError
from safetensors.numpy import load as tensors_from_bytes
from safetensors.numpy import save as tensors_to_bytes

from foundations import checks, files, pages
from foundations.parquet import Dataset, as_dataset, is_path
from foundations.plain import PlainView
from foundations.seals import is_sealed, sealed

from . import cards, conditions, distributed
from .conditions import Given, Rows
from .layout import Layout, as_tuples, check, check_frame
from .plan import Callback, Plan
from .sources import InMemory, Source, opened

if TYPE_CHECKING:
    from .training import Learner, Pace

FORMAT = "generators/1"
CARD = "generator.json"
KEYS = ("generator", "config", "columns", "n_steps", "seconds", "losses", "sha256")  # of a card
CELL_BYTES = 24  # of memory for one value on its way: as an array, rounded, and in the frame


class Generator(ABC):
    """A model of a table.

    Subclasses give `name`, `Config` (a frozen dataclass) and four methods over arrays: `_fit`,
    `_sample`, `_to_arrays`, `_from_arrays`. This class owns the frame around them.

    Args:
        config: a `Config`; the default one if None.
        options: fields of `Config` to change.
    """

    name: ClassVar[str]
    Config: ClassVar[type[Any]]
    has_network: ClassVar[bool] = True  # which can lie on an accelerator
    learns_files: ClassVar[bool] = False  # larger than memory
    view_: PlainView = PlainView()  # that of a plain table, until another is fitted
    rows_: int | None = None  # learned from, and the seed; None: saved by an earlier version
    seed_: int | None = None
    _device: Any = "cpu"

    def __init__(self, config: Any = None, **options: Any):
        self.config = _configure(self, config, options)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """All options by name, as scikit-learn asks for them; `deep` changes nothing."""
        return {f.name: getattr(self.config, f.name) for f in fields(self.config)}

    def set_params(self, **options: Any) -> Self:
        """Change options and return itself; if any does change, what was fitted is forgotten.

        Raises: ValueError for an unknown option, or one that breaks its rule; nothing is changed.
        """
        config = type(self)(self.config, **options).config
        if config != self.config:
            self._forget()
            self.config = config
        return self

    def fit(
        self,
        table: pd.DataFrame | str | os.PathLike | Dataset,
        *,
        seed: int = 0,
        budget: float | None = None,
        steps: int | None = None,
        progress: bool = True,
        checkpoint: str | os.PathLike | None = None,
        every: float = 30.0,
        device: str = "auto",
        callback: Callback | None = None,
    ) -> Self:
        """Learn the table, and return itself; whatever was fitted before is forgotten.

        Args:
            table: rows to learn from; not changed. Numbers, dates, spans of time, categories and
                truths of any dtype, missing values among them. Or where Parquet files lie, see
                `sources`: a file, a folder or a pattern.
            seed: same seed, steps, versions, threads and kind of device: same model, bit for bit.
            budget: wall-clock seconds; a short timed probe turns them into `n_steps_`.
            steps: optimizer steps, instead of a budget. Without either the configuration's number.
            progress: show a bar with loss and time left.
            checkpoint: file to write while training, and to resume from if it is there.
            every: seconds between checkpoints.
            device: "cpu", "cuda" or "cuda:N", where the model stays until `to`; "auto" is an
                accelerator where there is one. What is saved has no device.
            callback: called about 500 times a run as callback(step, losses); true stops it there.
                See `stopping`.

        Raises:
            TypeError: the table is neither a DataFrame nor a path.
            FileNotFoundError: there are no Parquet files.
            ValueError: a table that cannot be learned, files that disagree, a wrong argument, a
                device that this machine lacks, or a damaged or foreign checkpoint.
            OSError: the checkpoint cannot be read or written.
            MemoryError: the device has too little memory.
        """
        chosen = self._resolved(device)
        plan = Plan.of(seed, budget, steps, progress, checkpoint, every, callback)
        with opened(self._readable(table)) as source:
            self._device = chosen
            self._fit_from_scratch(source, plan)
        return self

    def _readable(self, table: Any) -> Any:
        """The table as this model learns it: read from its files unless it learns from these.

        Raises: ValueError where there is no room for it.
        """
        if self.learns_files or not is_path(table):
            return table
        dataset = as_dataset(table)
        need = len(dataset) * len(dataset.columns) * CELL_BYTES
        if need > memory():
            raise ValueError(
                f"{self.name} learns a table in memory, and {len(dataset):,} rows of "
                f"{len(dataset.columns)} columns need about {need / 2**30:,.0f} GiB; "
                "tabar and tabddpm learn from files"
            )
        return dataset.frame()

    def _fit_from_scratch(self, source: Source, plan: Plan) -> None:
        self._forget()
        self.losses_, self.n_steps_, self.seconds_ = pd.DataFrame(), 0, 0.0
        if plan.checkpoint is not None:
            plan = replace(plan, key=self._run_key(source))
        with self.here():
            self._fit_source(source, plan)
        self.view_, self.layout_ = source.view, source.layout
        self.rows_, self.seed_ = source.n, plan.seed

    def _forget(self) -> None:
        for name in [name for name in vars(self) if name.endswith("_")]:
            delattr(self, name)

    def _fit_source(self, source: Source, plan: Plan) -> None:
        """Learn a source; models that `learns_files` get one that may lie in files."""
        assert isinstance(source, InMemory)
        self._fit(source.layout, source.numbers, source.codes, plan)

    def _run_key(self, source: Source) -> dict[str, Any]:
        """What tells the checkpoint of this run from another's."""
        elsewhere = {"device": self.device} if self.device != "cpu" else {}
        return {
            "generator": self.name,
            "config": asdict(self.config),
            "columns": source.layout.to_json(),
            "data": source.fingerprint(),
        } | elsewhere

    def _train(self, learner: Learner, plan: Plan, pace: Pace) -> None:
        """Train in the loop all learned generators share, and keep the history of the run."""
        from .training import run  # torch takes a second to import, and not all need it

        history = run(learner, plan, pace, label=self.name)
        self.n_steps_, self.losses_ = history.n_steps, history.losses
        self.seconds_ = history.seconds

    @property
    def device(self) -> str:
        """Where the model lies: "cpu" or an accelerator such as "cuda:0"."""
        return str(self._device)

    def to(self, device: str) -> Self:
        """Move the fitted model to a device, as named in `fit`; returns itself.

        Raises: NotFittedError before `fit`, ValueError for a device that this machine lacks.
        """
        self._check_fitted()
        chosen = self._resolved(device)
        if str(chosen) != self.device:
            arrays, self._device = self._to_arrays(), chosen
            with self.here():
                self._from_arrays(self.layout_, arrays)
        return self

    def halve(self) -> Self:
        """Round the fitted weights to half precision, so that saved ones take half the room.

        Returns the model itself, which then draws what the loaded one draws.

        Raises: NotFittedError before `fit`, ValueError for a weight that half precision lacks.
        """
        self._check_fitted()
        arrays = self._to_arrays()
        rounded = {k: _halved(v).astype(v.dtype) for k, v in arrays.items()}
        if broken := [k for k, v in rounded.items() if v.dtype == np.float32 and not _finite(v)]:
            raise ValueError(f"{self.name} has weights beyond half precision, in {broken[0]}")
        with self.here():
            self._from_arrays(self.layout_, rounded)
        return self

    def _resolved(self, device: str) -> Any:
        """The device of a name; a model without a network stays on the processor."""
        if not self.has_network and device in ("auto", "cpu"):
            return "cpu"
        from .devices import resolve  # torch takes a second to import, and not all need it

        found = resolve(device)
        return found if self.has_network else "cpu"

    def here(self) -> AbstractContextManager:
        """The context in which new tensors lie where the model does."""
        if not self.has_network:
            return nullcontext()
        from .devices import on, resolve

        return on(resolve(self._device))

    def sample(
        self,
        n: int,
        *,
        seed: int = 0,
        where: dict[str, Any] | None = None,
        device: str | None = None,
        **options: Any,
    ) -> pd.DataFrame:
        """Draw n rows; same seed and kind of device, same bytes.

        Args:
            n: number of rows, 0 allowed.
            seed: of this draw.
            where: column -> what its rows must hold: a category, a list of categories, a number
                or date, or a range (low, high) of these with both ends allowed and None for an
                open one; None by itself for a missing value. The rest is drawn given that.
            device: where to draw, as in `fit`; the model moves there. None: where it is.
            options: of the model's own sampling, e.g. `steps` of TabDDPM.

        Returns:
            n rows with the columns, order and dtypes of the fitted table.

        Raises:
            NotFittedError: `fit` was not called.
            ValueError: a wrong argument, a category not seen in training, or a condition that
                hardly any row holds.
        """
        self._check_fitted()
        n, seed = int(checks.whole("n", n)), int(checks.seed(seed))
        if not isinstance(where, Mapping | None):
            raise ValueError(f"where must be a dict from columns to values, got {where!r}")
        given = conditions.parse(self.layout_, self.view_.plain_where(where or {}))
        self._check_room(n)
        if device is not None:
            self.to(device)
        with self.here():
            numbers, codes = self._sample_given(n, seed, given, **options) if n else self._no_rows()
        return self.view_.restore(self.layout_.join(numbers, codes))

    def save(self, folder: str | os.PathLike) -> Path:
        """Write the fitted model as weights, a JSON card and a README.md to be read.

        A process killed meanwhile leaves the old model or the new one: the card names the weights
        by their hash and is replaced last, in one move. Of several processes that trained together
        only the leader (rank 0) writes.

        Raises:
            OSError: the folder cannot be made or written.
        """
        self._check_fitted()
        folder = Path(folder)
        if distributed.from_environment().is_leader:
            check_target(folder)
            try:
                self._write(folder)
            except OSError as error:
                raise OSError(f"cannot save {self.name} in {folder}: {error.strerror}") from error
        return folder

    def _write(self, folder: Path) -> None:
        arrays = {**self._to_arrays(), "losses": self.losses_.to_numpy(np.float64)}
        # safetensors would write a view's memory as it lies
        data = tensors_to_bytes({k: np.ascontiguousarray(_narrow(v)) for k, v in arrays.items()})
        digest = _sha256(data)
        pages.write_card(folder / cards.FILE, cards.model_card(self, digest))
        card = {
            "format": FORMAT,
            "generator": self.name,
            "config": asdict(self.config),
            "columns": self.layout_.to_json(),
            "view": self.view_.to_json(),
            "rows": self.rows_,
            "seed": self.seed_,
            "n_steps": self.n_steps_,
            "seconds": self.seconds_,
            "losses": list(self.losses_.columns),
            "sha256": digest,
        }
        for name in (CARD, cards.FILE, _weights_name("*")):
            files.remove_drafts(folder, name)
        files.write(folder / _weights_name(digest), data, parents=False)
        files.write(folder / CARD, json.dumps(sealed(card), indent=1), parents=False)
        for old in folder.glob(_weights_name("*")):
            if old.name != _weights_name(digest):
                old.unlink()

    @classmethod
    def load(cls, folder: str | os.PathLike) -> Self:
        """Inverse of `save`; runs no code from the files.

        Raises:
            FileNotFoundError: there is no saved generator.
            ValueError: it is damaged, or another generator's.
        """
        card, arrays = read_saved(folder)
        if card["generator"] != cls.name:
            raise ValueError(f"{folder} holds a {card['generator']!r}, not a {cls.name!r}")
        try:
            return cls._revive(card, arrays)
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, IndexError) as error:
            raise ValueError(f"{folder} does not fit this {cls.name}: {error}") from error

    @classmethod
    def _revive(cls, card: dict, arrays: dict[str, np.ndarray]) -> Self:
        self = cls(cls.Config(**as_tuples(card["config"])))
        self.layout_ = Layout.from_json(card["columns"])
        self.view_ = PlainView.from_json(card.get("view", ()))
        self.n_steps_, self.seconds_ = int(card["n_steps"]), float(card["seconds"])
        self.rows_, self.seed_ = card.get("rows"), card.get("seed")
        losses = pd.DataFrame(arrays["losses"], columns=card["losses"])
        self.losses_ = losses.astype({"step": int} if "step" in losses else {})
        with self.here():
            self._from_arrays(self.layout_, arrays)
        return self

    def more_columns(self) -> dict[str, str]:
        """Columns of the samples that no part of the layout holds, and what they are."""
        return {}

    @abstractmethod
    def _fit(self, layout: Layout, numbers: np.ndarray, codes: np.ndarray, plan: Plan) -> None:
        """Learn from numbers (n, d) and codes (n, c) of the layout's columns."""

    @abstractmethod
    def _sample(self, n: int, seed: int, given: dict[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Draw numbers (n, d) and codes (n, c), with codes[:, j] = k for each j: k of `given`."""

    def _sample_given(self, n: int, seed: int, given: Given, **options: Any) -> Rows:
        """Rows that hold what is given: one category a column the model's way, else rejection."""
        if given.is_fixed:
            return self._sample(n, seed, given.fixed, **options)

        def draw(m: int, s: int) -> Rows:
            numbers, codes = self._sample(m, s, given.fixed, **options)
            return self.settle(numbers, codes), codes

        return conditions.reject(draw, n, seed, given)

    @abstractmethod
    def _to_arrays(self) -> dict[str, np.ndarray]:
        """What `_fit` learned, as plain arrays."""

    @abstractmethod
    def _from_arrays(self, layout: Layout, arrays: dict[str, np.ndarray]) -> None:
        """Inverse of `_to_arrays`."""

    def settle(self, numbers: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Numbers (n, d) as they are once a table holds them: in the seen range, on the grid."""
        if not self.view_.specials:
            return self.layout_.settle(numbers)
        rows = self.view_.restore(self.layout_.join(numbers, codes))
        return self.layout_.split(self.view_.to_plain(rows))[0]

    def split(self, table: pd.DataFrame) -> Rows:
        """Numbers (n, d) and codes (n, c) of a table with the fitted columns, nothing missing.

        Raises: ValueError for other columns, or for values missing where none were in training.
        """
        self._check_fitted()
        check_frame(table)
        plain = self.view_.to_plain(table)
        check(plain)
        return self.layout_.split(plain)

    def _no_rows(self) -> tuple[np.ndarray, np.ndarray]:
        return (
            np.empty((0, len(self.layout_.numericals))),
            np.empty((0, len(self.layout_.categoricals)), np.int64),
        )

    def _check_room(self, n: int) -> None:
        need = n * len(self.layout_.columns) * CELL_BYTES
        if need > memory():
            raise ValueError(
                f"n={n} rows of {len(self.layout_.columns)} columns need about {need / 2**30:,.0f} "
                f"GiB, more than the {memory() / 2**30:,.0f} GiB of this machine; "
                "draw parts, each with a seed of its own"
            )

    def _check_fitted(self) -> None:
        if not hasattr(self, "layout_"):
            from sklearn.exceptions import NotFittedError  # its import takes a second

            raise NotFittedError(f"{self.name} is not fitted, call fit first")

    def __repr__(self) -> str:
        default = self.Config()
        changed = [
            f"{f.name}={getattr(self.config, f.name)!r}"
            for f in fields(self.config)
            if getattr(self.config, f.name) != getattr(default, f.name)
        ]
        return f"{type(self).__name__}({', '.join(changed)})"


def memory() -> int:
    """Bytes of main memory of this machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _halved(array: np.ndarray) -> np.ndarray:
    """Weights, which are float32, in half precision; other arrays as they are."""
    with np.errstate(over="ignore"):
        return array.astype(np.float16) if array.dtype == np.float32 else array


def _narrow(array: np.ndarray) -> np.ndarray:
    """The array in half precision where that loses nothing."""
    half = _halved(array)
    return half if np.array_equal(half, array) else array


def _finite(array: np.ndarray) -> bool:
    return bool(np.isfinite(array).all())


def read_saved(folder: str | os.PathLike) -> tuple[dict, dict[str, np.ndarray]]:
    """Card and arrays of a saved generator, checked by format and hash.

    Raises `FileNotFoundError` when there is no card, `ValueError` when card or weights are damaged.
    """
    folder = Path(folder)
    if not (folder / CARD).is_file():
        raise FileNotFoundError(f"no saved generator in {folder}: {CARD} is missing")
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        if not isinstance(card, dict) or card.get("format") != FORMAT:
            raise ValueError(f"{CARD} is not of the format {FORMAT!r}")
        if not is_sealed(card):
            raise ValueError(f"{CARD} was changed after it was written")
        if missing := [key for key in KEYS if key not in card]:
            raise ValueError(f"{CARD} lacks {missing[0]!r}")
        data = files.read_regular(folder / _weights_name(str(card["sha256"])))
        if _sha256(data) != card["sha256"]:
            raise ValueError("the weights do not have the hash of the card")
        return card, _without_nan(tensors_from_bytes(data))
    except (ValueError, OSError, RecursionError, SafetensorError) as error:
        raise ValueError(f"{folder} holds no whole saved generator: {error}") from error


def _without_nan(tensors: dict[str, Any]) -> dict[str, Any]:
    """The weights as they are; a ValueError where some are no numbers."""
    for name, values in tensors.items():
        values = np.asarray(values)  # those of networks are float32; others may lack a value
        if values.dtype.itemsize < 8 and values.dtype.kind == "f" and np.isnan(values).any():
            raise ValueError(f"the weights must be numbers, those of {name} are not")
    return tensors


def check_target(folder: str | os.PathLike) -> Path:
    """Make the folder a model is to be saved in; call it before hours of training, not after.

    Raises `OSError` in one sentence when it is a file, or cannot be made or written in.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except FileExistsError as error:
        raise OSError(f"a model is saved in a folder, but {folder} is a file") from error
    except OSError as error:
        raise OSError(f"cannot write a model in {folder}: {error.strerror}") from error
    return folder


def _weights_name(digest: str) -> str:
    """File name of the weights with a hash; `*` stands for any."""
    return f"weights-{''.join(c for c in digest if c.isalnum() or c == '*')[:12]}.safetensors"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _configure(generator: Generator, config: Any, options: dict[str, Any]) -> Any:
    known = [f.name for f in fields(generator.Config)]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(
            f"unknown option {unknown[0]!r} of {generator.name}; known: {', '.join(known)}"
        )
    if config is None:
        return generator.Config(**options)
    if not isinstance(config, generator.Config):
        wanted = generator.Config.__name__
        raise TypeError(f"config must be a {wanted}, got {type(config).__name__}")
    return type(config)(**{**asdict(config), **options})
