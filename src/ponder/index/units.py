"""Reading one file into items, each of which becomes one row of the index.

This module runs in the decoder processes: what it imports is what each of them loads.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from ponder.documents.reading import read_sections
from ponder.documents.text import read_text
from ponder.index.language import is_language, without_data
from ponder.index.passages import split
from ponder.items import Item, parse
from ponder.media import (
    DEFAULT_LIMITS,
    Limits,
    MediaError,
    fit,
    read_frames,
    read_pages,
    read_picture,
)

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
        page: of a PDF, or a slide, from 1; of a page or of a passage on one.
        seconds: of a video's frame, from the start.
        first_line: of a passage of a text, from 1.
        last_line: of a passage of a text.
        snippet: its headings and first words, for people to read.
        thumbnail: a small JPEG, for people to look at.
    """

    kind: Kind
    page: int | None = None
    seconds: float | None = None
    first_line: int | None = None
    last_line: int | None = None
    snippet: str = ""
    thumbnail: bytes | None = None


@dataclass(frozen=True)
class Omitted:
    """What of a file is not among its items, in words."""

    reason: str


def read_file(
    path: Path, reader: Reader, limits: Limits = DEFAULT_LIMITS
) -> Iterator[tuple[Item, Unit] | Omitted]:
    """Read a file, one item at a time; what it holds beyond the bounds is told at the end.

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
        yield from _read_pages(path, limits)
    elif reader == "video":
        for seconds, picture in read_frames(path, limits):
            yield Item((picture,)), Unit("frame", seconds=seconds, thumbnail=thumbnail(picture))
    else:
        passages = _Passages(limits)
        if reader == "text" or reader == "markdown":
            text = read_text(path, limits)
            yield from passages.of(text, is_markdown=reader == "markdown", has_lines=True)
        else:
            for section in read_sections(path, reader, limits):
                yield from passages.of(section.text, section.headings, page=section.page)
        if left_out := passages.left_out():
            if not passages.kept:
                raise MediaError(left_out)
            yield Omitted(left_out)


def _read_pages(path: Path, limits: Limits) -> Iterator[tuple[Item, Unit] | Omitted]:
    passages = _Passages(limits)
    chars = 0
    for page in read_pages(path, limits):
        # The words are part of the item: a page is looked for by what it says, and few models
        # read small print off a picture. A scan has none and goes by its picture alone.
        words = snippet(page.text)
        picture = fit(page.picture, limits.max_side)
        item = Item((picture, words) if words else (picture,))
        yield item, Unit("page", page.number, snippet=words, thumbnail=thumbnail(page.picture))
        yield from passages.of(_beyond(page.text, words), page=page.number)
        chars += page.left_out
    beyond = f"{chars:,} characters beyond {limits.max_page_chars:,} on one page" if chars else ""
    if left_out := passages.left_out(beyond):
        yield Omitted(left_out)


class _Passages:
    """A file's passages: no more than one file may have, and none that is data.

    Attributes:
        kept: how many there are so far.
    """

    def __init__(self, limits: Limits) -> None:
        self._most = limits.max_passages
        self.kept = 0
        self._beyond = 0
        self._data_chars = 0

    def of(
        self,
        text: str,
        headings: tuple[str, ...] = (),
        *,
        page: int | None = None,
        is_markdown: bool = False,
        has_lines: bool = False,
    ) -> Iterator[tuple[Item, Unit]]:
        """Cut a text of the file.

        Args:
            text: what to cut.
            headings: what it is below, outermost first; Markdown brings its own.
            page: the page or slide it is on.
            is_markdown: whether it is.
            has_lines: whether a line's number is a place that people can go to.
        """
        text, data_chars = without_data(text)
        self._data_chars += data_chars
        for passage in split(text, is_markdown=is_markdown):
            if not is_language(passage.text):
                self._data_chars += len(passage.text)
            elif self.kept == self._most:
                self._beyond += 1
            else:
                self.kept += 1
                below = replace(passage, headings=headings or passage.headings)
                yield (
                    Item((below.with_headings,)),
                    Unit(
                        "passage",
                        page,
                        first_line=passage.first_line if has_lines else None,
                        last_line=passage.last_line if has_lines else None,
                        snippet=snippet(below.with_headings),
                    ),
                )

    def left_out(self, more: str = "") -> str:
        """Say what is not among the passages, and what `more` says; "" if nothing is missing."""
        beyond, data = self._beyond, self._data_chars
        parts = [
            more,
            f"{beyond:,} passages beyond the first {self._most:,}" if beyond else "",
            f"{data:,} characters that look like data, not language" if data else "",
        ]
        said = "; ".join(part for part in parts if part)
        return f"left out: {said}" if said else ""


def _beyond(text: str, words: str) -> str:
    """Return what of a text is not in its snippet, from the start of the word it breaks off in."""
    signs = len("".join(words.removesuffix("…").split()))
    taken = re.match(rf"(?:\s*\S){{{signs}}}", text)
    if not taken or not text[taken.end() :].strip(" \t\r\n…"):
        return ""
    word = re.search(r"\S{0,40}\Z", taken[0])
    return text[word.start() if word else taken.end() :]


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
