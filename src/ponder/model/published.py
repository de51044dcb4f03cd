"""The layout in which the authors of Think When Needed publish their models.

Two PEFT folders, `reasoning/` and `embedding/`, beside `queries.pt` and `gate_mlp.pt`. What the
tensors are called and how many queries there are is not documented, so their shapes decide.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch

from ponder.errors import WeightsError
from ponder.model.adapters import ADAPTERS, CONFIG, WEIGHTS
from ponder.model.gate import Gate
from ponder.model.queries import Queries
from ponder.model.record import NAME, RANK, check, read_json
from ponder.model.tensors import read_pickled
from ponder.model.thinker import ThinkerConfig
from ponder.packages import sha256

if TYPE_CHECKING:
    from pathlib import Path

QUERIES, GATE = "queries.pt", "gate_mlp.pt"


def is_published(folder: Path) -> bool:
    """Tell whether a folder has the published layout."""
    return (folder / QUERIES).exists()


def published_record(folder: Path) -> dict[str, Any]:
    """Return what `ponder.json` would say of a folder.

    Raises:
        WeightsError: an adapter's configuration is missing or damaged.
    """
    configs = {}
    for name in ADAPTERS:
        configs[name] = read_json(path := folder / name / CONFIG)
        check(path, "", configs[name], {"r": RANK, "base_model_name_or_path": NAME})
    config = ThinkerConfig({name: configs[name]["r"] for name in ADAPTERS})
    files = [QUERIES, GATE, *(f"{name}/{WEIGHTS}" for name in ADAPTERS)]
    return {
        "backbone": {"name": configs["embedding"]["base_model_name_or_path"]},
        "thinker": asdict(config),
        "weights": {name: sha256(folder / name) for name in files if (folder / name).exists()},
    }


def published_queries(folder: Path, hidden_size: int) -> Queries:
    """Return the queries of a folder.

    Raises:
        WeightsError: the file does not hold one tensor (N, H).
    """
    path = folder / QUERIES
    tensors = read_pickled(path)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if len(tensors) != 1:
        raise WeightsError(f"{path}: expected one tensor, got {shapes}")
    [(name, vectors)] = tensors.items()
    if vectors.dim() == 3 and len(vectors) == 1:
        vectors = vectors[0]
    if vectors.dim() != 2 or vectors.shape[1] != hidden_size or not len(vectors):
        raise WeightsError(
            f"{path}: {name or 'the tensor'}: expected (N, {hidden_size}), got {shapes[name]}"
        )
    queries = Queries(len(vectors), hidden_size)
    with torch.no_grad():
        queries.vectors.copy_(vectors)
    return queries


def published_gate(folder: Path, hidden_size: int) -> Gate:
    """Return the gate of a folder; errors as `Gate.of`."""
    path = folder / GATE
    return Gate.of(read_pickled(path), hidden_size, str(path))
