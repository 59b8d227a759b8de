"""The card of an offline data set: what is in it, how it was made, where its episodes lie.

In: a file of `pandaenv.offline.dsrl`. Out: NAME.json, NAME.md and NAME.png beside it; the picture
shows the return and the cost of every episode, by the policy that played it.
"""

from pathlib import Path

import numpy as np

from foundations.files import digest, whole
from foundations.pages import write_card
from pandaenv import offline
from pandaenv.offline.cards import beside, with_front
from pandaenv.offline.dsrl import import_h5py, metadata, read

from .provenance import write_json


def write(path: Path, provenance: dict) -> list[Path]:
    """Write the card in its three forms; the JSON last, so that it stands for all."""
    found = card(path)
    _draw(found, path.with_suffix(".png"))
    write_card(beside(path), with_front(found["name"], to_markdown(found)))
    write_json(path.with_suffix(".json"), found | {"provenance": provenance})
    return [path.with_suffix(suffix) for suffix in (".png", ".md", ".json")]


def card(path: Path) -> dict:
    """What is in a data set, in numbers: steps, episodes, and how return and cost spread."""
    made = metadata(path)
    data = summed(path, made)
    parts = ("rewards", "costs", *sorted(k for k in data if k.startswith("cost_")))
    sums = {key: data.returns(key) for key in parts}
    return {
        **made,
        "n_steps": len(data["rewards"]),
        "sha256": digest(path),
        "per_episode": {key: _spread(values) for key, values in sums.items()},
        "by_policy": _by_policy(data, sums),
        "episodes": {
            "policy": data.behaviours(),
            "return": sums["rewards"].tolist(),
            "cost": sums["costs"].tolist(),
        },
    }


def summed(path: Path, made: dict) -> offline.Dataset:
    """The columns of a data set that have one number a step: memory stays small."""
    h5py = import_h5py()
    with h5py.File(path) as file:
        columns = [k for k, v in file.items() if v.ndim == 1]
    return offline.Dataset(read(path, columns), made)


def _spread(values: np.ndarray) -> dict[str, float]:
    low, median, high = np.percentile(values, [0, 50, 100]).tolist()
    return {"mean": float(values.mean()), "min": low, "median": median, "max": high}


def _by_policy(data: offline.Dataset, sums: dict) -> list[dict]:
    players = np.array(data.behaviours())
    return [
        {
            "policy": name,
            "episodes": int((players == name).sum()),
            "return": float(sums["rewards"][players == name].mean()),
            "cost": float(sums["costs"][players == name].mean()),
        }
        for name in dict.fromkeys(players.tolist())
    ]


def to_markdown(found: dict) -> str:
    """The card as a page."""
    lines = [
        f"# {found['name']}",
        "",
        f"{found['n_episodes']:,} episodes, {found['n_steps']:,} placements of jobs in "
        f"`{found['env_id']}` with `{found['env_arguments']}`; seeds from {found['seed']}.",
        "",
        "| played by | episodes | mean return | mean cost |",
        "|---|--:|--:|--:|",
    ]
    for row in found["by_policy"]:
        numbers = f"{row['episodes']} | {row['return']:.1f} | {row['cost']:.2f}"
        lines.append(f"| {row['policy']} | {numbers} |")
    lines += ["", "Each played in worlds of its own: these means are no ranking."]
    lines += ["", "| an episode | mean | least | median | largest |", "|---|--:|--:|--:|--:|"]
    for key, spread in found["per_episode"].items():
        numbers = " | ".join(f"{spread[k]:.2f}" for k in ("mean", "min", "median", "max"))
        lines.append(f"| {key} | {numbers} |")
    lines += ["", _reference_line(found), "", f"![return and cost]({found['name']}.png)", ""]
    lines += [f"- {name}: `{found[name]}`" for name in ("env_stream_sha256", "sha256", "versions")]
    return "\n".join(lines) + "\n"


def _reference_line(found: dict) -> str:
    if "reference" not in found:
        return "No reference scores."
    roles = [
        f"{role} ({score['policy']}) {score['return']:.1f}, cost {score['cost']:.2f}"
        for role, score in found["reference"].items()
        if isinstance(score, dict)
    ]
    return (
        "Scores are measured by mean returns on the test windows, random 0 and expert 100: "
        + "; ".join(roles)
        + "."
    )


def sentence(path: Path) -> str:
    """What was written, in one line."""
    made = metadata(path)
    data = summed(path, made)
    returns, costs = data.returns(), data.returns("costs")
    return (
        f"{path}: {len(returns):,} episodes, {len(data['rewards']):,} steps, mean return "
        f"{returns.mean():.1f}, mean cost {costs.mean():.1f}"
    )


def _draw(found: dict, path: Path) -> None:
    """Scatter of return against cost, one mark an episode."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    players = np.array(found["episodes"]["policy"])
    for name in dict.fromkeys(players.tolist()):
        rows = players == name
        xy = [np.array(found["episodes"][key])[rows] for key in ("cost", "return")]
        axes.scatter(*xy, s=14, alpha=0.7, label=name)
    axes.set(xlabel="cost of the episode", ylabel="return of the episode", title=found["name"])
    axes.legend(fontsize=7)
    with whole(path) as draft:
        figure.savefig(draft, format="png", dpi=110, metadata={"Software": None})
