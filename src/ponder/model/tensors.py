"""Reading tensors from files that may be damaged, meant for something else, or made to do harm.

A file's header says the shapes of its tensors. They are compared with the shapes that a record asks
for before memory is taken for either.
"""

from __future__ import annotations

import reprlib
import zipfile
from typing import TYPE_CHECKING, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from ponder.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    Shapes = Mapping[str, tuple[int, ...]]

M = TypeVar("M", bound=nn.Module)

FLOATS = frozenset(["F16", "BF16", "F32", "F64"])


def read_shapes(path: Path) -> Shapes:
    """Read the shapes of a safetensors file's tensors from its header, and no tensor.

    Raises:
        WeightsError: it is missing or damaged, or a tensor is not of floating-point numbers.
    """
    if not path.is_file():
        raise WeightsError(f"{path} is missing")
    shapes = {}
    try:
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118 (the file is no mapping)
                part = file.get_slice(name)
                if (kind := part.get_dtype()) not in FLOATS:
                    raise WeightsError(
                        f"{path}: {short(name)}: expected floating-point numbers, got {kind}"
                    )
                shapes[name] = tuple(part.get_shape())
    except (SafetensorError, OSError, RuntimeError) as error:
        raise WeightsError(f"{path} is damaged: {short(str(error))}") from error
    return shapes


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        WeightsError: as `read_shapes`, or a value is infinite or not a number.
    """
    read_shapes(path)
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError, RuntimeError) as error:
        raise WeightsError(f"{path} is damaged: {short(str(error))}") from error
    return _finite(path, tensors)


def read_pickled(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a `.pt` file, which may hold one tensor or a dict of them; no code runs.

    Raises:
        WeightsError: it is missing or damaged, holds anything but tensors of floating-point
            numbers, or a value is infinite or not a number.
    """
    if not path.is_file():
        raise WeightsError(f"{path} is missing")
    try:
        with zipfile.ZipFile(path) as archive:  # as torch writes since 1.6, without compression
            if any(part.compress_type != zipfile.ZIP_STORED for part in archive.infolist()):
                raise WeightsError(f"{path} is compressed, which torch.save never does")
        held = torch.load(path, map_location="cpu", weights_only=True)
    except WeightsError:
        raise
    except Exception as error:  # unpicklers raise anything at all on hostile input
        raise WeightsError(f"{path} does not load as tensors alone: {short(str(error))}") from error
    tensors = {"": held} if isinstance(held, Tensor) else held
    if not isinstance(tensors, dict) or not all(isinstance(t, Tensor) for t in tensors.values()):
        raise WeightsError(f"{path}: expected a tensor or a dict of tensors")
    for name, tensor in tensors.items():
        if not isinstance(name, str) or not _is_plain(tensor):
            raise WeightsError(f"{path}: {short(str(name))}: expected plain floating-point numbers")
    return _finite(path, dict(tensors))


def check_shapes(path: Path, wanted: Shapes, given: Shapes) -> None:
    """Compare names and shapes.

    Raises:
        WeightsError: a tensor is missing, unknown or of another shape; the message names it.
    """
    for name in sorted(wanted.keys() | given.keys()):
        expected, got = wanted.get(name, "no such tensor"), given.get(name, "no such tensor")
        if expected != got:
            raise WeightsError(f"{path}: {short(name)}: expected {expected}, got {got}")


def fitting(path: Path, make: Callable[[], M]) -> M:
    """Make a module that a safetensors file has the weights of, without memory for them (meta).

    Args:
        path: the file.
        make: makes the module, fresh, of the sizes that a record asks for.

    Raises:
        WeightsError: as `read_shapes` and `check_shapes`.
    """
    with torch.device("meta"):
        module = make()
    check_shapes(path, shapes_of(module.state_dict()), read_shapes(path))
    return module


def load_weights(module: nn.Module, path: Path) -> None:
    """Load a safetensors file into a module; errors as `read_tensors` and `check_shapes`."""
    given = read_tensors(path)
    check_shapes(path, shapes_of(module.state_dict()), shapes_of(given))
    module.load_state_dict(given)


def load_module(path: Path, make: Callable[[], M]) -> M:
    """Make a module with the weights of a safetensors file; arguments and errors as `fitting`."""
    module = fitting(path, make).to_empty(device="cpu")
    load_weights(module, path)
    return module


def shapes_of(tensors: Mapping[str, Tensor]) -> Shapes:
    """Return the tensors' shapes by name."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def _finite(path: Path, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise WeightsError(
                f"{path}: {short(name) or 'the tensor'}: holds values that are not finite"
            )
    return tensors


def _is_plain(tensor: Tensor) -> bool:
    """Tell whether a tensor has a number in memory for each of its own.

    A pickle may hold one without memory, or one number repeated to any size.
    """
    return (
        tensor.layout == torch.strided
        and tensor.device.type == "cpu"
        and tensor.is_floating_point()
        and tensor.nbytes <= tensor.untyped_storage().nbytes()
    )


def short(text: str) -> str:
    """Return a text that may be of any length and hold anything, in one line of an error."""
    return text if len(text) <= 200 and text.isprintable() else reprlib.repr(text)
