"""What the index needs of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from ponder.items import Item

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

    def stream(
        self, items: Iterable[tuple[K, Item]], *, kind: Literal["query", "document"] = "document"
    ) -> Iterator[tuple[K, NDArray[np.float32]]]:
        """Embed lazily, yielding unit vectors (dim,) in the order of the items."""

    def encode_query(self, items: Sequence[Any], /) -> NDArray[Any]:
        """Embed queries; (n, dim)."""
