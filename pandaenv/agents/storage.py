"""Agents on disk: weights as safetensors beside a JSON card that describes them.

In: an `Agent` and a folder. Out: two files, from which `load` makes the same agent. They contain no
code, and loading executes none.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as tensors_to_bytes

from foundations import checks, files

from .agent import Agent
from .networks import KINDS

FORMAT = "pandaenv-agent/1"
CARD, WEIGHTS = "card.json", "weights.safetensors"
MOST_SITES = 100_000


def save(agent: Agent, folder: str | os.PathLike, card: dict[str, Any] | None = None) -> Path:
    """Write an agent as weights and card; returns the folder.

    The card names the hash of the weights and is replaced last: after a kill the folder holds an
    agent that loads, or one that `load` refuses as damaged.

    Args:
        card: further entries of the card.
    """
    folder = Path(folder)
    weights = tensors_to_bytes({k: v.clone() for k, v in agent.network.state_dict().items()})
    own = {
        "format": FORMAT,
        "kind": agent.kind,
        "n_sites": agent.n_sites,
        "options": agent.options,
        "draws": agent.draws,
        "sha256": hashlib.sha256(weights).hexdigest(),
    }
    files.write(folder / WEIGHTS, weights)
    files.write(folder / CARD, json.dumps((card or {}) | own, indent=1) + "\n")
    return folder


def load(folder: str | os.PathLike) -> Agent:
    """Read an agent that `save` wrote.

    Raises:
        ValueError: the folder holds no agent, or one that is damaged or of another version.
    """
    folder = Path(folder)
    card, weights = _read(folder)
    if not isinstance(card, dict) or card.get("format") != FORMAT or card.get("kind") not in KINDS:
        raise ValueError(f"{folder / CARD} must be the card of a {FORMAT}")
    if hashlib.sha256(weights).hexdigest() != card.get("sha256"):
        raise ValueError(f"{folder / WEIGHTS} is damaged: its hash is not the one in the card")
    try:
        tensors = tensors_from_bytes(weights)
        _check_tensors(card, tensors, folder)
        network = KINDS[card["kind"]](card["n_sites"], **card["options"])
        network.load_state_dict(tensors)
        return Agent(network, card["kind"], card["n_sites"], card["options"], card["draws"])
    except (KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise ValueError(f"{folder} does not fit an agent of this version: {error}") from error


def _check_tensors(card: dict[str, Any], tensors: dict[str, Any], folder: Path) -> None:
    """Refuse weights that are not finite, and a card whose network is larger than its weights."""
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise ValueError(f"{folder / WEIGHTS}: weights must be finite, those of {name} are not")
    checks.whole("n_sites", card["n_sites"], least=1, most=MOST_SITES)
    for name, value in card["options"].items():
        checks.whole(name, value, least=1, most=sum(t.numel() for t in tensors.values()))


def _read(folder: Path) -> tuple[Any, bytes]:
    try:
        return json.loads((folder / CARD).read_text()), files.read_regular(folder / WEIGHTS)
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder} must hold {CARD} and {WEIGHTS} of an agent: {error}") from error
