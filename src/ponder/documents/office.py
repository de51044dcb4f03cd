"""The words of Word, PowerPoint and Excel files of 2007 and later. Macros are not looked at."""

from __future__ import annotations

import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

from ponder.documents.archive import opened
from ponder.documents.sections import Outline, Section

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from ponder.media import Limits

_ROWS = 200  # of a sheet to a section: a section is held in memory


def read_docx(path: Path, limits: Limits) -> Iterator[Section]:
    """Read a Word file's headings, paragraphs, tables and text boxes."""
    import docx
    from docx.oxml.ns import qn

    with opened(path, limits) as (file, _):
        document = docx.Document(file)
    levels = {style.style_id: _level(style.name or "") for style in document.styles}
    outline = Outline()
    words = [qn(f"w:{name}") for name in ("t", "tab", "br", "cr")]
    for row, paragraphs in groupby(document.element.body.iter(qn("w:p")), _ancestor(qn("w:tr"))):
        texts = [(levels.get(p.style, 0), _text(p, words)) for p in paragraphs]
        if row is not None:
            outline.paragraph(_joined(text for _, text in texts))
            continue
        for level, text in texts:
            if level:
                outline.heading(level, text)
            else:
                outline.paragraph(text)
    yield from outline.end()


def read_pptx(path: Path, limits: Limits) -> Iterator[Section]:
    """Read a slide deck, a section to a slide: its title, its words and the speaker's notes."""
    import pptx
    from pptx.oxml.ns import qn

    with opened(path, limits) as (file, _):
        deck = pptx.Presentation(file)
    words = [qn("a:t"), qn("a:br")]
    for number, slide in enumerate(deck.slides, start=1):
        outline = Outline()
        title = slide.shapes.title
        heading = " ".join(title.text_frame.text.split()) if title is not None else ""
        outline.heading(1, heading)
        trees = [slide.element]
        note = slide.notes_slide.notes_placeholder if slide.has_notes_slide else None
        if note is not None:
            trees.append(note.element)
        for tree in trees:
            for row, paragraphs in groupby(tree.iter(qn("a:p")), _ancestor(qn("a:tr"))):
                texts = [_text(p, words) for p in paragraphs]
                for text in [_joined(texts)] if row is not None else texts:
                    if " ".join(text.split()) != heading:
                        outline.paragraph(text)
        for section in outline.end():
            yield Section(section.text, section.headings, number)


def read_xlsx(path: Path, limits: Limits) -> Iterator[Section]:
    """Read a workbook's rows as lines, under the name of their sheet; of formulas the results."""
    import openpyxl

    with opened(path, limits) as (file, _):
        book = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
        for sheet in book.worksheets:
            sheet.reset_dimensions()  # what a sheet says of its size may be far from true
            lines: list[str] = []
            for row in sheet.iter_rows(values_only=True):
                lines.append(_joined(map(_cell, row)))
                if len(lines) == _ROWS:
                    yield Section("\n".join(lines), (sheet.title,))
                    lines = []
            yield Section("\n".join(lines), (sheet.title,))


def _level(style: str) -> int:
    """Return the level of headings in a style, which has its English name in every language."""
    if style == "Title":
        return 1
    name, _, number = style.rpartition(" ")
    return 1 + int(number) if name == "Heading" and number.isdigit() else 0


def _text(paragraph: Any, words: list[str]) -> str:
    """Return a paragraph's own words, not those of a text box that is anchored in it."""
    own = (part for part in paragraph.iter(*words) if _ancestor(paragraph.tag)(part) is paragraph)
    return "".join(part.text or " " for part in own).strip()


def _ancestor(tag: str) -> Any:
    """Return a function that gives the nearest element of a tag around another, or None."""
    return lambda element: next(element.iterancestors(tag), None)


def _joined(cells: Iterable[str]) -> str:
    return " | ".join(cell for cell in cells if cell)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        value = value.date()
    return " ".join(str(value).split())
