"""What the index needs of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from ponder.engine.trace import ThinkMode, Trace
    from ponder.items import Item
    from ponder.media import Limits

K = TypeVar("K")


class Encoder(Protocol):
    """What the index needs of a model; `ponder.Model` is one."""

    @property
    def name(self) -> str:
        """What loads it again."""

    @property
    def fingerprint(self) -> str:
        """Hex digest that changes whenever its vectors would."""

    @property
    def dim(self) -> int:
        """Dimensions of its vectors."""

    @property
    def limits(self) -> Limits:
        """Bounds on the media it reads; `max_side` is as large as it looks at pictures."""

    def stream(
        self,
        items: Iterable[tuple[K, Item]],
        *,
        kind: Literal["query", "document"] = "document",
        think: ThinkMode = "never",
    ) -> Iterator[tuple[K, NDArray[np.float32], Trace]]:
        """Embed lazily, yielding keys, unit vectors (dim,) and traces in the order of the items."""
