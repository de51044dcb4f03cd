"""What a search finds, and how it is shown to a program."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ponder.index.rows import PLACE, THINKING

HIT_COLUMNS = ("path", "raw_path", *PLACE, *THINKING)


@dataclass(frozen=True)
class Hit:
    """One row that a search found.

    Attributes:
        score: cosine of query and row.
        path: of the file, for people to read.
        file: the same, to open the file with.
        kind: `picture`, `page`, `frame` or `passage`.
        page: of a PDF, or a slide, from 1.
        seconds: of a video's frame.
        first_line: of a passage of a text, from 1.
        last_line: of a passage of a text.
        snippet: headings and first words of a passage, or first words of a page.
        thumbnail: a JPEG of a picture, page or frame.
        gate: the gate's probability that a thought pays; None where it was not asked.
        thought: what the model wrote before it embedded it; None without one.
    """

    score: float
    path: str
    file: Path
    kind: str
    page: int | None
    seconds: float | None
    first_line: int | None
    last_line: int | None
    snippet: str
    thumbnail: bytes | None
    gate: float | None
    thought: str | None

    @classmethod
    def from_row(cls, row: dict[str, Any], score: float) -> Hit:
        """Make a hit of a row's `HIT_COLUMNS`."""
        file = Path(os.fsdecode(row["raw_path"]))
        return cls(score, row["path"], file, *(row[name] for name in (*PLACE, *THINKING)))

    @property
    def where(self) -> str:
        """The place in the file, in words; empty for a picture."""
        if self.page is not None:
            return f"page {self.page}"
        if self.seconds is not None:
            minutes, seconds = divmod(int(self.seconds), 60)
            return f"{minutes}:{seconds:02d}"
        if self.first_line is not None:
            one = self.first_line == self.last_line
            return f"line {self.first_line}" if one else f"lines {self.first_line}-{self.last_line}"
        return ""

    @property
    def link(self) -> str:
        """A `file:` address of the file, which a browser opens at the page or second."""
        address = self.file.as_uri()
        if self.page is not None:
            return f"{address}#page={self.page}"
        return f"{address}#t={self.seconds:.1f}" if self.seconds is not None else address

    def to_json(self) -> dict[str, Any]:
        """Return what JSON can hold of it: all but the thumbnail; places that fit only."""
        fields = {"score": round(self.score, 6), "path": self.path, "kind": self.kind}
        places = ("page", "seconds", "first_line", "last_line", "gate", "thought")
        fields |= {name: getattr(self, name) for name in places if getattr(self, name) is not None}
        return fields | {"snippet": self.snippet}
