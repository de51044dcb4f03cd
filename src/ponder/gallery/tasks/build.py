"""Building the Gallery's tasks: what each is made of, and how many of each split."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ponder.errors import PonderError
from ponder.gallery.concepts import SPLITS
from ponder.gallery.concepts import split as split_of
from ponder.gallery.shards import read_manifest as read_gallery
from ponder.gallery.tasks.category import category
from ponder.gallery.tasks.changed import changed_picture
from ponder.gallery.tasks.chart import chart
from ponder.gallery.tasks.clock import clock, times_of
from ponder.gallery.tasks.flag import flag
from ponder.gallery.tasks.foreign import foreign_caption
from ponder.gallery.tasks.manuals import MANUALS
from ponder.gallery.tasks.material import PACKAGES, gather
from ponder.gallery.tasks.page import page
from ponder.gallery.tasks.pictures import (
    caption_to_picture,
    cross_style,
    one_a_concept,
    picture_to_caption,
    plain,
    twins,
)
from ponder.gallery.tasks.relation import relation
from ponder.gallery.tasks.schema import TASKS, VERSION, PictureStore, write_task
from ponder.home import home
from ponder.packages import sha256
from ponder.progress import silent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ponder.gallery.concepts import Split
    from ponder.gallery.shards import Row
    from ponder.gallery.tasks.material import Material
    from ponder.gallery.tasks.schema import Task
    from ponder.progress import Progress

LIMITS: dict[Split, int] = {"train": 2000, "dev": 500, "test": 500}
"""Queries of one task at most."""


def default_folder() -> Path:
    """Return where tasks are built unless told otherwise."""
    return home() / "gallery" / "tasks"


def build_tasks(gallery: Path, folder: Path, progress: Progress = silent) -> Path:
    """Build every task of a Gallery unless they are there; return their folder.

    The same Gallery, packages and library versions give the same bytes. The folder appears, or
    replaces older tasks, only when it is complete.

    Args:
        gallery: a built Gallery; `full` is the one figures are reported on.
        folder: where to; made if absent. One that holds anything else is refused.
        progress: called as the stages go on.

    Raises:
        FetchError: a package cannot be fetched, or is not the pinned one.
        PonderError: there is no Gallery, or the folder holds something other than tasks.
    """
    facts = {
        "gallery": {"part": read_gallery(gallery).get("part"), **read_gallery(gallery)["shards"]},
        "sources": {str(package): package.sha256 for package in PACKAGES},
    }
    if _is_built(folder, facts):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".tasks-", dir=folder.parent) as scratch:
        material = gather(gallery, Path(scratch, "unpacked"), progress)
        result = Path(scratch, "result")
        write_tasks(material, result, facts, progress)
        if folder.exists():
            folder.rename(Path(scratch, "old"))
        result.rename(folder)
    return folder


def write_tasks(
    material: Material, folder: Path, facts: dict[str, Any], progress: Progress = silent
) -> None:
    """Make and write every task, and then the manifest, into a new folder."""
    folder.mkdir()
    pictures = PictureStore()
    files: list[Path] = []
    counts: dict[str, Any] = {}
    for i, (name, splits) in enumerate(make(material)):
        progress("tasks", i, len(TASKS))
        files += write_task(folder / name, splits, pictures)
        counts[name] = {split: _count(task) for split, task in splits.items()}
    files += pictures.write(folder / "pictures")
    manifest = {
        "version": VERSION,
        "drawn_with": {name: version(name) for name in ("pillow", "pypdfium2", "pyarrow")},
        **facts,
        "licences": {name: licence for name, (_, _, licence) in MANUALS.items()},
        "counts": counts,
        "files": {file.relative_to(folder).as_posix(): sha256(file) for file in files},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    progress("tasks", len(TASKS), len(TASKS))


def make(material: Material) -> Iterator[tuple[str, dict[Split, Task]]]:
    """Yield each task's name and its splits, in the order of `TASKS`."""
    times = times_of(row for rows in material.rows.values() for row in rows)
    made = {split: dict(_make(material, split, times[split])) for split in SPLITS}
    for name in TASKS:
        yield name, {split: made[split][name] for split in SPLITS}


def _make(
    material: Material, split: Split, times: Mapping[tuple[int, int], Sequence[Row]]
) -> Iterator[tuple[str, Task]]:
    rows, limit = material.rows[split], LIMITS[split]
    pairs = one_a_concept(plain(rows))
    yield "caption_to_picture", caption_to_picture(pairs[:limit])
    yield "picture_to_caption", picture_to_caption(pairs[:limit])
    yield "cross_style", cross_style(twins(plain(rows))[:limit])
    yield "changed_picture", changed_picture(rows, limit)
    yield "foreign_caption", foreign_caption(pairs, limit)
    yield "category", category(rows, material.subgroups, limit)
    yield "flag", flag(plain(rows), limit)
    yield "clock", clock(times)
    yield "chart", chart([one for one in material.series if split_of(one.concept) == split], limit)
    manuals = [one for one in material.manuals if split_of(one.concept) == split]
    yield "page", page(manuals, limit)
    yield "relation", relation(rows, material.subgroups, limit)


def _count(task: Task) -> dict[str, int]:
    parts = Counter(query.part for query in task.queries)
    return {"easy": parts["easy"], "hard": parts["hard"], "candidates": len(task.candidates)}


def _is_built(folder: Path, facts: dict[str, Any]) -> bool:
    """Tell whether the folder holds these very tasks; refuse one that holds anything else."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    if not (folder / "manifest.json").exists():
        raise PonderError(f"{folder} holds something other than tasks; name another folder")
    manifest = json.loads((folder / "manifest.json").read_text())
    if manifest.get("version") != VERSION or {key: manifest.get(key) for key in facts} != facts:
        return False
    return all((folder / name).exists() for name in manifest["files"])
