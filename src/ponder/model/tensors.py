"""Reading tensors from files that may be damaged or meant for something else."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ponder.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import nn


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        WeightsError: it is missing or damaged.
    """
    if not path.exists():
        raise WeightsError(f"{path} is missing")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise WeightsError(f"{path} is damaged: {error}") from error


def read_pickled(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a `.pt` file, which may hold one tensor or a dict of them; no code runs.

    Raises:
        WeightsError: it is missing or damaged, or holds anything but tensors.
    """
    if not path.exists():
        raise WeightsError(f"{path} is missing")
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError) as error:
        raise WeightsError(f"{path} does not load as tensors alone: {error}") from error
    tensors = {"": held} if isinstance(held, Tensor) else held
    if not isinstance(tensors, dict) or not all(isinstance(t, Tensor) for t in tensors.values()):
        raise WeightsError(f"{path}: expected a tensor or a dict of tensors")
    return dict(tensors)


def check_tensors(path: Path, wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    """Compare names and shapes.

    Raises:
        WeightsError: a tensor is missing, unknown or of another shape; the message names it.
    """
    for name in sorted(wanted.keys() | given.keys()):
        expected = tuple(wanted[name].shape) if name in wanted else "no such tensor"
        got = tuple(given[name].shape) if name in given else "no such tensor"
        if expected != got:
            raise WeightsError(f"{path}: {name}: expected {expected}, got {got}")


def load_weights(module: nn.Module, path: Path) -> None:
    """Load a safetensors file into a module; errors as `read_tensors` and `check_tensors`."""
    given = read_tensors(path)
    check_tensors(path, module.state_dict(), given)
    module.load_state_dict(given)
