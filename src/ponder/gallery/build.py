"""Building the Gallery: real pictures with real descriptions, from pinned packages.

The part `demo` is the emoji; the part `full` adds stamps and clip art from Debian packages.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ponder.errors import PonderError
from ponder.gallery.concepts import Shown, assign, split
from ponder.gallery.picture import render, renderers
from ponder.gallery.shards import VERSION, Row, write
from ponder.gallery.sources import PACKAGES, Part, read_entries, unpack_all
from ponder.home import home
from ponder.media import MediaError
from ponder.packages import fetch
from ponder.progress import silent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ponder.gallery.entry import Entry
    from ponder.gallery.picture import Picture
    from ponder.progress import Progress


def default_folder(part: Part) -> Path:
    """Return where a part of the Gallery is built unless told otherwise."""
    return home() / "gallery" / part


def build(part: Part, folder: Path, progress: Progress = silent) -> Path:
    """Build a part of the Gallery unless it is there; return its folder.

    The same packages give the same bytes. The folder appears, or replaces an older Gallery, only
    when it is complete.

    Args:
        part: "demo" needs npm alone; "full" needs a Debian system too.
        folder: where to; made if absent. One that holds anything else is refused.
        progress: called as the stages go on.

    Raises:
        FetchError: a package cannot be fetched, or is not the pinned one.
        MissingExtraError: the extra that renders pictures is not installed.
        PonderError: the folder holds something other than a Gallery.
    """
    sources = {str(package): package.sha256 for package in PACKAGES[part]}
    if _is_built(folder, sources):
        return folder
    renderers()  # a missing one should cost no download
    archives = []
    for i, package in enumerate(PACKAGES[part]):
        progress("fetch", i, len(PACKAGES[part]))
        archives.append((package, fetch(package)))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=folder.parent) as scratch:
        unpacked, result = Path(scratch, "unpacked"), Path(scratch, "result")
        result.mkdir()
        unpack_all(archives, unpacked)
        progress("fetch", len(archives), len(archives))
        entries, left_out = read_entries(part, unpacked)
        made = make_rows(entries, progress)
        write(
            result,
            made.rows,
            {
                "part": part,
                "sources": sources,
                "left_out": dict(sorted((left_out + made.left_out).items())),
                "unreadable": made.unreadable,
                "largest_concepts": made.largest_concepts,
            },
        )
        if folder.exists():
            folder.rename(Path(scratch, "old"))
        result.rename(folder)
    return folder


@dataclass(frozen=True)
class Made:
    """Rows, and what became of the entries that gave none.

    Attributes:
        rows: one for each picture that was kept.
        left_out: how many pictures were left out for which reason.
        unreadable: for each picture that could not be rendered, its id and the reason.
        largest_concepts: the concepts most pictures were joined in, and how many each holds.
    """

    rows: list[Row]
    left_out: Counter[str]
    unreadable: dict[str, str]
    largest_concepts: dict[str, int]


def make_rows(entries: Sequence[Entry], progress: Progress = silent) -> Made:
    """Render entries, join those that show one thing, and split them by it."""
    shown, pictures, unreadable = _render_all(entries, progress)
    concepts = assign(
        [Shown(entry.concept, entry.caption) for entry in shown],
        np.stack([picture.look for picture in pictures]),
        np.stack([picture.thumb for picture in pictures]),
    )
    rows = [
        _row(entry, picture, concept)
        for entry, picture, concept in zip(shown, pictures, concepts, strict=True)
        if concept
    ]
    left_out = Counter({"between splits": concepts.count(None), "unreadable": len(unreadable)})
    families = Counter(row["concept"] for row in rows if not row["variant"])
    largest = sorted(families.items(), key=lambda item: (-item[1], item[0]))[:20]
    return Made(rows, left_out, unreadable, dict(largest))


def _render_all(
    entries: Sequence[Entry], progress: Progress
) -> tuple[list[Entry], list[Picture], dict[str, str]]:
    shown: list[Entry] = []
    pictures: list[Picture] = []
    unreadable: dict[str, str] = {}
    for i, entry in enumerate(entries):
        try:
            pictures.append(render(entry.file))
            shown.append(entry)
        except MediaError as error:
            unreadable[entry.id] = str(error)
        progress("render", i + 1, len(entries))
    return shown, pictures, unreadable


def _row(entry: Entry, picture: Picture, concept: str) -> Row:
    row = asdict(entry)
    del row["file"]
    return {**row, "concept": concept, "split": split(concept), "picture": picture.encoded}


def _is_built(folder: Path, sources: dict[str, str]) -> bool:
    """Tell whether the folder holds this very Gallery; refuse one that holds anything else."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    if not (folder / "manifest.json").exists():
        raise PonderError(f"{folder} holds something other than a Gallery; name another folder")
    manifest = json.loads((folder / "manifest.json").read_text())
    is_same = manifest.get("version") == VERSION and manifest.get("sources") == sources
    return is_same and all((folder / name).exists() for name in manifest["shards"])
