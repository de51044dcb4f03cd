"""Rows of the table: made from embedded units, or copied from another file of the same content."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ponder.paths import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from ponder.engine.trace import Trace
    from ponder.index.files import File
    from ponder.index.units import Unit

# Where in its file a row comes from and what it looks like: fields of a `Unit`, and of a `Hit`.
PLACE = ("kind", "page", "seconds", "first_line", "last_line", "snippet", "thumbnail")
# What the model made of it: fields of a `Trace`, and of a `Hit`.
THINKING = ("gate", "thought")


def make_rows(
    embedded: Iterable[tuple[File, str, int, Sequence[tuple[Unit, NDArray[np.float32], Trace]]]],
    schema: pa.Schema,
) -> pa.Table:
    """Return one row for each embedded unit of each file, in order.

    Args:
        embedded: files, each with the hash of its content, the number of its first unit, and its
            units with their vectors and traces.
        schema: of the table.
    """
    columns: dict[str, list[Any]] = {name: [] for name in schema.names}
    vectors = columns.pop("vector")
    for file, content_hash, first, units in embedded:
        for name, values in _named(file, range(first, first + len(units))).items():
            columns[name] += values
        columns["hash"] += [content_hash] * len(units)
        for name in PLACE:
            columns[name] += [getattr(unit, name) for unit, _, _ in units]
        for name in THINKING:
            columns[name] += [getattr(trace, name) for _, _, trace in units]
        vectors += [vector for _, vector, _ in units]
    flat = pa.array(np.concatenate(vectors).astype(np.float32, copy=False))
    size = schema.field("vector").type.list_size
    return pa.table(
        {**columns, "vector": pa.FixedSizeListArray.from_arrays(flat, size)}, schema=schema
    )


def copy_rows(file: File, source: pa.Table) -> pa.Table:
    """Return the rows of another file of the same content, as rows of `file`."""
    for name, values in _named(file, source.column("part").to_pylist()).items():
        place = source.schema.get_field_index(name)
        field = source.schema.field(place)
        source = source.set_column(place, field, pa.array(values, field.type))
    return source


def _named(file: File, parts: Sequence[int]) -> dict[str, list[Any]]:
    """The columns that say which file a row is of."""
    count = len(parts)
    return {
        "id": [f"{file.key}-{part:05d}" for part in parts],
        "file": [file.key] * count,
        "part": list(parts),
        "path": [printable(file.path)] * count,
        "raw_path": [os.fsencode(file.path)] * count,
        "size": [file.size] * count,
        "mtime_ns": [file.mtime_ns] * count,
    }
