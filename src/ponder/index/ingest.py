"""One run over some files: read, embed what is new, commit often, forget what is gone."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ponder.errors import ItemError
from ponder.index.files import Skipped, reader_of
from ponder.index.folder import Record, check_room
from ponder.index.report import Report
from ponder.index.rows import copy_rows, make_rows
from ponder.index.store import UNFINISHED
from ponder.index.units import Omitted, read_file
from ponder.index.upkeep import absent
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
    """A file on its way through the decoders and the model.

    Attributes:
        file: the file.
        hash: of its content.
        is_copy: whether another file with this content is in the table, or on its way there.
        found: how many of its rows were in the table before; those are not embedded again.
        written: how many of its rows are in the table now.
        units: what was embedded and is not written yet.
        began: when the first of its vectors came.
    """

    file: File
    hash: str = ""
    is_copy: bool = False
    found: int = 0
    written: int = 0
    units: list[tuple[Unit, NDArray[np.float32], Trace]] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

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

    @property
    def is_whole(self) -> bool:
        """Whether all of its rows are there."""
        return self.mtime_ns != UNFINISHED


class Ingest:
    """One run.

    A file whose content the table has already, under its own name or another, is not embedded: its
    rows are copied. A commit holds whole files and the rows so far of a file that takes longer,
    which are marked as such, so a run after a kill goes on where the last commit ended.

    Args:
        store: what it writes to.
        schema: the store's columns.
        model: what embeds.
        think: which items it thinks about first.
        decoders: what reads.
        folder: the index's own.
        tell: called with (files done, files in all), first when both are known.
    """

    def __init__(
        self,
        store: Store,
        schema: pa.Schema,
        model: Encoder,
        think: ThinkMode,
        decoders: Decoders,
        folder: Path,
        tell: Callable[[int, int], None],
    ) -> None:
        self._store = store
        self._schema = schema
        self._model = model
        self._think = think
        self._decoders = decoders
        self._folder = folder
        self._tell = tell
        self._report = Report()
        self._known: dict[str, _Known] = {}
        self._begun: dict[str, tuple[str, int]] = {}  # unfinished files: hash, rows in the table
        self._total = 0
        self._settled: set[str] = set()  # keys of files this run is done with
        self._skipped: set[str] = set()
        self._claimed: set[Content] = set()  # content that needs no embedding
        self._lock = threading.Lock()  # guards _claimed
        self._buffer: list[_Reading] = []  # whole files that are not written yet
        self._waiting = 0  # rows of those
        self._current: _Reading | None = None  # whose vectors are coming
        self._ended: list[_Reading] = []  # whose rows an earlier run wrote, all of them
        self._committed = time.monotonic()
        self._is_writing = False

    def run(self, found: Found) -> Report:
        """Bring the table in line with what a walk found.

        When it is interrupted, what is finished is written before it stops.
        """
        began = time.monotonic()
        report = self._report
        self._store.version()  # another run may have written since the store was opened
        self._known = self._read_known()
        self._begun = self._read_begun()
        self._total = len(found.files)
        self._settled = {file.key for file in found.files if self._is_unchanged(file)}
        report.unchanged = len(self._settled)
        self._tell(report.unchanged, self._total)
        check_room(self._folder, self._total - report.unchanged, self._model.dim)
        report.ignored = found.ignored
        report.skipped += found.skipped
        # A second round is for files whose content was to be copied from a file that then failed
        # or changed, and for the rest after one that the model refused.
        try:
            while left := [file for file in found.files if file.key not in self._settled]:
                self._round(left)
        except KeyboardInterrupt:
            if not self._is_writing:  # else that write is under way, and complete or not at all
                self._commit(self._current)
            raise
        self._forget(found)
        self._store.compact()
        for told in (report.skipped, report.partial):
            told.sort(key=lambda one: os.fsencode(one.path))
        report.seconds = time.monotonic() - began
        return report

    def _round(self, files: list[File]) -> None:
        whole = (was for was in self._read_known().values() if was.is_whole)
        self._claimed = {(reader_of(was.path), was.hash) for was in whole}
        copies: list[_Reading] = []
        try:
            self._embed(files, copies)
        except ItemError as error:
            refused = [file for file in files if str(file) == error.item]
            if not refused:
                raise
            self._skip(refused[0], error.reason)
        self._commit()
        self._current = None
        ended, self._ended = self._ended, []
        for reading in ended:
            self._end(reading)
        for start in range(0, len(copies), COMMIT_ROWS):
            self._copy(copies[start : start + COMMIT_ROWS])

    def _embed(self, files: list[File], copies: list[_Reading]) -> None:
        self._current = None
        items = self._items(files, copies)
        for place, vector, trace in self._model.stream(items, think=self._think):
            if self._current is not place.reading:
                if self._current:
                    self._finish(self._current)
                self._current = place.reading
                self._current.began = time.monotonic()
            self._current.units.append((place.unit, vector, trace))
            if trace.cut_tokens:
                reason = f"a text is longer than the model reads, by {trace.cut_tokens:,} tokens"
                self._report.partial.append(Skipped(place.reading.file.path, reason))
            self._report.embedded += 1
            self._report.thought += trace.thought is not None
            self._report.thought_tokens += trace.thought_tokens
            if self._is_time_to_commit():
                # A file that outlasts a commit is written as far as it is there.
                is_long = self._current.began <= self._committed
                self._commit(self._current if is_long else None)
        if self._current:
            self._finish(self._current)

    def _items(self, files: list[File], copies: list[_Reading]) -> Iterator[tuple[_Place, Item]]:
        readings = map(_Reading, files)
        tasks = ((reading, partial(self._read, reading)) for reading in readings)
        for reading, values in self._decoders.stream(tasks):
            count = 0
            try:
                for value in values:
                    if isinstance(value, Omitted):
                        self._report.partial.append(Skipped(reading.file.path, value.reason))
                        continue
                    item, unit = value
                    count += 1
                    if count > reading.found:
                        yield _Place(reading, unit), item
            except (MediaError, ItemError, OSError) as error:
                self._skip(reading.file, _reason(error))
            else:
                if reading.is_copy:
                    copies.append(reading)
                elif not count:
                    self._skip(reading.file, "nothing in it to embed")
                elif count <= reading.found:
                    self._ended.append(reading)

    def _read(self, reading: _Reading, decoder: Decoder) -> Generator[tuple[Item, Unit] | Omitted]:
        """Run in a decoder thread."""
        file = reading.file
        check_size(file.size, self._model.limits)
        with file.path.open("rb") as stream:
            reading.hash = hashlib.file_digest(stream, "sha256").hexdigest()
        with self._lock:
            reading.is_copy = reading.content in self._claimed
            self._claimed.add(reading.content)
        content_hash, rows = self._begun.get(file.key, ("", 0))
        if not reading.is_copy:
            reading.found = reading.written = rows if content_hash == reading.hash else 0
            yield from decoder.call(read_file, file.path, file.reader, self._model.limits)

    def _finish(self, reading: _Reading) -> None:
        # The decoders run ahead: by the time a later file's vectors arrive, a failure is known.
        if reading.file.key in self._settled:
            return
        if reading.written:
            self._is_writing = True
            if reading.units:
                self._write_part(reading)
            self._end(reading)
            self._is_writing = False
            return
        self._buffer.append(reading)
        self._waiting += len(reading.units)
        self._count(reading)
        if self._is_time_to_commit():
            self._commit()

    def _end(self, reading: _Reading) -> None:
        """Take the mark off a file all of whose rows are written."""
        self._store.finish(reading.file.key, reading.file.size, reading.file.mtime_ns)
        del self._begun[reading.file.key]
        self._count(reading)

    def _is_time_to_commit(self) -> bool:
        rows = self._waiting + (len(self._current.units) if self._current else 0)
        return rows >= COMMIT_ROWS or time.monotonic() - self._committed >= COMMIT_S

    def _commit(self, unfinished: _Reading | None = None) -> None:
        """Write the files that are whole, and the rows so far of one that is not."""
        self._is_writing = True
        if self._buffer:
            done = [(reading.file, reading.hash, 0, reading.units) for reading in self._buffer]
            self._write(make_rows(done, self._schema), self._buffer)
        self._buffer, self._waiting = [], 0
        if unfinished and unfinished.units and unfinished.file.key not in self._settled:
            self._write_part(unfinished)
        self._committed = time.monotonic()
        self._is_writing = False

    def _write(self, rows: pa.Table, readings: list[_Reading]) -> None:
        keys = {reading.file.key for reading in readings}
        self._store.write(rows, keys & (self._known.keys() | self._begun.keys()))

    def _write_part(self, reading: _Reading) -> None:
        """Write what there is of a file, marked as unfinished."""
        key = reading.file.key
        file = replace(reading.file, mtime_ns=UNFINISHED)
        rows = make_rows([(file, reading.hash, reading.written, reading.units)], self._schema)
        if reading.written:
            self._store.write(rows)
        else:  # rows of an earlier content go
            self._write(rows, [reading])
        reading.written += len(reading.units)
        reading.units = []
        self._begun[key] = reading.hash, reading.written

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
        for batch in self._store.scan(["hash", "file", "path", "part", "mtime_ns"]):
            kept = pc.is_in(batch.column("hash"), pa.array(sorted(hashes), pa.string()))
            kept = pc.and_(kept, pc.not_equal(batch.column("mtime_ns"), UNFINISHED))
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
            key: was.path
            for key, was in self._known.items()
            if key not in there and key not in self._skipped and found.covers(was.path)
        }
        places = absent(gone.values(), Record.read(self._folder).roots)
        kept = {key for key, path in gone.items() if any(map(path.is_relative_to, places))}
        unreadable = self._skipped & (self._known.keys() | self._begun.keys())
        if dropped := (gone.keys() - kept) | unreadable:
            self._store.write(self._schema.empty_table(), dropped)
        self._report.forgotten = len(dropped & self._known.keys()) + found.gone
        self._report.absent = [
            Skipped(place, f"{count:,} files are known from under it and none is there now")
            for place, count in places.items()
        ]

    def _read_known(self) -> dict[str, _Known]:
        known = {}
        for batch in self._store.scan(["file", "part", "raw_path", "hash", "size", "mtime_ns"]):
            for row in batch.filter(pc.equal(batch.column("part"), 0)).to_pylist():
                path = Path(os.fsdecode(row["raw_path"]))
                known[row["file"]] = _Known(path, row["hash"], row["size"], row["mtime_ns"])
        return known

    def _read_begun(self) -> dict[str, tuple[str, int]]:
        rows: Counter[str] = Counter()
        for batch in self._store.scan(["file", "mtime_ns"]):
            is_begun = pc.equal(batch.column("mtime_ns"), UNFINISHED)
            rows.update(batch.filter(is_begun).column("file").to_pylist())
        return {key: (self._known[key].hash, count) for key, count in rows.items()}

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
        reason = error.reason
    else:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return " ".join(reason.split())  # a decoder's message may have lines; each is told in one
