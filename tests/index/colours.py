"""A small real encoder: colour histograms of pictures and hashed words of texts in one space."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from ponder.engine.trace import Trace
from ponder.items import Item, parse
from ponder.media import DEFAULT_LIMITS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

COLOURS = {
    "red": (255, 0, 0),
    "green": (0, 128, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "purple": (128, 0, 128),
    "white": (255, 255, 255),
    "black": (0, 0, 0),
}


class Colours:
    """Pictures by 4 x 4 x 4 colour bins, words by hashes; a colour's name falls in its own bin."""

    def __init__(self, name: str = "colours", dim: int = 128) -> None:
        self.name = name
        self.dim = dim
        self.fingerprint = f"{zlib.crc32(f'{name} {dim}'.encode()):08x}" * 8
        self.limits = DEFAULT_LIMITS
        self.embedded = 0

    def stream(
        self, items: Iterable[tuple[Any, Item]], *, kind: str = "document", think: str = "never"
    ) -> Iterator[tuple[Any, np.ndarray, Trace]]:
        """Embed; whatever is thought about is thought to be its own length."""
        for key, item in items:
            self.embedded += 1
            thought = f"<think>{len(item.parts)}</think>" if think == "always" else None
            trace = Trace("always", thought=thought, thought_ids=(1, 2, 3))
            yield key, self.vector(item), trace if thought else Trace("never")

    def vector(self, value: Any) -> np.ndarray:
        """Return the vector of anything that can be parsed."""
        return self._embed(parse(value, "item"))

    def _embed(self, item: Item) -> np.ndarray:
        vector = np.full(self.dim, 1e-3, dtype=np.float64)
        for picture in item.pictures:
            pixels = np.asarray(picture.resize((32, 32))).reshape(-1, 3).astype(int) // 64
            np.add.at(vector, pixels @ [16, 4, 1], 1 / len(pixels))
        for text in item.texts:
            for word in text.lower().split():
                if word in COLOURS:
                    vector[np.array(COLOURS[word]) // 64 @ [16, 4, 1]] += 1
                else:
                    vector[64 + zlib.crc32(word.encode()) % (self.dim - 64)] += 0.3
        return (vector / np.linalg.norm(vector)).astype(np.float32)
