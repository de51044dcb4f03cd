"""Reading one file into items, each of which becomes one row of the index.

This module runs in the decoder processes: what it imports is what each of them loads.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ponder.index.passages import read_text, split
from ponder.items import Item, parse
from ponder.media import DEFAULT_LIMITS, Limits, fit, read_frames, read_pages, read_picture

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from PIL import Image

    from ponder.index.files import Reader

Kind = Literal["picture", "page", "frame", "passage"]

THUMBNAIL_SIDE = 160  # pixels
SNIPPET_CHARS = 500


@dataclass(frozen=True)
class Unit:
    """What a row says of an embedded item beside its file.

    Attributes:
        kind: what a hit on it is called.
        page: of a PDF, from 1.
        seconds: of a video's frame, from the start.
        first_line: of a passage, from 1.
        last_line: of a passage.
        snippet: its first words, for people to read.
        thumbnail: a small JPEG, for people to look at.
    """

    kind: Kind
    page: int | None = None
    seconds: float | None = None
    first_line: int | None = None
    last_line: int | None = None
    snippet: str = ""
    thumbnail: bytes | None = None


def read_file(
    path: Path, reader: Reader, limits: Limits = DEFAULT_LIMITS
) -> Iterator[tuple[Item, Unit]]:
    """Read a file, one item at a time.

    Args:
        path: of the file.
        reader: what reads it.
        limits: bounds; no item's picture is larger than `max_side`.

    Raises:
        MediaError: the file is broken, hostile, empty or over a limit.
        OSError: the file cannot be opened.
    """
    if reader == "picture":
        picture = read_picture(path, limits)
        yield Item((picture,)), Unit("picture", thumbnail=thumbnail(picture))
    elif reader == "document":
        for page in read_pages(path, limits):
            # The words are part of the item: a page is looked for by what it says, and few models
            # read small print off a picture. A scan has none and goes by its picture alone.
            words = snippet(page.text)
            picture = fit(page.picture, limits.max_side)
            item = Item((picture, words) if words else (picture,))
            small = thumbnail(page.picture)
            yield item, Unit("page", page=page.number, snippet=words, thumbnail=small)
    elif reader == "video":
        for seconds, picture in read_frames(path, limits):
            yield Item((picture,)), Unit("frame", seconds=seconds, thumbnail=thumbnail(picture))
    else:
        for passage in split(read_text(path), is_markdown=reader == "markdown"):
            yield (
                Item((passage.with_headings,)),
                Unit(
                    "passage",
                    first_line=passage.first_line,
                    last_line=passage.last_line,
                    snippet=snippet(passage.text),
                ),
            )


def read_item(value: Any, name: str, limits: Limits = DEFAULT_LIMITS) -> Iterator[Item]:
    """Parse one loose value; errors as in `ponder.items.parse`."""
    yield parse(value, name, limits)


def snippet(text: str) -> str:
    """Return the first words of a text in one line of valid Unicode."""
    line = " ".join(text[: 4 * SNIPPET_CHARS].split())
    valid = line.encode("utf-8", "replace").decode("utf-8")
    return valid if len(valid) <= SNIPPET_CHARS else valid[: SNIPPET_CHARS - 1] + "…"


def thumbnail(picture: Image.Image) -> bytes:
    """Return a JPEG of the picture, at most `THUMBNAIL_SIDE` pixels a side."""
    from PIL import Image

    # By whole steps first, which is several times as fast as filtering from the full size.
    steps = max(picture.size) // THUMBNAIL_SIDE
    small = picture.reduce(steps) if steps > 1 else picture.copy()
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()
