"""Where rows live: the `Store` protocol and its LanceDB form.

One folder holds one table for each model that has embedded into it, named by the model's
fingerprint, so that vectors of two models cannot meet. More than one is there only while the files
are being embedded again with another model.
"""

from __future__ import annotations

import datetime
import os
import re
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa

from ponder.errors import FingerprintError, PonderError, StoreError
from ponder.paths import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from numpy.typing import NDArray

DELETED_TOGETHER = 1000  # files named in one statement
FRAGMENTS = 64  # commits left side by side before they are merged into one
KEPT = datetime.timedelta(days=1)  # how long a reader may go on with the state it opened
UNFINISHED = -1
"""Stands for a file's `mtime_ns` while not all of its rows are there."""


def schema(dim: int) -> pa.Schema:
    """Return the columns of a row.

    `part` counts a file's rows from 0, and `mtime_ns` is `UNFINISHED` while more are to come.
    `path` is for people and `raw_path` its bytes; `file` stands for the path in keys. `hash` is the
    SHA-256 of the file. Where in the file the row comes from is in `page`, `seconds` or
    `first_line` and `last_line`, whichever fits.
    """
    return pa.schema(
        [
            ("id", pa.string()),
            ("file", pa.string()),
            ("part", pa.int32()),
            ("path", pa.string()),
            ("raw_path", pa.binary()),
            ("hash", pa.string()),
            ("size", pa.int64()),
            ("mtime_ns", pa.int64()),
            ("kind", pa.string()),
            ("page", pa.int32()),
            ("seconds", pa.float32()),
            ("first_line", pa.int32()),
            ("last_line", pa.int32()),
            ("snippet", pa.string()),
            ("gate", pa.float32()),
            ("thought", pa.string()),
            ("thumbnail", pa.binary()),
            ("vector", pa.list_(pa.float32(), dim)),
        ]
    )


