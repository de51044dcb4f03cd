"""What a parser makes of a task: queries, candidates, and which of them are right."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ponder.errors import ItemError, PonderError
from ponder.items import Item
from ponder.media import DEFAULT_LIMITS, MediaError, read_picture

if TYPE_CHECKING:
    from collections.abc import Iterable

    from PIL import Image

    from ponder.media import Limits

# Qwen2-VL's processor in the official run: at most 1280 tokens of 28 x 28 pixels a picture.
MOST_PIXELS = 1280 * 28 * 28
MOST_SIDE = 16_384

# Text, a path, or an id of the data set, which may be a number.
Key = str | int


class MmebError(PonderError):
    """A task's data is missing, or not what the protocol says; the message names task and row."""


class Stored(Protocol):
    """An encoded picture kept somewhere else than in a file of its own."""

    def read(self) -> bytes:
        """Return its bytes."""


@dataclass(frozen=True)
class Content:
    """A query or a candidate, its pictures not read yet.

    Attributes:
        text: may be empty.
        pictures: in their order; a video is its frames.
        instruction: what it is embedded for; empty for none.
    """

    text: str = ""
    pictures: tuple[Path | Stored, ...] = ()
    instruction: str = ""

    def digest(self) -> str:
        """Return a hash of the text, the instruction and the pictures' bytes."""
        found = hashlib.sha256(f"{self.instruction}\0{self.text}".encode())
        for picture in self.pictures:
            data = picture.read_bytes() if isinstance(picture, Path) else picture.read()
            found.update(hashlib.sha256(data).digest())
        return found.hexdigest()

    def to_item(self, name: str, limits: Limits) -> Item:
        """Read the pictures, each at most as large as the protocol allows.

        Raises:
            ItemError: one cannot be read, or there is nothing to embed; it names `name`.
        """
        if limits.max_side >= DEFAULT_LIMITS.max_side:  # else the model looks at no more pixels
            limits = replace(limits, max_side=MOST_SIDE)
        try:
            pictures = [
                _bounded(read_picture(p if isinstance(p, Path) else p.read(), limits))
                for p in self.pictures
            ]
        except MediaError as error:
            raise ItemError(name, str(error)) from error
        if not pictures and not self.text.strip():
            raise ItemError(name, "neither text nor a picture")
        words = (self.text,) if self.text.strip() else ()
        return Item((*pictures, *words), self.instruction or None)


@dataclass(frozen=True)
class Query:
    """One query.

    Attributes:
        content: what is embedded.
        right: keys of the candidates that are right, in the data's order, and the gain of each.
        among: keys of the candidates it ranks; None for all of the task.
    """

    content: Content
    right: dict[Key, float]
    among: tuple[Key, ...] | None = None


@dataclass
class Retrieval:
    """A whole task, ready to be embedded.

    Attributes:
        task: its name.
        queries: in the data's order.
        candidates: by key; what comes first under a key stays, as in the reference.
    """

    task: str
    queries: list[Query] = field(default_factory=list)
    candidates: dict[Key, Content] = field(default_factory=dict)

    def offer(self, candidates: Iterable[tuple[Key, Content]]) -> tuple[Key, ...]:
        """Add candidates that are not there yet, and return the keys of all of them."""
        keys = []
        for key, content in candidates:
            self.candidates.setdefault(key, content)
            keys.append(key)
        return tuple(keys)

    def ask(self, query: Query) -> None:
        """Add a query.

        Raises:
            MmebError: nothing is right for it, or what is right is not among its candidates.
        """
        name = f"{self.task}, query {len(self.queries)}"
        if query.among is not None and not query.among:
            raise MmebError(f"{name} has no candidates")
        known = self.candidates.keys() if query.among is None else set(query.among)
        if not query.right:
            raise MmebError(f"{name} has nothing that is right for it")
        if missing := [key for key in query.right if key not in known]:
            raise MmebError(f"{name}: {missing[0]!r} is right but not among its candidates")
        self.queries.append(query)


def _bounded(picture: Image.Image) -> Image.Image:
    pixels = picture.width * picture.height
    if pixels <= MOST_PIXELS:
        return picture
    share = (MOST_PIXELS / pixels) ** 0.5
    size = (max(1, int(picture.width * share)), max(1, int(picture.height * share)))
    return picture.resize(size)
