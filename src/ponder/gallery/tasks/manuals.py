"""Document pages: which PDF manuals, and the headings their own outlines give."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

GNU_NOTICE = "LicenseRef-GNU-manual"
"""Verbatim copies, and modified ones under the same notice, as the manuals' second page says."""

MANUALS = {
    "R-FAQ": ("usr/share/R/doc/manual/R-FAQ.pdf", "the R FAQ", "GPL-2.0-or-later"),
    "R-admin": ("usr/share/R/doc/manual/R-admin.pdf", "R Installation", GNU_NOTICE),
    "R-data": ("usr/share/R/doc/manual/R-data.pdf", "R Data Import/Export", GNU_NOTICE),
    "R-exts": ("usr/share/R/doc/manual/R-exts.pdf", "Writing R Extensions", GNU_NOTICE),
    "R-intro": ("usr/share/R/doc/manual/R-intro.pdf", "An Introduction to R", GNU_NOTICE),
    "R-ints": ("usr/share/R/doc/manual/R-ints.pdf", "R Internals", GNU_NOTICE),
    "R-lang": ("usr/share/R/doc/manual/R-lang.pdf", "R Language Definition", GNU_NOTICE),
    "octave": ("usr/share/doc/octave/octave.pdf", "GNU Octave", GNU_NOTICE),
    "liboctave": ("usr/share/doc/octave/liboctave.pdf", "Octave C++ Classes", GNU_NOTICE),
    "glpk": ("usr/share/doc/glpk-doc/glpk.pdf", "GLPK", "GFDL-1.3-no-invariants-or-later"),
    "gmpl": ("usr/share/doc/glpk-doc/gmpl.pdf", "GNU MathProg", "GFDL-1.3-no-invariants-or-later"),
    "graphs": (
        "usr/share/doc/glpk-doc/graphs.pdf",
        "GLPK Graphs",
        "GFDL-1.3-no-invariants-or-later",
    ),
}
"""Path in the packages, short title and licence. Translations, reference cards and documents
without an outline are left out, and so is the 2,400-page R reference."""

_NUMBER = re.compile(r"^(Appendix\s+[A-Z]|[A-Z]\.\d+|\d+)(\.\d+)*\.?\s+")
_TOO_PLAIN = re.compile(r"[{}$\\_^]|(^|\s)(index|table of contents|title page|contents)$", re.I)


@dataclass(frozen=True)
class Manual:
    """A PDF document with an outline."""

    name: str
    title: str
    file: Path

    @property
    def concept(self) -> str:
        """What its pages are split by."""
        return f"pdf/{self.file.name}"


@dataclass(frozen=True)
class Heading:
    """A line of an outline.

    Attributes:
        text: without its number.
        page: from 1.
        chapter: the headings it lies under, the nearest last; may be empty.
    """

    text: str
    page: int
    chapter: tuple[str, ...]


def read_manuals(folder: Path) -> list[Manual]:
    """Return the manuals of the unpacked packages."""
    return [Manual(name, title, folder / path) for name, (path, title, _) in MANUALS.items()]


def read_headings(file: Path) -> list[Heading]:
    """Return a PDF's outline: every heading of plain words, none that comes twice."""
    import pypdfium2

    found: list[Heading] = []
    above: list[str] = []
    with file.open("rb") as stream, pypdfium2.PdfDocument(stream) as pdf:
        for mark in pdf.get_toc():
            target = mark.get_dest()
            page = target.get_index() if target else None
            text = clean(mark.get_title())
            above = [*above[: mark.level], text]
            if page is not None and is_plain(text):
                found.append(Heading(text, page + 1, tuple(above[:-1])))
    often = Counter(heading.text.casefold() for heading in found)
    return [heading for heading in found if often[heading.text.casefold()] == 1]


def clean(title: str) -> str:
    """Return an outline's title without its number.

    Example:
        >>> clean("2.1 Installing R under Unix-alikes")
        'Installing R under Unix-alikes'
    """
    return _NUMBER.sub("", " ".join(title.split()))


def is_plain(text: str) -> bool:
    """Tell whether a heading is words that may stand on a page, and not a part of every book."""
    return bool(re.search(r"[A-Za-z]{3}", text)) and not _TOO_PLAIN.search(text)