class Store(Protocol):
    """A table of rows, each with a position from 0 in its current version."""

    def version(self) -> str:
        """Move on to the newest state, which all reading then sees, and return its unique name."""

    def scan(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Read columns of every row, in order of position."""

    def take(self, positions: NDArray[np.int64], columns: Sequence[str]) -> pa.Table:
        """Read columns of some rows, in the order asked for."""

    def write(self, rows: pa.Table, replaced: Collection[str] = ()) -> None:
        """Add rows and drop all other rows of the files `replaced`, in one step or not at all."""

    def finish(self, file: str, size: int, mtime_ns: int) -> None:
        """Write a file's size and time into its rows, in one step: all of them are there."""

    def compact(self) -> None:
        """Tidy up after many writes; nothing to be read changes."""


class LanceStore:
    """A `Store` in a folder.

    Args:
        folder: of the index; need not exist yet.
        fingerprint: of the model whose vectors it holds.
        model: that model's name, for messages.
        dim: of its vectors.
    """

    def __init__(self, folder: Path, fingerprint: str, model: str, dim: int) -> None:
        import lancedb

        folder.mkdir(parents=True, exist_ok=True)
        self._database = lancedb.connect(str(folder))
        self._folder = folder
        self.fingerprint = fingerprint
        self.schema = schema(dim)
        self._name = _table_name(fingerprint)
        self._table: Any
        if self._name in _table_names(folder):
            self._table = self._database.open_table(self._name)
        else:
            notes = {"fingerprint": fingerprint, "model": model, "table": uuid.uuid4().hex}
            with _writing(folder):
                self._table = self._database.create_table(
                    self._name, schema=self.schema.with_metadata(notes)
                )
        notes = _notes(self._table)
        if notes["fingerprint"] != fingerprint:
            raise FingerprintError(f"{folder}: {self._name} holds vectors of another model")
        self._table_id = notes["table"]

    def version(self) -> str:
        """See `Store`."""
        self._table.checkout_latest()
        return f"{self._table_id}-{self._table.version}"

    def scan(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """See `Store`."""
        yield from self._table.search().select(list(columns)).limit(None).to_batches()

    def take(self, positions: NDArray[np.int64], columns: Sequence[str]) -> pa.Table:
        """See `Store`."""
        # Lance answers in its own order, whatever the order of the question.
        once, places = np.unique(positions, return_inverse=True)
        if not len(once):
            return self.schema.empty_table().select(list(columns))
        rows = self._table.take_offsets(once.tolist()).select(list(columns)).to_arrow()
        return rows.take(pa.array(places))

    def write(self, rows: pa.Table, replaced: Collection[str] = ()) -> None:
        """See `Store`."""
        names = sorted(replaced)
        with _writing(self._folder):
            if rows.num_rows and not names:
                self._table.add(rows)
            elif rows.num_rows:
                merge = self._table.merge_insert("id").when_matched_update_all()
                merge = merge.when_not_matched_insert_all()
                merge.when_not_matched_by_source_delete(_is_one_of(names)).execute(rows)
            else:
                for start in range(0, len(names), DELETED_TOGETHER):
                    self._table.delete(_is_one_of(names[start : start + DELETED_TOGETHER]))

    def finish(self, file: str, size: int, mtime_ns: int) -> None:
        """See `Store`."""
        values = {"size": size, "mtime_ns": mtime_ns}
        with _writing(self._folder):
            self._table.update(where=_is_one_of([file]), values=values)

    def compact(self) -> None:
        """See `Store`."""
        if self._table.stats()["fragment_stats"]["num_small_fragments"] >= FRAGMENTS:
            with _writing(self._folder):
                self._table.optimize(cleanup_older_than=KEPT)

    def files(self) -> dict[str, Path]:
        """Return the path of each file it has rows of, by the file's key."""
        found: dict[str, Path] = {}
        for batch in self.scan(["file", "raw_path"]):
            for key, name in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                if key not in found:
                    found[key] = Path(os.fsdecode(name))
        return found


@dataclass(frozen=True)
class Held:
    """Whose vectors one table of a folder holds."""

    fingerprint: str
    model: str
    dim: int


def held(folder: Path) -> list[Held]:
    """Return what the tables of an index folder hold; nothing where there is no index."""
    if not _table_names(folder):
        return []
    import lancedb

    database = lancedb.connect(str(folder))
    tables = [database.open_table(name) for name in _table_names(folder)]
    return [
        Held(note["fingerprint"], note["model"], table.schema.field("vector").type.list_size)
        for table, note in zip(tables, map(_notes, tables), strict=True)
    ]


def drop(folder: Path, fingerprint: str) -> None:
    """Delete the table with that model's vectors."""
    import lancedb

    lancedb.connect(str(folder)).drop_table(_table_name(fingerprint))


def _table_name(fingerprint: str) -> str:
    return f"rows-{fingerprint[:16]}"


def _table_names(folder: Path) -> list[str]:
    # A kill while a table is being made leaves its folder without a version: that is no table yet.
    tables = folder.glob("rows-*.lance")
    return sorted(table.stem for table in tables if any(table.glob("_versions/*.manifest")))


def _notes(table: Any) -> dict[str, str]:
    metadata = table.schema.metadata or {}
    notes = {key.decode(): value.decode() for key, value in metadata.items()}
    if missing := {"fingerprint", "model", "table"} - set(notes):
        raise PonderError(
            f"{table.name} was not written by ponder: no {min(missing)} in its schema"
        )
    return notes


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Turn what LanceDB raises when the system refuses a write into one line."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        number = re.search(r"\(os error (\d+)\)", str(error))
        if number is None:
            raise
        raise StoreError(
            f"{printable(folder)}: {os.strerror(int(number[1]))}; what was written before is kept, "
            "the same command goes on from there"
        ) from error


def _is_one_of(names: Sequence[str]) -> str:
    return f"file IN ({', '.join(repr(name) for name in names)})"
