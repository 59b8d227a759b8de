"""What this project set itself to reach, against what `benchmarks.speed` measured.

In: results/speed-*.json. Out: a table, one line a target, whether met or not. Targets come from
measurements of peers made before the work began; they are kept where they are missed.
"""

import json
from dataclasses import dataclass
from functools import reduce

from benchmarks.inputs.places import RESULTS
from foundations.pages import markdown


@dataclass(frozen=True)
class Target:
    """A number at `path` of an area's results that must be at most, or at least, `bound`."""

    words: str
    path: tuple
    most: float | None = None
    least: float | None = None

    @property
    def bound(self) -> str:
        return f"≤ {_shown(self.most)}" if self.most is not None else f"≥ {_shown(self.least)}"

    def found(self, measured: dict) -> float | None:
        """The number; None where the file is older than the target."""
        try:
            return reduce(lambda part, key: part[key], self.path, measured)
        except (KeyError, IndexError):
            return None

    def met(self, value: float) -> bool:
        return value <= self.most if self.most is not None else value >= self.least


def _tabddpm(shape: str) -> tuple[Target, ...]:
    at = ("tabddpm", shape)
    return (
        Target(
            f"TabDDPM, step, parts of a plain restatement's, {shape}",
            (*at, "training", "ratio"),
            most=1 / 3,
        ),
        Target(
            f"TabDDPM, rows/s sampled, the paper's net, times the plain, {shape}",
            (*at, "sampling", "ratio", "paper net, jumps"),
            least=80,
        ),
        Target(
            f"TabDDPM, rows/s sampled, the uniform process, times the plain, {shape}",
            (*at, "sampling", "ratio", "default"),
            least=80,
        ),
        Target(
            f"TabDDPM, masked step, parts of the uniform process's, {shape}",
            (*at, "masked", "ratio"),
            most=1 / 2,
        ),
        Target(
            f"TabDDPM, rows/s sampled, the masked process, {shape}",
            (*at, "masked", "rows_per_s"),
            least=50_000,
        ),
    )


STEPS = ("env", "steps")
NULL_RATE = 860_000
"""Steps per CPU-second of the environment that does nothing, where the rates of "env" were set: a
rate over this can be asked of any machine."""
LARGE = ("metrics", "rows", "1048576")
WHOLE = ("metrics", "paper size, as many synthetic")
TARGETS: dict[str, tuple[Target, ...]] = {
    "generators": (
        *_tabddpm("records"),
        *_tabddpm("flights"),
        Target(
            "CTABGAN+, iterations, times a plain restatement's",
            ("gan", "ctabganplus", "ratio"),
            least=10,
        ),
        Target(
            "TVAE, rows encoded, times a plain restatement's",
            ("gan", "modes", "transform", "ratio"),
            least=20,
        ),
        Target("SMOTE, 160,000 rows from 160,000, s", ("smote", "n_to_n", -1, "seconds"), most=20),
        Target("TabAR, rows/s sampled", ("tabar", "sampling", -1, "rows_per_s"), least=100_000),
    ),
    "metrics": (
        Target(
            "DCR and NNDR, 1.05 M rows against 1.05 M, real halves, s",
            ("neighbours", "halves", -1, "seconds"),
            most=10,
        ),
        Target(
            "the same, independent columns, s", ("neighbours", "shuffled", -1, "seconds"), most=20
        ),
        Target("WD, 1.05 M rows, s", (*LARGE, "WD", "seconds"), most=1),
        Target("JSD, 1.05 M rows, s", (*LARGE, "JSD", "seconds"), most=1),
        Target("association, 1.05 M rows, s", (*LARGE, "association", "seconds"), most=0.5),
        Target(
            "everything but diff-MLEF with its floor, 1.32 M against 1.32 M rows, s",
            (*WHOLE, "total_seconds"),
            most=60,
        ),
        Target("peak memory of that, GB", (*WHOLE, "peak_gb"), most=4),
    ),
    "env": (
        *(
            Target(
                f"one environment, {rule}, steps, parts of one that does nothing",
                (*STEPS, f"single, gym.make, flow_time, {rule}", "ratio_to_null"),
                least=1 / 7,
            )
            for rule in ("random", "panda_analysis")
        ),
        *(
            Target(
                f"256 in a batch, {reward}, {rule}, placements per CPU-second",
                (*STEPS, f"vector(256), {reward}, {rule}", "per_cpu_second"),
                least=least,
            )
            for reward, least in (("accrued", 600_000), ("flow_time", 250_000))
            for rule in ("random", "panda_analysis")
        ),
        Target(
            "native VecEnv of Stable-Baselines3, placements per CPU-second",
            (*STEPS, "native VecEnv(64), flow_time, random", "per_cpu_second"),
            least=200_000,
        ),
        *(
            Target(
                f"256 in a batch, {reward}, {rule}, parts of one that does nothing",
                (*STEPS, f"vector(256), {reward}, {rule}", "ratio_to_null"),
                least=round(rate / NULL_RATE, 2),
            )
            for reward, rate in (("accrued", 600_000), ("flow_time", 250_000))
            for rule in ("random", "panda_analysis")
        ),
        Target(
            "native VecEnv of Stable-Baselines3, parts of one that does nothing",
            (*STEPS, "native VecEnv(64), flow_time, random", "ratio_to_null"),
            least=round(200_000 / NULL_RATE, 2),
        ),
        Target("replay of 150 days, s", ("replay", "replay", -1, "seconds"), most=30),
        Target("reset from a kept snapshot, s", ("env", "reset", "seconds"), most=0.005),
        Target(
            "gym.make and reset where nothing is compiled yet, s",
            ("env", "make_and_reset", "first_process_seconds"),
            most=45,
        ),
        Target(
            "gym.make and reset in a new process, s",
            ("env", "make_and_reset", "new_process_seconds"),
            most=3,
        ),
        Target(
            "the same once more, s", ("env", "make_and_reset", "same_process_seconds"), most=0.05
        ),
        Target("bytes an environment beside what is shared", ("env", "bytes_an_env"), most=2e6),
    ),
    "agents": tuple(
        Target(
            f"{name} end to end on the native VecEnv, placements a second",
            ("ppo", "end_to_end", f"{key}, native VecEnv(64)", "per_second"),
            least=8_000,
        )
        for name, key in (("PPO", "ppo"), ("MaskablePPO", "maskable"), ("site scorer", "scoring"))
    ),
}


def table() -> str:
    """Every target whose area was measured, as Markdown."""
    lines = []
    for area, targets in TARGETS.items():
        path = RESULTS / f"speed-{area}.json"
        if not path.is_file():
            continue
        result = json.loads(path.read_text(encoding="utf-8"))
        for target in targets:
            value = target.found(result["measured"])
            met = "–" if value is None else "yes" if target.met(value) else "**no**"
            lines.append([target.words, target.bound, _shown(value), met, f"`{path.name}`"])
    return markdown(["what", "target", "measured", "met", "file"], lines)


def _shown(value: float | None) -> str:
    if value is None:
        return "not measured"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
