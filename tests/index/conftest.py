"""Fixtures for the index: a small encoder and a folder with a file of every kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from colours import Colours
from file_samples import make_pdf, make_picture, make_video

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def model() -> Colours:
    return Colours()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two pictures, a text, a Markdown text, a PDF and a video."""
    top = tmp_path / "files"
    (top / "deep" / "er").mkdir(parents=True)
    make_picture(top / "red.png", "red")
    make_picture(top / "deep" / "blue.jpg", "blue")
    (top / "deep" / "note.txt").write_text("A note on bicycles.\n\nAnd on trains.\n")
    (top / "deep" / "er" / "read.md").write_text("# Birds\n\nOwls hunt.\n\n## Owls\n\nAt night.\n")
    make_pdf(top / "pages.pdf", ["green meadow", "yellow sun"])
    make_video(top / "film.mp4", seconds=2)
    (top / "program.bin").write_bytes(b"\0\1")
    return top
