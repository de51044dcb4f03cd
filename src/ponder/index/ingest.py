"""One run over some files: read, embed what is new, commit whole files, forget what is gone."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ponder.errors import ItemError
from ponder.index.files import Skipped, reader_of
from ponder.index.report import Report
from ponder.index.rows import copy_rows, make_rows
from ponder.index.units import read_file
from ponder.media import MediaError, check_size

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from numpy.typing import NDArray

    from ponder.engine.trace import ThinkMode, Trace
    from ponder.index.decoders import Decoder, Decoders
    from ponder.index.encoder import Encoder
    from ponder.index.files import File, Found, Reader
    from ponder.index.store import Store
    from ponder.index.units import Unit
    from ponder.items import Item

    Content = tuple[Reader | None, str]  # how a file is read, and its hash

COMMIT_ROWS = 1024
COMMIT_S = 5.0  # the most work that a kill can undo


@dataclass
class _Reading:
    """A file on its way through the decoders and the model."""

    file: File
    hash: str = ""
    is_copy: bool = False
    units: list[tuple[Unit, NDArray[np.float32], Trace]] = field(default_factory=list)

    @property
    def content(self) -> Content:
        """What two files must share for their rows to be the same."""
        return self.file.reader, self.hash


@dataclass(frozen=True)
class _Place:
    """What an item is known by inside the model; its `str` names it in the model's errors."""

    reading: _Reading
    unit: Unit

    def __str__(self) -> str:
        return str(self.reading.file)


@dataclass(frozen=True)
class _Known:
    """A file as the table has it."""

    path: Path
    hash: str
    size: int
    mtime_ns: int


