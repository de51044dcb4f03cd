"""What one file becomes: rows with their places, and a word on what was left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from file_samples import make_pdf

from ponder.index.units import SNIPPET_CHARS, Omitted, Unit, read_file
from ponder.media import Limits, MediaError

if TYPE_CHECKING:
    from pathlib import Path

    from ponder.index.files import Reader
    from ponder.items import Item


def read(
    path: Path, reader: Reader, limits: Limits | None = None
) -> tuple[list[tuple[Item, Unit]], list[str]]:
    """Read a file; returns its rows, and what was left out."""
    values = list(read_file(path, reader, limits or Limits()))
    rows = [value for value in values if not isinstance(value, Omitted)]
    return rows, [value.reason for value in values if isinstance(value, Omitted)]


def numbered(count: int) -> str:
    return " ".join(f"word{i}" for i in range(count))


def test_a_page_s_text_beyond_its_first_words_becomes_passages_of_that_page(tmp_path: Path) -> None:
    path = make_pdf(tmp_path / "a.pdf", ["short", numbered(600)])
    rows, omitted = read(path, "document")
    units = [unit for _, unit in rows]
    assert [unit.kind for unit in units[:2]] == ["page", "page"]
    assert {unit.kind for unit in units[2:]} == {"passage"}
    assert {unit.page for unit in units[1:]} == {2}
    assert {(unit.first_line, unit.thumbnail) for unit in units[2:]} == {(None, None)}
    assert omitted == []
    (first,), rest = rows[1][0].texts, [text for item, _ in rows[2:] for text in item.texts]
    assert len(first) <= SNIPPET_CHARS
    # Every word is whole somewhere: the one that the first words break off in comes again.
    said = first.removesuffix("…").split()[:-1] + " ".join(rest).split()
    assert said == numbered(600).split()


def test_what_a_page_holds_beyond_the_limit_is_told(tmp_path: Path) -> None:
    path = make_pdf(tmp_path / "a.pdf", [numbered(300), "short", numbered(300)])
    chars = len(numbered(300))
    rows, omitted = read(path, "document", Limits(max_page_chars=1000))
    assert omitted == [f"left out: {2 * (chars - 1000):,} characters beyond 1,000 on one page"]
    assert [unit.page for _, unit in rows if unit.kind == "page"] == [1, 2, 3]


def test_a_file_has_only_so_many_passages_and_says_so(tmp_path: Path) -> None:
    text = "\n\n".join(numbered(100) for _ in range(30))
    (tmp_path / "a.txt").write_text(text)
    rows, omitted = read(tmp_path / "a.txt", "text", Limits(max_passages=12))
    assert len(rows) == 12
    assert omitted == ["left out: 18 passages beyond the first 12"]
    path = make_pdf(tmp_path / "a.pdf", [numbered(600)] * 3)
    rows, omitted = read(path, "document", Limits(max_passages=4))
    assert [unit.kind for _, unit in rows].count("page") == 3
    assert [unit.kind for _, unit in rows].count("passage") == 4
    assert "passages beyond the first 4" in omitted[0]


def test_what_is_no_language_is_left_out_and_told(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(f"An owl.\n{'x' * 5000}\n\n{'0 1 ' * 960}\n\nA fox.\n")
    rows, omitted = read(tmp_path / "a.txt", "text")
    assert [(unit.snippet, unit.first_line) for _, unit in rows] == [("An owl.", 1), ("A fox.", 6)]
    assert omitted[0].startswith("left out: ")
    assert omitted[0].endswith(" characters that look like data, not language")


def test_a_file_of_nothing_but_data_is_refused_with_that_reason(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a" * 2_000_000)
    with pytest.raises(MediaError, match="2,000,000 characters that look like data"):
        read(tmp_path / "a.txt", "text")
