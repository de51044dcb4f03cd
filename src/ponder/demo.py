"""What the demo searches, and what it asks: real pictures, an album of pages, and texts."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ponder.gallery import read
from ponder.gallery.concepts import SPLITS
from ponder.gallery.sources import OPENMOJI
from ponder.gallery.tasks import relation
from ponder.media import read_picture
from ponder.packages import fetch, unpack

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from PIL import Image

    from ponder.engine.model import Model
    from ponder.engine.trace import Trace

PICTURES = 1000
GROUPS = (
    "activities",
    "animals-nature",
    "food-drink",
    "objects",
    "people-body",
    "smileys-emotion",
    "travel-places",
)
"""Groups of the Gallery that a person would search; flags, arrows and icons are left out."""
TEXTS = ("README.md", "FAQ.md", "CONTRIBUTING.md", "CODE_OF_CONDUCT.md", "LICENSE.txt")
ALBUM = ("octopus", "guitar", "snowman", "rocket", "pizza", "butterfly")
"""Concepts that are on a page of the album and in no picture file."""


@dataclass(frozen=True)
class Question:
    """One search of the demo.

    Attributes:
        title: what it shows, in words.
        query: what is searched for, in any form `ponder.items.parse` takes.
    """

    title: str
    query: Any


def make_files(gallery: Path, folder: Path) -> Path:
    """Write a thousand pictures, an album of pages and some texts as a person's files.

    Pictures whose concept no training has seen come first; those of training fill up the thousand.

    Args:
        gallery: a built Gallery.
        folder: where to; returned. What is there already is left as it is.
    """
    rows = _rows(gallery, "openmoji")
    drawn = [row for row in rows.values() if row["caption"] not in ALBUM]
    pictures = folder / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    for row in drawn[:PICTURES]:
        name = re.sub(r"[^\w]+", "-", row["caption"]).strip("-")
        path = pictures / f"{name}.{row['id'].rpartition('/')[2]}.png"
        if not path.exists():
            path.write_bytes(row["picture"])
    album = folder / "album.pdf"
    if not album.exists():
        pages = [_page(rows[name]["picture"], name) for name in ALBUM]
        pages[0].save(album, save_all=True, append_images=pages[1:])
    texts = folder / "texts"
    if not texts.exists():
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            unpack(fetch(OPENMOJI), Path(scratch), lambda name: Path(name).name in TEXTS)
            Path(scratch, "package").rename(texts)
    return folder


def questions(gallery: Path) -> list[Question]:
    """Return the demo's six searches; the pictures among them are in another style's."""
    google = {
        caption: read_picture(row["picture"]) for caption, row in _rows(gallery, "google").items()
    }
    return [
        Question("Words: a bicycle", "a bicycle"),
        Question("A picture in another style: Google's castle", google["castle"]),
        Question(
            "A picture and words: Google's house, with a garden",
            (google["house"], "with a garden"),
        ),
        Question("French: tigre", "tigre"),
        Question("A page of album.pdf: butterfly", "butterfly"),
        Question("A text: unacceptable behaviour", "harassment and unacceptable behaviour"),
    ]


def pair_question(gallery: Path) -> Question:
    """Return a question about two pictures, of a task for which `nano-think` often thinks."""
    google = _rows(gallery, "google")
    pair = [google[caption]["picture"] for caption in ("stadium", "Japanese castle")]
    return Question(
        "Google's stadium and Japanese castle: which kind of thing are both?",
        {
            "image": relation.beside(*pair),
            "text": "Which kind of thing are both?",
            "instruction": relation.INSTRUCTION,
        },
    )


def thoughts(
    model: Model, asked: Sequence[Question]
) -> Iterator[tuple[Question, Trace, str | None]]:
    """Yield each question, what the gate made of it, and the thought, whether it was wanted or not.

    Args:
        model: one with a gate.
        asked: the questions.
    """
    queries = [question.query for question in asked]
    _, gated = model.encode_query(queries, think="auto", return_trace=True)
    _, thinking = model.encode_query(queries, think="always", return_trace=True)
    for question, trace, other in zip(asked, gated, thinking, strict=True):
        yield question, trace, other.thought


def _rows(gallery: Path, style: str) -> dict[str, dict[str, Any]]:
    """Return one style's plain pictures by caption, unseen concepts first."""
    columns = ("id", "variant", "picture", "caption", "style", "group")
    by_caption: dict[str, dict[str, Any]] = {}
    for split in SPLITS[::-1]:
        for row in read(gallery, split, columns).to_pylist():
            if row["style"] == style and row["group"] in GROUPS and not row["variant"]:
                by_caption.setdefault(row["caption"], row)
    return by_caption


def _page(picture: bytes, caption: str) -> Image.Image:
    """Lay a picture and its name out on a page of 150 dots an inch."""
    from PIL import Image, ImageDraw, ImageFont

    page = Image.new("RGB", (874, 1000), "white")
    page.paste(read_picture(picture).resize((760, 760)), (57, 40))
    font = ImageFont.load_default(size=48)
    ImageDraw.Draw(page).text((437, 900), caption, "black", font, anchor="mm")
    return page
