"""Cutting a text into passages short enough to embed and to show."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ponder.documents.headings import Headings, is_title

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_WORDS = 120
_LONGEST_WORD = 160  # characters; a longer one is cut

_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_FENCE = re.compile(r" {0,3}(```+|~~~+)")


@dataclass(frozen=True)
class Passage:
    """A stretch of a text.

    Attributes:
        text: its words, lines kept.
        headings: titles of the sections it is in, outermost first.
        first_line: line it begins on, from 1.
        last_line: line it ends on.
    """

    text: str
    headings: tuple[str, ...]
    first_line: int
    last_line: int

    @property
    def with_headings(self) -> str:
        """The text below its headings: what is embedded, for a passage alone loses its subject."""
        return "\n".join((" > ".join(self.headings), self.text)) if self.headings else self.text


def split(text: str, *, is_markdown: bool) -> Iterator[Passage]:
    """Cut a text into passages of at most `MAX_WORDS` words.

    Paragraphs stay whole and neighbours share a passage while they fit; a longer paragraph is cut
    between lines, a longer line between words. In Markdown no passage runs across a heading, and a
    heading with nothing below it is a passage's text itself.
    """
    held: list[_Block] = []
    for block in _blocks(text, is_markdown):
        fits = sum(part.words for part in held) + block.words <= MAX_WORDS
        if held and not (fits and block.headings == held[0].headings):
            yield _join(held)
            held = []
        held.append(block)
    if held:
        yield _join(held)


@dataclass(frozen=True)
class _Block:
    """A paragraph, or a piece of one that is too long."""

    text: str
    headings: tuple[str, ...]
    first_line: int
    last_line: int
    words: int


def _join(blocks: list[_Block]) -> Passage:
    text = "\n\n".join(block.text for block in blocks)
    return Passage(text, blocks[0].headings, blocks[0].first_line, blocks[-1].last_line)


def _blocks(text: str, is_markdown: bool) -> Iterator[_Block]:
    headings = Headings()
    at = 0  # the latest heading's line
    paragraph: list[tuple[int, str]] = []
    fence = ""
    for number, line in enumerate(text.splitlines(), start=1):
        opening = _FENCE.match(line) if is_markdown else None
        if opening and not fence:
            fence = opening[1]
        elif opening and line.strip().startswith(fence):
            fence = ""
        heading = _HEADING.match(line) if is_markdown and not fence and is_title(line) else None
        if heading or not line.strip():
            yield from _cut(paragraph, headings.path)
            paragraph = []
        else:
            paragraph.append((number, line))
            headings.fill()
        if heading:
            yield from _bare(headings.begin(len(heading[1]), (heading[2] or "").strip()), at)
            at = number
    yield from _cut(paragraph, headings.path)
    yield from _bare(headings.end(), at)


def _bare(path: tuple[str, ...], line: int) -> Iterator[_Block]:
    """A heading with nothing below it is a text of its own: a note may be no more than that."""
    if path:
        yield from _cut([(line, path[-1])], path[:-1])


def _cut(paragraph: list[tuple[int, str]], headings: tuple[str, ...]) -> Iterator[_Block]:
    lines: list[str] = []
    first = last = words = 0
    for number, line in paragraph:
        for piece in _short_lines(line):
            count = _weight(piece)
            if lines and words + count > MAX_WORDS:
                yield _Block("\n".join(lines), headings, first, last, words)
                lines, words = [], 0
            if not lines:
                first = number
            lines.append(piece)
            words += count
            last = number
    if lines:
        yield _Block("\n".join(lines), headings, first, last, words)


def _short_lines(line: str) -> Iterator[str]:
    if _weight(line) <= MAX_WORDS:
        yield line.rstrip()
        return
    held: list[str] = []
    for word in line.split():
        for start in range(0, len(word), _LONGEST_WORD):
            piece = word[start : start + _LONGEST_WORD]
            if held and _weight(" ".join((*held, piece))) > MAX_WORDS:
                yield " ".join(held)
                held = []
            held.append(piece)
    if held:
        yield " ".join(held)


def _weight(text: str) -> int:
    """Count words, a long one as several: not every script, nor all data, has spaces."""
    return sum(max(1, round(len(word.encode("utf-8", "replace")) / 8)) for word in text.split())
