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

from foundations import files

from .agent import Agent
from .networks import KINDS

FORMAT = "pandaenv-agent/1"
CARD, WEIGHTS = "card.json", "weights.safetensors"


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
        network = KINDS[card["kind"]](card["n_sites"], **card["options"])
        network.load_state_dict(tensors_from_bytes(weights))
        return Agent(network, card["kind"], card["n_sites"], card["options"], card["draws"])
    except (KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise ValueError(f"{folder} does not fit an agent of this version: {error}") from error


def _read(folder: Path) -> tuple[Any, bytes]:
    try:
        return json.loads((folder / CARD).read_text()), (folder / WEIGHTS).read_bytes()
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder} must hold {CARD} and {WEIGHTS} of an agent: {error}") from error
