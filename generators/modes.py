"""Mode-specific normalisation: a number as a mode of its column and a place inside the mode.

In: numbers (n, d) and codes (n, c) of a `Layout`. Out: `alpha` (n, D) in [-1, 1], a place
for each numerical that is not constant, and `x` (n, C) indices, the mode of each numerical that has
several and the category of each categorical that varies. `Encoding.decode` goes back.

Source: Xu et al. (2019), "Modeling Tabular Data using Conditional GAN", arXiv 1907.00503, section
4.2; the mixed-type, long-tail and general encodings are those of Zhao et al. (2022), "CTAB-GAN+",
arXiv 2204.00401. All are one form: values that hold much of the mass are categories of their own
(atoms), the others lie in the modes of a Gaussian mixture, and min-max scaling is a single mode
four standard deviations from either end of the range.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from .arrays import pack_columns, unpack_columns
from .layout import Layout

CHUNK = 16_384  # rows whose densities are held at once
REACH = 4.0  # standard deviations from the middle of a mode to alpha = 1
LINEAR = 0.9  # beyond this alpha the way to the end of the seen range is squeezed
LEAST = 1e-290  # smallest unit of a column: below it float64 has no digits to scale
NARROWEST = 1e-12  # smallest deviation of a mode in z: a single value that no step parts has none
GAIN = 0.02  # nats a row by which a mixture must beat one Gaussian for the column to be multi-modal
SKEW = 3.0  # of a column that is said to have a long tail


@dataclass(frozen=True)
class ModeOptions:
    """How columns are encoded; the defaults are those of Xu et al. (2019)."""

    n_modes: int = 10  # of the mixture at most
    least_weight: float = 0.005  # of a mode that is kept
    n_points: int = 2_000  # the mixture is fitted to so many quantiles
    iterations: int = 100  # of the mixture's fit at most
    atom_share: float = 1.0  # a value with this share of rows is a category of its own
    max_atoms: int = 10
    long_tails: bool = False  # logarithms where the tail is long
    general: bool = False  # min-max scaling where the mixture is hardly better than one Gaussian


@dataclass(frozen=True)
class Modes:
    """One numerical column: its atoms, then its modes on the scale z = (y - centre) / unit.

    Shapes: atoms (a,) ascending; mean, std, weight (k,) in units of z; low, high are the seen range
    in z; y = x, or log(x - offset) where offset is a number.
    """

    atoms: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    weight: np.ndarray
    centre: float
    unit: float
    offset: float
    low: float
    high: float

    @property
    def n_codes(self) -> int:
        """Atoms first, then modes."""
        return len(self.atoms) + len(self.mean)

    @property
    def ends(self) -> np.ndarray:
        """alpha at the ends of the seen range, (n_codes, 2); 0 for atoms."""
        down, up = (np.minimum(t, _bent(t)) for t in self._reaches())
        return np.concatenate([np.zeros((len(self.atoms), 2)), np.column_stack([-down, up])])

    def encode(self, x: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Code (n,) and alpha (n,), 0 on an atom; u (n,) in [0, 1) draws among likely modes."""
        code, alpha = np.zeros(len(x), np.int64), np.zeros(len(x))
        for at in range(0, len(x), CHUNK):
            part = slice(at, at + CHUNK)
            code[part], alpha[part] = self._encode(x[part], u[part])
        return code, alpha

    def _encode(self, x: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        a = len(self.atoms)
        at = np.minimum(np.searchsorted(self.atoms, x), max(a - 1, 0))
        if not len(self.mean):
            return at, np.zeros(len(x))
        z = np.clip(self._scaled(x), self.low, self.high)
        mode = self._draw_mode(z, u)
        alpha = self._alpha(z, mode)
        if not a:
            return mode, alpha
        on_atom = self.atoms[at] == x
        return np.where(on_atom, at, a + mode), np.where(on_atom, 0.0, alpha)

    def decode(self, code: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        """Values (n,) of codes and places; inverse of `encode`, never outside the seen range."""
        a = len(self.atoms)
        if not len(self.mean):
            return self.atoms[code]
        mode = np.maximum(code - a, 0)
        down, up = self._reaches()
        reach, b = np.where(alpha > 0, up[mode], down[mode]), np.abs(alpha)
        far = REACH * LINEAR + (b - LINEAR) / (1 - LINEAR) * (reach - REACH * LINEAR)
        t = np.where((b <= LINEAR) | (reach <= REACH * LINEAR), REACH * b, far)
        z = np.clip(self.mean[mode] + np.sign(alpha) * t * self.std[mode], self.low, self.high)
        x = self._unscaled(z)
        return np.where(code < a, self.atoms[np.minimum(code, a - 1)], x) if a else x

    def _draw_mode(self, z: np.ndarray, u: np.ndarray) -> np.ndarray:
        """A mode (n,) for each z, by its share of the density there."""
        t = (z[:, None] - self.mean) / self.std
        log_p = np.log(self.weight) - np.log(self.std) - 0.5 * t * t
        upto = np.cumsum(np.exp(log_p - log_p.max(1, keepdims=True)), axis=1)
        return (upto < (u * upto[:, -1])[:, None]).sum(1)

    def _alpha(self, z: np.ndarray, mode: np.ndarray) -> np.ndarray:
        # DIFF: paper clips (z - mean) / 4 std to .99; we squeeze what lies beyond .9 so that the
        # end of the range comes at 1, because clipped values all come back as one.
        t = (z - self.mean[mode]) / self.std[mode]
        down, up = self._reaches()
        reach, b = np.where(t > 0, up[mode], down[mode]), np.abs(t)
        far = (b - REACH * LINEAR) / np.maximum(reach - REACH * LINEAR, 1e-300)
        b = np.where(b <= REACH * LINEAR, b / REACH, LINEAR + (1 - LINEAR) * far)
        return np.sign(t) * np.minimum(b, 1.0)

    def _reaches(self) -> tuple[np.ndarray, np.ndarray]:
        """Standard deviations from each mean down to the low end and up to the high end, (k,)."""
        down, up = (self.mean - self.low) / self.std, (self.high - self.mean) / self.std
        return np.maximum(down, 0.0), np.maximum(up, 0.0)

    def _scaled(self, x: np.ndarray) -> np.ndarray:
        y = x if np.isnan(self.offset) else np.log(np.maximum(x - self.offset, 1e-300))
        return (0.5 * y - 0.5 * self.centre) / (0.5 * self.unit)  # halves: no overflow at 1e308

    def _unscaled(self, z: np.ndarray) -> np.ndarray:
        y = z * self.unit + self.centre
        return y if np.isnan(self.offset) else np.exp(y) + self.offset


def _bent(t: np.ndarray) -> np.ndarray:
    return np.where(t <= REACH * LINEAR, t / REACH, 1.0)


def fit_modes(
    x: np.ndarray, options: ModeOptions, rng: np.random.Generator, step: float = 0.0
) -> Modes:
    """Learn the modes of a column (n,), whose values are multiples of `step` if that is not 0."""
    atoms = _atoms(x, options)
    rest = x[~np.isin(x, atoms)] if len(atoms) else x
    if not len(rest):
        none = np.empty(0)
        return Modes(atoms, none, none, none, 0.0, 1.0, np.nan, 0.0, 0.0)
    sample = _points(rest, options.n_points)
    # a value stands for all that is rounded to it, also at the ends of the range
    low, high = rest.min() - step / 2, rest.max() + step / 2
    offset = _offset(sample, low, step) if options.long_tails else np.nan
    centre, unit = _centre_and_unit(sample if np.isnan(offset) else np.log(sample - offset))
    bare = Modes(atoms, *[np.empty(0)] * 3, centre, unit, offset, 0.0, 0.0)
    low, high = bare._scaled(np.array([low, high]))
    mixture = fit_mixture(bare._scaled(sample), options, rng, low, high)
    return Modes(atoms, *mixture, centre, unit, offset, float(low), float(high))


def _atoms(x: np.ndarray, options: ModeOptions) -> np.ndarray:
    value, count = np.unique(x, return_counts=True)
    if len(value) == 1:
        return value
    often = np.argsort(-count, kind="stable")[: options.max_atoms]
    share = options.atom_share
    return np.sort(value[often[(count[often] >= max(2, share * len(x))) & (share < 1)]])


def _points(x: np.ndarray, n_points: int) -> np.ndarray:
    """The column itself, or the middles of n_points equal shares of it: both ascending."""
    x = np.sort(x)
    if len(x) <= n_points:
        return x
    return x[((np.arange(n_points) + 0.5) / n_points * len(x)).astype(np.int64)]


def _offset(x: np.ndarray, low: float, step: float) -> float:
    """What to subtract before the logarithm; NaN where the tail is not long."""
    positive = low > 0
    above = x - low
    least = float(above[above > 0].min(initial=np.inf))
    offset = 0.0 if positive else low - max(step, least)
    if not np.isfinite(least) or not np.isfinite(offset) or skewness(x) < SKEW:
        return np.nan
    return offset if abs(skewness(np.log(x - offset))) < skewness(x) else np.nan


def skewness(x: np.ndarray) -> float:
    """Third standardised moment of a column (n,); 0 of a constant."""
    centre, unit = _centre_and_unit(x)
    return float(np.mean(((0.5 * x - 0.5 * centre) / (0.5 * unit)) ** 3))


def _centre_and_unit(x: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation, of numbers whose squares may be infinite."""
    peak = np.abs(x).max()
    small = x / peak if peak > 0 else x
    return float(small.mean() * peak), float(max(small.std() * peak, LEAST))


def fit_mixture(
    z: np.ndarray, options: ModeOptions, rng: np.random.Generator, low: float, high: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, std and weight (k,) of the modes of z (n,); low and high are the seen range in z."""
    from sklearn.exceptions import ConvergenceWarning  # its import takes a second
    from sklearn.mixture import BayesianGaussianMixture

    k = min(options.n_modes, len(np.unique(z)))
    seed = int(rng.integers(2**31))
    # DIFF: authors fit all rows, starting from k-means; we fit evenly spaced quantiles and start
    # as k-means++ does, because in one dimension they say as much as the rows and k-means' threads
    # do not add up in a fixed order.
    mixture = BayesianGaussianMixture(
        n_components=k,
        covariance_type="diag",
        max_iter=options.iterations,
        reg_covar=1e-10,
        weight_concentration_prior_type="dirichlet_process",
        weight_concentration_prior=0.001,
        init_params="k-means++",
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the best so far will do
        mixture.fit(z[:, None] if len(z) > 1 else np.repeat(z, 2)[:, None])
    mean, std = mixture.means_[:, 0], np.sqrt(mixture.covariances_[:, 0])
    weight = mixture.weights_
    if options.general and _gain(z, mean, std, weight) < GAIN:
        std = max((high - low) / (2 * REACH), NARROWEST)
        return np.array([(low + high) / 2]), np.array([std]), np.ones(1)
    kept = weight > min(options.least_weight, weight.max() / 2)
    return mean[kept], std[kept], weight[kept] / weight[kept].sum()


def _gain(z: np.ndarray, mean: np.ndarray, std: np.ndarray, weight: np.ndarray) -> float:
    """Nats a row by which the mixture describes z better than one Gaussian does."""
    t = (z[:, None] - mean) / std
    log_p = np.log(np.maximum(weight, 1e-300)) - np.log(std) - 0.5 * t * t
    mixture = np.logaddexp.reduce(log_p, axis=1).mean()
    return float(mixture + np.log(max(z.std(), 1e-300)) + 0.5)


@dataclass(frozen=True)
class Encoding:
    """All columns of a table: which of them varies, and as what it is encoded."""

    modes: tuple[Modes, ...]  # of every numerical
    sizes: tuple[int, ...]  # categories of every categorical

    @classmethod
    def fit(
        cls, layout: Layout, numbers: np.ndarray, options: ModeOptions, rng: np.random.Generator
    ) -> Encoding:
        """Learn from numbers (n, d) of a layout."""
        steps = [0.0 if c.decimals is None else 10.0**-c.decimals for c in layout.numericals]
        modes = [fit_modes(x, options, rng, s) for x, s in zip(numbers.T, steps, strict=True)]
        return cls(tuple(modes), tuple(len(c.categories) for c in layout.categoricals))

    @property
    def smooth(self) -> list[int]:
        """Numericals that have a place alpha."""
        return [j for j, m in enumerate(self.modes) if len(m.mean)]

    @property
    def coded(self) -> list[int]:
        """Numericals that have several atoms or modes."""
        return [j for j, m in enumerate(self.modes) if m.n_codes > 1]

    @property
    def cats(self) -> list[int]:
        """Categoricals that have several categories."""
        return [j for j, size in enumerate(self.sizes) if size > 1]

    @property
    def Ks(self) -> list[int]:
        """Sizes of the columns of x: coded numericals, then categoricals."""
        return [self.modes[j].n_codes for j in self.coded] + [self.sizes[j] for j in self.cats]

    @property
    def width(self) -> int:
        """Length of an encoded row: places and one-hots; 0 when every column is constant."""
        return len(self.smooth) + sum(self.Ks)

    def encode(
        self, numbers: np.ndarray, codes: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """alpha (n, D) float64 and x (n, C) int64."""
        alpha = np.zeros((len(numbers), len(self.modes)))
        mode = np.zeros((len(numbers), len(self.modes)), np.int64)
        for j, m in enumerate(self.modes):
            mode[:, j], alpha[:, j] = m.encode(numbers[:, j], rng.random(len(numbers)))
        return alpha[:, self.smooth], np.concatenate([mode[:, self.coded], codes[:, self.cats]], 1)

    def decode(self, alpha: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Numbers (n, numericals) and codes (n, categoricals)."""
        n, numbers = len(alpha), np.empty((len(alpha), len(self.modes)))
        codes = np.zeros((n, len(self.sizes)), np.int64)
        codes[:, self.cats] = x[:, len(self.coded) :]
        places = {j: alpha[:, i] for i, j in enumerate(self.smooth)}
        drawn = {j: x[:, i] for i, j in enumerate(self.coded)}
        for j, m in enumerate(self.modes):
            still = np.zeros(n)
            numbers[:, j] = m.decode(drawn.get(j, still.astype(int)), places.get(j, still))
        return numbers, codes

    def ends(self, x: np.ndarray) -> np.ndarray:
        """alpha at the ends of the seen range (n, D, 2), given the modes in x (n, C)."""
        drawn = {j: x[:, i] for i, j in enumerate(self.coded)}
        still = np.zeros(len(x), np.int64)
        ends = [self.modes[j].ends[drawn.get(j, still)] for j in self.smooth]
        return np.stack(ends, 1) if ends else np.empty((len(x), 0, 2))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Arrays under names of their own, for `save`."""
        return pack_columns("modes", self.modes)

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], layout: Layout) -> Encoding:
        """Inverse of `to_arrays`."""
        modes = unpack_columns(Modes, "modes", arrays, len(layout.numericals))
        return cls(modes, tuple(len(c.categories) for c in layout.categoricals))