class Ingest:
    """One run.

    A file whose content the table has already, under its own name or another, is not embedded: its
    rows are copied. Every commit holds whole files, so the table is right at any moment and a run
    after a kill goes on where the last commit ended.

    Args:
        store: what it writes to.
        schema: the store's columns.
        model: what embeds.
        think: which items it thinks about first.
        decoders: what reads.
        tell: called with (files done, files in all) whenever a file is done.
    """

    def __init__(
        self,
        store: Store,
        schema: pa.Schema,
        model: Encoder,
        think: ThinkMode,
        decoders: Decoders,
        tell: Callable[[int, int], None],
    ) -> None:
        self._store = store
        self._schema = schema
        self._model = model
        self._think = think
        self._decoders = decoders
        self._tell = tell
        self._report = Report()
        self._known: dict[str, _Known] = {}
        self._total = 0
        self._settled: set[str] = set()  # keys of files this run is done with
        self._skipped: set[str] = set()
        self._claimed: set[Content] = set()  # content that needs no embedding
        self._lock = threading.Lock()  # guards _claimed
        self._buffer: list[_Reading] = []  # whole files that are not written yet
        self._waiting = 0  # rows of those
        self._committed = time.monotonic()

    def run(self, found: Found) -> Report:
        """Bring the table in line with what a walk found."""
        began = time.monotonic()
        report = self._report
        self._store.version()  # another run may have written since the store was opened
        self._known = self._read_known()
        self._total = len(found.files)
        self._settled = {file.key for file in found.files if self._is_unchanged(file)}
        report.unchanged = len(self._settled)
        report.ignored = found.ignored
        report.skipped += found.skipped
        # A second round is for files whose content was to be copied from a file that then failed
        # or changed, and for the rest after one that the model refused.
        while left := [file for file in found.files if file.key not in self._settled]:
            self._round(left)
        self._forget(found)
        self._store.compact()
        report.skipped.sort(key=lambda one: os.fsencode(one.path))
        report.seconds = time.monotonic() - began
        return report

    def _round(self, files: list[File]) -> None:
        self._claimed = {(reader_of(was.path), was.hash) for was in self._read_known().values()}
        copies: list[_Reading] = []
        try:
            self._embed(files, copies)
        except ItemError as error:
            refused = [file for file in files if str(file) == error.item]
            if not refused:
                raise
            self._skip(refused[0], error.reason)
        self._commit()
        for start in range(0, len(copies), COMMIT_ROWS):
            self._copy(copies[start : start + COMMIT_ROWS])

    def _embed(self, files: list[File], copies: list[_Reading]) -> None:
        current: _Reading | None = None
        items = self._items(files, copies)
        for place, vector, trace in self._model.stream(items, think=self._think):
            if current and place.reading is not current:
                self._finish(current)
            current = place.reading
            current.units.append((place.unit, vector, trace))
            self._report.embedded += 1
            self._report.thought += trace.thought is not None
            self._report.thought_tokens += trace.thought_tokens
        if current:
            self._finish(current)

    def _items(self, files: list[File], copies: list[_Reading]) -> Iterator[tuple[_Place, Item]]:
        readings = map(_Reading, files)
        tasks = ((reading, partial(self._read, reading)) for reading in readings)
        for reading, values in self._decoders.stream(tasks):
            count = 0
            try:
                for item, unit in values:
                    count += 1
                    yield _Place(reading, unit), item
            except (MediaError, ItemError, OSError) as error:
                self._skip(reading.file, _reason(error))
            else:
                if reading.is_copy:
                    copies.append(reading)
                elif not count:
                    self._skip(reading.file, "nothing in it to embed")

    def _read(self, reading: _Reading, decoder: Decoder) -> Generator[tuple[Item, Unit]]:
        """Run in a decoder thread."""
        file = reading.file
        check_size(file.size, self._model.limits)
        with file.path.open("rb") as stream:
            reading.hash = hashlib.file_digest(stream, "sha256").hexdigest()
        with self._lock:
            reading.is_copy = reading.content in self._claimed
            self._claimed.add(reading.content)
        if not reading.is_copy:
            yield from decoder.call(read_file, file.path, file.reader, self._model.limits)

    def _finish(self, reading: _Reading) -> None:
        # The decoders run ahead: by the time a later file's vectors arrive, a failure is known.
        if reading.file.key in self._settled:
            return
        self._buffer.append(reading)
        self._waiting += len(reading.units)
        self._count(reading)
        if self._waiting >= COMMIT_ROWS or time.monotonic() - self._committed >= COMMIT_S:
            self._commit()

    def _commit(self) -> None:
        if self._buffer:
            done = ((reading.file, reading.hash, reading.units) for reading in self._buffer)
            self._write(make_rows(done, self._schema), self._buffer)
        self._buffer, self._waiting, self._committed = [], 0, time.monotonic()

    def _write(self, rows: pa.Table, readings: list[_Reading]) -> None:
        keys = {reading.file.key for reading in readings}
        self._store.write(rows, keys & set(self._known))

    def _copy(self, copies: list[_Reading]) -> None:
        """Give files the rows of another file of the same content, where the table has one."""
        sources = self._sources({reading.hash for reading in copies})
        found = [reading for reading in copies if reading.content in sources]
        positions = [position for reading in found for position in sources[reading.content]]
        rows = self._store.take(np.array(positions, dtype=np.int64), self._schema.names)
        copied, start = [self._schema.empty_table()], 0
        for reading in found:
            count = len(sources[reading.content])
            copied.append(copy_rows(reading.file, rows.slice(start, count)))
            start += count
            self._count(reading)
        self._write(pa.concat_tables(copied), found)

    def _count(self, reading: _Reading) -> None:
        was = self._known.get(reading.file.key)
        if was is None:
            self._report.added += 1
        elif was.hash == reading.hash:
            self._report.unchanged += 1
        else:
            self._report.changed += 1
        self._settle(reading.file)

    def _sources(self, hashes: set[str]) -> dict[Content, list[int]]:
        """Return the positions of one file's rows, in order, for each content."""
        owners: dict[Content, str] = {}
        parts: dict[Content, dict[int, int]] = defaultdict(dict)
        start = 0
        for batch in self._store.scan(["hash", "file", "path", "part"]):
            kept = pc.is_in(batch.column("hash"), pa.array(sorted(hashes), pa.string()))
            for offset in np.flatnonzero(kept.to_numpy(zero_copy_only=False)).tolist():
                row = {name: batch.column(name)[offset].as_py() for name in batch.schema.names}
                content = reader_of(row["path"]), row["hash"]
                if owners.setdefault(content, row["file"]) == row["file"]:
                    parts[content][row["part"]] = start + offset
            start += batch.num_rows
        return {content: [of[part] for part in sorted(of)] for content, of in parts.items()}

    def _forget(self, found: Found) -> None:
        there = {file.key for file in found.files} - self._skipped
        gone = {
            key
            for key, was in self._known.items()
            if key in self._skipped or (key not in there and found.covers(was.path))
        }
        if gone:
            self._store.write(self._schema.empty_table(), gone)
        self._report.forgotten = len(gone) + found.gone

    def _read_known(self) -> dict[str, _Known]:
        known = {}
        for batch in self._store.scan(["file", "part", "raw_path", "hash", "size", "mtime_ns"]):
            for row in batch.filter(pc.equal(batch.column("part"), 0)).to_pylist():
                path = Path(os.fsdecode(row["raw_path"]))
                known[row["file"]] = _Known(path, row["hash"], row["size"], row["mtime_ns"])
        return known

    def _is_unchanged(self, file: File) -> bool:
        was = self._known.get(file.key)
        return was is not None and (was.size, was.mtime_ns) == (file.size, file.mtime_ns)

    def _skip(self, file: File, reason: str) -> None:
        self._report.skipped.append(Skipped(file.path, reason))
        self._skipped.add(file.key)
        self._settle(file)

    def _settle(self, file: File) -> None:
        self._settled.add(file.key)
        self._tell(len(self._settled), self._total)


def _reason(error: Exception) -> str:
    if isinstance(error, ItemError):
        return error.reason
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
