"""Tensors that are computed once from what never changes, and kept in ponder's home."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from safetensors.torch import load_file, save_file

from ponder.home import home

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


def cached(key: dict[str, Any], make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return what `make` made before for the same key, else make it now.

    Args:
        key: all that the tensors depend on, as JSON can hold it.
        make: computes them.
    """
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    path = home() / "frozen" / f"{digest}.safetensors"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        save_file({name: value.contiguous() for name, value in make().items()}, part)
        part.replace(path)
    return load_file(path)
