"""ponder: multimodal embeddings that think first only when thinking helps."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ponder.engine.model import Model as Model
    from ponder.engine.model import load as load
    from ponder.errors import ItemError as ItemError
    from ponder.errors import PonderError as PonderError
    from ponder.index.index import Index as Index
    from ponder.items import Item as Item

__version__ = "0.1.0"

# Names load on first use, so that `import ponder` costs no torch.
_HOMES = {
    "Index": "ponder.index.index",
    "Item": "ponder.items",
    "ItemError": "ponder.errors",
    "Model": "ponder.engine.model",
    "PonderError": "ponder.errors",
    "load": "ponder.engine.model",
}
__all__ = ["Index", "Item", "ItemError", "Model", "PonderError", "load"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'ponder' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
