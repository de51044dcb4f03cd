"""The folder that an index lives in: who writes to it, whether there is room, what was done."""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ponder.errors import PonderError
from ponder.paths import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

RECORD = "index.json"
_REFUSED = re.compile(r"[\x00-\x1f\x7f]")
ROW_BYTES = 6000  # of a row beside its vector: a thumbnail, a snippet, a path
SPARE_BYTES = 16 * 2**20  # for the table's own notes, and for what else goes on on the disk


@dataclass(frozen=True)
class Record:
    """What is remembered of an index beside its rows.

    Attributes:
        roots: the folders and files that were indexed; one within another is not named.
        last_run: when the latest run ended, in seconds since 1970, how many it took, and its
            counts by the names of a `Report`; empty before the first.
    """

    roots: tuple[Path, ...] = ()
    last_run: dict[str, float] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Record:
        """Read an index's record; an index of an earlier version, or a damaged record, has none."""
        try:
            kept = json.loads((folder / RECORD).read_text(encoding="utf-8"))
            run = {name: value for name, value in kept["last_run"].items() if value >= 0}
            return cls(tuple(map(Path, kept["roots"])), run)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return cls()

    def write(self, folder: Path) -> None:
        """Write it, in one step."""
        kept = {"roots": [str(root) for root in self.roots], "last_run": self.last_run}
        unfinished = folder / f".{RECORD}.{os.getpid()}"
        unfinished.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        unfinished.replace(folder / RECORD)

    def after(self, roots: Iterable[Path], counts: dict[str, float]) -> Record:
        """Return the record after a run over `roots`.

        A root within one of them goes up in it, unless it is not there now, as on a drive that is
        not mounted.
        """
        new = list(dict.fromkeys(roots))
        kept = [r for r in self.roots if not (r.exists() and _is_within(r, new)) and r not in new]
        every = [*kept, *(r for r in new if not _is_within(r, [o for o in new if o != r]))]
        return Record(
            tuple(r for r in every if not (r.exists() and _is_within(r, set(every) - {r}))),
            {"ended": time.time(), **counts},
        )

    def without(self, forgotten: Iterable[Path]) -> Record:
        """Return the record after some paths were forgotten."""
        gone = list(forgotten)
        return Record(tuple(r for r in self.roots if not _is_within(r, gone)), self.last_run)


def check_folder(path: Path) -> None:
    """Raise a `PonderError` if there can be no index at `path`."""
    if path.exists() and not path.is_dir():
        raise PonderError(f"{printable(path)} is a file; an index is a folder of its own")
    if _REFUSED.search(printable(path.absolute())):
        raise PonderError(f"{printable(path)}: LanceDB opens no folder with control characters")


def check_room(folder: Path, rows: int, dim: int) -> None:
    """Raise a `PonderError` if the disk has no room for so many more rows.

    A full disk is better found now than when a model has worked for minutes.
    """
    free = shutil.disk_usage(folder).free
    needed = rows * (ROW_BYTES + 4 * dim) + (SPARE_BYTES if rows else 0)
    if free < needed:
        raise PonderError(
            f"{printable(folder)}: {free / 1e6:,.0f} MB are free there and {rows:,} files need "
            f"about {needed / 1e6:,.0f} MB; free some space, or keep the index on another disk"
        )


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep a second run out: each would add what the other does. A kill ends the hold as well.

    Raises:
        PonderError: another run is on, or the folder cannot be written to.
    """
    if os.name != "posix":  # no lock elsewhere: two runs at once are the user's to avoid
        yield
        return
    import fcntl

    with _lock(folder) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PonderError(
                f"another run is writing to {printable(folder)}; try again when it is done"
            ) from None
        yield


def no_index(folder: Path) -> str:
    """Say that there is no index."""
    return f"no index at {printable(folder)}; make one with: ponder index PATH {index_flag(folder)}"


def index_flag(folder: Path) -> str:
    """Return what names the index on a command line."""
    return f"--index {shlex.quote(printable(folder))}"


def _lock(folder: Path) -> Any:
    try:
        return (folder / ".lock").open("w")
    except OSError as error:
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise PonderError(
                f"{printable(folder)} cannot be written to ({error.strerror}): it can be searched, "
                "but not changed"
            ) from None
        raise


def _is_within(path: Path, others: Iterable[Path]) -> bool:
    return any(path.is_relative_to(other) for other in others)
