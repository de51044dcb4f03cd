"""Where the bundle of MMEB-V2 keeps annotations, pictures and frames on disk."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ponder.eval.mmeb.retrieval import MmebError
from ponder.eval.mmeb.rows import Rows, RowsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ponder.eval.mmeb.tasks import MmebTask

FRAMES = 8  # of a video that the protocol shows
FRAME_SUFFIXES = frozenset([".jpg", ".jpeg", ".png"])


@dataclass(frozen=True)
class Layout:
    """The bundle's folder: the archives unpacked, the annotation repositories beside them.

    Attributes:
        folder: has `image-tasks`, `video-tasks` and `visdoc-tasks`, and OWNER/NAME for each
            repository of annotations.
    """

    folder: Path

    def rows(self, task: MmebTask, columns: Sequence[str], subset: str = "") -> Rows:
        """Return a task's annotations.

        Args:
            task: whose.
            columns: that each row must have.
            subset: of the repository, if not the task's own.

        Raises:
            MmebError: they are not there, cannot be read, or lack a column.
        """
        places = [
            self.folder / task.repo,
            self.folder / f"{task.modality}-tasks" / task.repo.rpartition("/")[2],
            self.folder / "video-tasks" / "data" / f"{task.name.lower()}.jsonl",
        ]
        found = next((place for place in places if place.exists()), None)
        if found is None:
            raise MmebError(
                f"{task.name}: no annotations in {', '.join(map(str, places))}; "
                f"`hf download {task.repo} --repo-type dataset --local-dir {places[0]}` gets them"
            )
        try:
            rows = Rows.of(found, subset or task.subset, task.split)
            missing = [name for name in columns if name not in rows.columns]
        except RowsError as error:
            raise MmebError(f"{task.name}: {error}") from error
        if missing:
            known = ", ".join(rows.columns)
            raise MmebError(f"{task.name}: {found} has no column {missing[0]!r}, only {known}")
        return rows

    def picture(self, task: MmebTask, name: str) -> Path:
        """Return the path of a picture that an annotation names.

        Raises:
            MmebError: it is missing, or lies outside the bundle.
        """
        return self._found(task, name, is_folder=False)

    def frames(self, task: MmebTask, name: str, count: int | None = None) -> tuple[Path, ...]:
        """Return a video's frames, spread evenly over those that were extracted.

        Args:
            task: whose.
            name: of the folder.
            count: how many; all there are where that is fewer. None for all.

        Raises:
            MmebError: the folder is missing, empty, or outside the bundle.
        """
        folder = self._found(task, name, is_folder=True)
        paths = (path for path in folder.iterdir() if path.suffix.lower() in FRAME_SUFFIXES)
        frames = sorted(paths, key=lambda path: _natural(path.name))
        if not frames:
            raise MmebError(f"{task.name}: no frames in {folder}")
        if count is None or len(frames) < count:
            return tuple(frames)
        chosen = np.linspace(0, len(frames) - 1, count, dtype=int)
        return tuple(frames[i] for i in chosen)

    def folders(self, task: MmebTask, name: str) -> list[str]:
        """Return the names of the folders in a folder, sorted.

        Raises:
            MmebError: the folder is missing or outside the bundle.
        """
        folder = self._found(task, name, is_folder=True)
        return sorted(entry.name for entry in folder.iterdir() if entry.is_dir())

    def _found(self, task: MmebTask, name: str, is_folder: bool) -> Path:
        roots = [self.folder / root for root in task.media]
        for root in roots:
            path = Path(os.path.normpath(root / name))
            if not path.is_relative_to(root):
                raise MmebError(f"{task.name}: {name!r} leads out of {root}")
            if path.is_dir() if is_folder else path.is_file():
                return path
        kind = "folder of frames" if is_folder else "picture"
        raise MmebError(
            f"{task.name}: no {kind} {name!r} in {', '.join(map(str, roots))}; unpack the archives "
            "of TIGER-Lab/MMEB-V2 there"
        )


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort "frame_10" behind "frame_9"."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdigit() else (-1, part.lower()) for part in parts]
