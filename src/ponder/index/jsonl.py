"""JSONL in, Parquet out: one vector a line, resumable."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ponder.errors import FingerprintError, ItemError, PonderError
from ponder.index.decoders import Decoders
from ponder.index.units import read_item
from ponder.media import MediaError
from ponder.paths import expanded, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from ponder.engine.trace import ThinkMode, Trace
    from ponder.index.decoders import Decoder
    from ponder.index.encoder import Encoder
    from ponder.items import Item
    from ponder.media import Limits

# A part is written when it has so many rows or is so old: the most work that a kill can undo.
PART_ROWS = 512
PART_S = 5.0
LAYOUT = "2"
"""Of the Parquet file, in its notes: raised when rows come to mean something else."""

# The fields of a `Trace`.
TRACE_COLUMNS = (
    ("mode", pa.string()),
    ("gate", pa.float32()),
    ("thought", pa.string()),
    ("thought_ids", pa.list_(pa.int32())),
    ("closing_tokens", pa.int32()),
    ("was_cut", pa.bool_()),
    ("experts", pa.list_(pa.list_(pa.int32()))),
    ("cosines", pa.list_(pa.float32())),
    ("context_tokens", pa.int32()),
    ("cut_tokens", pa.int32()),
    ("thought_tokens", pa.int32()),
    ("read_ms", pa.float32()),
    ("think_ms", pa.float32()),
    ("embed_ms", pa.float32()),
)


@dataclass(frozen=True)
class EmbedReport:
    """What `embed_jsonl` did.

    Attributes:
        embedded: rows embedded now.
        finished: rows that were finished before.
        cut: rows embedded now whose text is longer than the model reads.
        bad: reasons why lines were left out, by the lines' numbers, in order.
    """

    embedded: int
    finished: int
    cut: int = 0
    bad: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Row:
    id: str
    line: int
    item: str

    def __str__(self) -> str:
        return f"line {self.line}"


def embed_jsonl(
    source: Path,
    target: Path,
    model: Encoder,
    *,
    think: ThinkMode = "never",
    tell: Callable[[int], None] = lambda done: None,
) -> EmbedReport:
    """Embed each line of a JSONL file into a row of a Parquet file.

    A line is an object with the keys of `ponder.items.KEYS` and an optional `id`, a string or a
    whole number; the third line goes by `line 3` if it has none. The columns are `id`, `line`,
    `item` (the line's object without the id, as JSON), those of a `Trace`, and `vector`. Rows keep
    the order of the lines. What is finished, in `target` or in `target`.parts after a kill, is not
    embedded again. Bad lines go to the file that `errors_of` names.

    Args:
        source: the JSONL file; media paths in it are taken from the working folder.
        target: the Parquet file, there or not.
        model: what embeds.
        think: which rows it thinks about first.
        tell: called with the number of rows done so far.

    Raises:
        FingerprintError: `target` or its parts are of another model.
        PonderError: `source` does not exist, or another version of ponder wrote `target`.
    """
    source, target = expanded(source), expanded(target)
    if not source.is_file():
        raise PonderError(f"no such file: {printable(source)}")
    if target.is_dir():
        raise PonderError(f"cannot write {printable(target)}: it is a folder")
    run = _Run(source, target, model, think)
    with Decoders() as decoders:
        for done in run.embed(decoders):
            tell(done)
    return run.finish()


def errors_of(target: Path) -> Path:
    """Return where the bad lines of a run into `target` are listed: `out.errors.parquet`."""
    return target.with_name(f"{target.stem}.errors.parquet")


class _Run:
    def __init__(self, source: Path, target: Path, model: Encoder, think: ThinkMode) -> None:
        self._source, self._target, self._model, self._think = source, target, model, think
        self._parts = target.with_name(f"{target.name}.parts")
        self._embedded = self._cut = 0
        self._bad: dict[int, str] = {}  # reasons by line
        columns = [("id", pa.string()), ("line", pa.int64()), ("item", pa.string())]
        vector = ("vector", pa.list_(pa.float32(), model.dim))
        notes = {"fingerprint": model.fingerprint, "model": model.name, "layout": LAYOUT}
        self._schema = pa.schema([*columns, *TRACE_COLUMNS, vector]).with_metadata(notes)
        self._finished = {name for path in self._shards() for name in self._ids(path)}
        self._resumed = len(self._finished)

    def embed(self, decoders: Decoders) -> Iterator[int]:
        """Write what is missing as parts; yields the number of rows done so far."""
        self._parts.mkdir(parents=True, exist_ok=True)
        while True:
            held: list[tuple[_Row, NDArray[np.float32], Trace]] = []
            written = time.monotonic()
            try:
                for result in self._model.stream(self._items(decoders), think=self._think):
                    held.append(result)
                    yield len(self._finished) + len(held)
                    if len(held) == PART_ROWS or time.monotonic() - written >= PART_S:
                        self._write_part(held)
                        held, written = [], time.monotonic()
            except ItemError as error:  # the model refused one: all that are left again, without it
                number = error.item.removeprefix("line ")
                if not number.isdecimal() or int(number) in self._bad:
                    raise
                self._bad[int(number)] = error.reason
            else:
                return
            finally:
                if held:
                    self._write_part(held)

    def finish(self) -> EmbedReport:
        """Join the parts with what `target` held, write the errors and drop the parts."""
        if any(self._parts.iterdir()) or not self._target.exists():
            written: set[str] = set()  # a kill between joining and dropping leaves rows in both
            with (
                _whole(self._target) as unfinished,
                pq.ParquetWriter(unfinished, self._schema) as writer,
            ):
                for path in self._shards():
                    for batch in pq.ParquetFile(path).iter_batches(PART_ROWS):
                        names = batch.column("id").to_pylist()
                        writer.write_batch(batch.filter([name not in written for name in names]))
                        written.update(names)
        shutil.rmtree(self._parts)
        bad = {line: printable(self._bad[line]) for line in sorted(self._bad)}
        errors = {
            "line": pa.array(bad.keys(), pa.int64()),
            "reason": pa.array(bad.values(), pa.string()),
        }
        with _whole(errors_of(self._target)) as unfinished:
            pq.write_table(pa.table(errors), unfinished)
        return EmbedReport(self._embedded, self._resumed, self._cut, bad)

    def _items(self, decoders: Decoders) -> Iterator[tuple[_Row, Item]]:
        tasks = ((row, partial(_read, row, self._model.limits)) for row in self._rows())
        for row, values in decoders.stream(tasks):
            try:
                for item in values:
                    yield row, item
            except ItemError as error:
                self._bad[row.line] = error.reason
            except MediaError as error:
                self._bad[row.line] = str(error)

    def _rows(self) -> Iterator[_Row]:
        """Parse the lines that are not finished and not known to be bad."""
        lines: dict[str, int] = {}
        with self._source.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                if number in self._bad or not raw.strip():
                    continue
                try:
                    row = _parse(raw, number)
                    if row.id in lines:
                        raise ValueError(f"id {row.id!r} is taken by line {lines[row.id]}")
                except ValueError as error:
                    self._bad[number] = str(error)
                    continue
                lines[row.id] = number
                if row.id not in self._finished:
                    yield row

    def _shards(self) -> list[Path]:
        target = [self._target] if self._target.exists() else []
        return target + sorted(self._parts.glob("*.parquet"))

    def _ids(self, path: Path) -> list[str]:
        schema = pq.read_schema(path)
        if (schema.metadata or {}).get(b"fingerprint") != self._model.fingerprint.encode():
            raise FingerprintError(
                f"{printable(path)} holds other vectors than those of {self._model.name}; to embed "
                f"again, delete it and repeat the command"
            )
        is_ours = (schema.metadata or {}).get(b"layout") == LAYOUT.encode()
        if not is_ours or schema.names != self._schema.names:
            raise PonderError(
                f"{printable(path)} was written by another version of ponder; to embed again, "
                "delete it and repeat the command"
            )
        names: list[str] = pq.read_table(path, columns=["id"]).column("id").to_pylist()
        return names

    def _write_part(self, held: list[tuple[_Row, NDArray[np.float32], Trace]]) -> None:
        rows = [row for row, _, _ in held]
        vectors = np.concatenate([vector for _, vector, _ in held]).astype(np.float32, copy=False)
        columns = {
            "id": [row.id for row in rows],
            "line": [row.line for row in rows],
            "item": [row.item for row in rows],
            **{name: [getattr(trace, name) for _, _, trace in held] for name, _ in TRACE_COLUMNS},
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors), self._model.dim),
        }
        path = self._parts / f"{len(self._finished):012d}.parquet"  # names sort as they were made
        with _whole(path) as unfinished:
            pq.write_table(pa.table(columns, schema=self._schema), unfinished)
        self._finished.update(row.id for row in rows)
        self._embedded += len(rows)
        self._cut += sum(trace.cut_tokens > 0 for _, _, trace in held)


def _parse(raw: bytes, line: int) -> _Row:
    value = json.loads(raw)
    if not isinstance(value, dict):
        raise ValueError(f"a line is an object, not {type(value).__name__}")
    name = value.pop("id", None)
    if isinstance(name, bool) or not isinstance(name, str | int | None):
        raise ValueError(f"an id is a string or a whole number, not {type(name).__name__}")
    if name is None:
        name = f"line {line}"
    elif re.fullmatch(r"line \d+", str(name)):
        raise ValueError(f"id {name!r} is what a line without an id is called; choose another")
    item = json.dumps(value, ensure_ascii=False)
    (item + str(name)).encode()  # half a surrogate pair is no text: a ValueError
    return _Row(str(name), line, item)


def _read(row: _Row, limits: Limits, decoder: Decoder) -> Generator[Item]:
    """Run in a decoder thread."""
    yield from decoder.call(read_item, json.loads(row.item), str(row), limits)


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """Give a name to write to, which takes the place of `path` once it is complete."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    yield unfinished
    unfinished.replace(path)
