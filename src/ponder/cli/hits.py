"""Hits for reading on a terminal, and for other programs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text

from ponder.cli.console import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ponder.index.hits import Hit

SNIPPET_LINES = 2
NARROW = 50  # columns; below, what belongs to a hit is not indented under its path
LEAST_WORD = 3  # letters from which a word of the query is looked for in snippets
LEAD = 40  # characters of a long snippet shown before the first word that matched, at most


def lines(hits: Sequence[Hit]) -> Iterator[str]:
    """Yield a line for each hit: score, kind, path, place and snippet, with tabs between."""
    for hit in hits:
        fields = (f"{hit.score:.3f}", hit.kind, hit.path, hit.where, hit.snippet)
        yield "\t".join(map(plain, fields))


def table(hits: Sequence[Hit], query: str, width: int) -> Text:
    """Lay hits out for a terminal: score, kind, path and place in full, the snippet shortened.

    Args:
        hits: best first.
        query: the words searched for; where they are in a snippet they stand out.
        width: of the terminal, in columns.
    """
    page = Text(no_wrap=True)
    if not hits:
        page.append("nothing found", "dim")
    kinds = max((len(hit.kind) for hit in hits), default=0)
    words = _words(query)
    for number, hit in enumerate(hits):
        head = f"{hit.score:6.3f}  {hit.kind:{kinds}}  "
        indent = len(head) if width >= NARROW else 2
        path = Text(plain(hit.path))
        if hit.where:
            path.append(f"  {hit.where}", "cyan")
        if number:
            page.append("\n")
        page.append(head, "bold")
        room = width - indent
        if indent < len(head) and cell_len(path.plain) > width - len(head):
            page.append("\n" + " " * indent)
        page.append_text(_hanging(_folded(path, room), indent))
        if hit.snippet:
            page.append("\n" + " " * indent)
            page.append_text(_hanging(_snippet(hit.snippet, words, room), indent))
    return page


def _words(query: str) -> re.Pattern[str] | None:
    words = [word for word in re.findall(r"\w+", query) if len(word) >= LEAST_WORD]
    if not words:
        return None
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, words))})", re.IGNORECASE)


def _snippet(snippet: str, words: re.Pattern[str] | None, width: int) -> list[Text]:
    """Cut a snippet to a few lines around the first word that matched."""
    line = plain(snippet)
    found = words.search(line) if words else None
    shown = SNIPPET_LINES * width
    if found and found.end() > shown - width // 2:
        first = min(found.start() - min(LEAD, width // 2), len(line) - shown + width // 2)
        line = f"…{line[line.rfind(' ', 0, first) + 1 :]}"
    text = Text(line, "dim")
    if words:
        text.highlight_regex(words, "bold not dim")
    rows = _folded(text, width, at_spaces=True)
    if len(rows) <= SNIPPET_LINES:
        return rows
    last = rows[SNIPPET_LINES - 1]
    last.truncate(width - 1)
    last.append("…")
    return rows[:SNIPPET_LINES]


def _folded(text: Text, width: int, *, at_spaces: bool = False) -> list[Text]:
    """Break a text into lines of at most `width` columns; nothing is lost."""
    from rich.console import Console

    console = Console(width=width)
    if at_spaces:
        return list(text.wrap(console, width))
    rows = [Text()]
    for character in text.divide(range(1, len(text))):
        if cell_len(rows[-1].plain) + cell_len(character.plain) > width:
            rows.append(Text())
        rows[-1].append_text(character)
    return rows


def _hanging(rows: list[Text], indent: int) -> Text:
    return Text("\n" + " " * indent).join(rows)
