"""What a document is read into: texts under headings."""

from __future__ import annotations

from dataclasses import dataclass

from ponder.documents.headings import Headings, is_title


@dataclass(frozen=True)
class Section:
    """A stretch of a document below one heading.

    Attributes:
        text: its paragraphs, an empty line between them.
        headings: titles it is below, outermost first.
        page: number of the slide it is on, from 1.
    """

    text: str
    headings: tuple[str, ...] = ()
    page: int | None = None


class Outline:
    """Gathers a document's headings and paragraphs, in order, into sections."""

    def __init__(self) -> None:
        self._headings = Headings()
        self._paragraphs: list[str] = []
        self._sections: list[Section] = []

    def heading(self, level: int, title: str) -> None:
        """Begin a section; levels count from 1. One too long for a title is a paragraph."""
        title = " ".join(title.split())
        if title in self._headings.path[-1:]:
            return  # web pages and chapters say their title twice
        if not is_title(title):
            self.paragraph(title)
            return
        self._close()
        self._bare(self._headings.begin(level, title))

    def paragraph(self, text: str) -> None:
        """Add a paragraph, if there is anything in it."""
        if text.strip():
            self._paragraphs.append(text.strip("\n"))
            self._headings.fill()

    def take(self) -> list[Section]:
        """Return the sections gathered since the last call."""
        self._close()
        sections, self._sections = self._sections, []
        return sections

    def end(self) -> list[Section]:
        """Return the last sections."""
        self._close()
        self._bare(self._headings.end())
        return self.take()

    def _close(self) -> None:
        if self._paragraphs:
            text = "\n\n".join(self._paragraphs)
            self._sections.append(Section(text, self._headings.path))
            self._paragraphs = []

    def _bare(self, path: tuple[str, ...]) -> None:
        if path:
            self._sections.append(Section(path[-1], path[:-1]))
