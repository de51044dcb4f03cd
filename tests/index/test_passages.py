from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ponder.documents.text import read_text
from ponder.index.passages import MAX_WORDS, split
from ponder.media import DEFAULT_LIMITS, MediaError

if TYPE_CHECKING:
    from pathlib import Path


def words(count: int, word: str = "word") -> str:
    return " ".join([word] * count)


def test_short_paragraphs_share_a_passage_while_they_fit() -> None:
    text = f"{words(50)}\n\n{words(60)}\n\n\n{words(40)}\n"
    first, second = split(text, is_markdown=False)
    assert (first.first_line, first.last_line, len(first.text.split())) == (1, 3, 110)
    assert (second.first_line, second.last_line, len(second.text.split())) == (6, 6, 40)


def test_a_long_paragraph_is_cut_between_lines_and_a_long_line_between_words() -> None:
    passages = list(split("\n".join([words(50)] * 5) + "\n\n" + words(300), is_markdown=False))
    assert [len(p.text.split()) for p in passages] == [100, 100, 50, 120, 120, 60]
    assert [(p.first_line, p.last_line) for p in passages[:3]] == [(1, 2), (3, 4), (5, 5)]
    assert {p.first_line for p in passages[3:]} == {7}


def test_nothing_is_lost() -> None:
    lines = [words(i % 40, f"w{i}") for i in range(200)]
    text = "\n".join(lines)
    cut = [word for passage in split(text, is_markdown=False) for word in passage.text.split()]
    assert cut == text.split()


def test_scripts_without_spaces_are_cut_too() -> None:
    passages = list(split("字" * 2000, is_markdown=False))
    assert len(passages) > 5
    assert "".join(passage.text.replace(" ", "") for passage in passages) == "字" * 2000


def test_markdown_headings_are_context_and_boundaries() -> None:
    text = "intro\n\n# One #\n\na\n\n### Deep\nb\n\n```\n# no heading\n```\n# Two\nc\n"
    passages = list(split(text, is_markdown=True))
    assert [(p.headings, p.first_line, p.last_line) for p in passages] == [
        ((), 1, 1),
        (("One",), 5, 5),
        (("One", "Deep"), 8, 12),
        (("Two",), 14, 14),
    ]
    assert passages[2].with_headings.startswith("One > Deep\nb\n\n```\n# no heading")


def places(text: str) -> list[tuple[str, tuple[str, ...], int, int]]:
    passages = split(text, is_markdown=True)
    return [(p.text, p.headings, p.first_line, p.last_line) for p in passages]


def test_a_heading_with_nothing_below_it_is_a_passage() -> None:
    assert places("# New text about volcanoes\n") == [("New text about volcanoes", (), 1, 1)]
    assert places("# Milk\n# Eggs\n## Brown\n# Bread\n\nRye.\n#\n") == [
        ("Milk", (), 1, 1),
        ("Brown", ("Eggs",), 3, 3),
        ("Rye.", ("Bread",), 6, 6),
    ]


def test_neighbouring_headings_with_nothing_below_them_share_a_passage() -> None:
    assert places("# Shopping\n## Milk\n## Eggs\n") == [("Milk\n\nEggs", ("Shopping",), 2, 3)]


def test_plain_text_has_no_headings() -> None:
    (passage,) = split("# not a heading\n\ntext", is_markdown=False)
    assert passage.headings == ()
    assert passage.with_headings == passage.text == "# not a heading\n\ntext"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"\xef\xbb\xbfcaf\xc3\xa9", "café"),
        ("café".encode("utf-16"), "café"),
        (b"caf\xe9", "café"),
    ],
)
def test_encodings(tmp_path: Path, raw: bytes, text: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(raw)
    assert read_text(path) == text


@pytest.mark.parametrize(
    ("raw", "reason"),
    [(b"", "empty"), (b" \n\t\n", "no words"), (b"\x7fELF\0\0\0", "NUL bytes")],
)
def test_what_is_no_text_is_refused(tmp_path: Path, raw: bytes, reason: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(raw)
    with pytest.raises(MediaError, match=reason):
        read_text(path)


def test_a_huge_text_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with path.open("wb") as file:
        file.truncate(DEFAULT_LIMITS.max_text_bytes + 1)
    with pytest.raises(MediaError, match="over the limit"):
        read_text(path)


def test_no_passage_is_over_the_limit() -> None:
    assert all(
        len(p.text.split()) <= MAX_WORDS for p in split(words(1000, "longerword"), is_markdown=True)
    )
