"""Which pictures show one thing, and which split each thing belongs to.

A concept must lie in one split with everything that names it the same or looks the same. Emoji are
joined among themselves first, so the part `demo` and the part `full` split them alike; the other
pictures then join them, and the few that would tie emoji of two splits together are left out.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ponder.gallery.entry import named

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

Split = Literal["train", "dev", "test"]
SPLITS: tuple[Split, ...] = ("train", "dev", "test")

MAX_HASH_DISTANCE = 4
"""Bits of 64 in which the perceptual hashes of near-duplicates may differ."""

MAX_COLOUR_DISTANCE = 6.0
"""Mean difference of near-duplicates' thumbnails, of 255. The hash alone takes all flags of three
stripes, or all round yellow faces, for one picture."""


@dataclass(frozen=True)
class Shown:
    """What decides a picture's concept.

    Attributes:
        concept: what its source takes it to show; emoji begin with "emoji/".
        caption: its English name.
    """

    concept: str
    caption: str

    @property
    def is_emoji(self) -> bool:
        """Whether its concept is an emoji family."""
        return self.concept.startswith("emoji/")


def assign(
    shown: Sequence[Shown], looks: NDArray[np.float32], thumbs: NDArray[np.float32]
) -> list[str | None]:
    """Return each picture's concept: the name of all it is joined with, directly or through others.

    None for a picture that joins emoji of two splits and so can be in neither.

    Args:
        shown: one for each picture.
        looks: (N, 64) perceptual hashes as signs.
        thumbs: (N, D) thumbnails.
    """
    pairs = list(near_duplicates(looks, thumbs))
    emoji = _Joined()
    for row in shown:
        if row.is_emoji:
            emoji.join(row.concept, named(row.caption))
    for a, b in pairs:
        if shown[a].is_emoji and shown[b].is_emoji:
            emoji.join(shown[a].concept, shown[b].concept)
    anchors = [emoji.first(row.concept) if row.is_emoji else None for row in shown]

    joined = _Joined()
    for row, anchor in zip(shown, anchors, strict=True):
        joined.join(anchor or row.concept, named(row.caption))
    for a, b in pairs:
        joined.join(anchors[a] or shown[a].concept, anchors[b] or shown[b].concept)
    splits: dict[str, set[Split]] = defaultdict(set)
    for anchor in dict.fromkeys(anchors):
        if anchor:
            splits[joined.first(anchor)].add(split(anchor))
    found: list[str | None] = []
    for row, anchor in zip(shown, anchors, strict=True):
        first = joined.first(row.concept)
        found.append(anchor or (first if len(splits[first]) <= 1 else None))
    return found


def split(concept: str) -> Split:
    """Return the split a concept belongs to, by a hash of its name: the same on every machine."""
    place = int.from_bytes(hashlib.sha256(concept.encode()).digest()[:8]) / 2**64
    return "train" if place < 0.70 else "dev" if place < 0.81 else "test"


def near_duplicates(
    looks: NDArray[np.float32], thumbs: NDArray[np.float32]
) -> Iterator[tuple[int, int]]:
    """Yield the pairs (i, j), i < j, of pictures that look the same in shape and in colour."""
    for start in range(0, len(looks), 1024):
        block = looks[start : start + 1024]
        # The product of two rows of signs is 64 less twice the bits they differ in.
        close = block @ looks.T >= 64 - 2 * MAX_HASH_DISTANCE
        for i, j in zip(*np.nonzero(close), strict=True):
            a, b = int(i) + start, int(j)
            if a < b and np.abs(thumbs[a] - thumbs[b]).mean() <= MAX_COLOUR_DISTANCE:
                yield a, b


class _Joined:
    """Sets of names that only grow together; each is known by its first name in order."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def first(self, name: str) -> str:
        while (parent := self._parent.setdefault(name, name)) != name:
            self._parent[name] = self._parent[parent]  # keeps later look-ups short
            name = parent
        return name

    def join(self, a: str, b: str) -> None:
        low, high = sorted((self.first(a), self.first(b)))
        self._parent[high] = low
