"""Rows of the table: made from embedded units, or copied from another file of the same content."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ponder.index.files import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ponder.index.files import File
    from ponder.index.units import Unit

_PLACE = ("kind", "page", "seconds", "first_line", "last_line", "snippet", "thumbnail")


def make_rows(
    file: File,
    content_hash: str,
    units: Sequence[tuple[Unit, NDArray[np.float32]]],
    schema: pa.Schema,
) -> pa.Table:
    """Return one row for each embedded unit of a file, in order."""
    columns: dict[str, Any] = _named(file, np.arange(len(units)))
    columns["hash"] = [content_hash] * len(units)
    for name in _PLACE:
        columns[name] = [getattr(unit, name) for unit, _ in units]
    vectors = np.concatenate([vector for _, vector in units]).astype(np.float32, copy=False)
    columns["vector"] = pa.FixedSizeListArray.from_arrays(
        pa.array(vectors), schema.field("vector").type.list_size
    )
    return pa.table(columns, schema=schema)


def copy_rows(file: File, source: pa.Table) -> pa.Table:
    """Return the rows of another file of the same content, as rows of `file`."""
    for name, values in _named(file, source.column("part").to_numpy()).items():
        place = source.schema.get_field_index(name)
        field = source.schema.field(place)
        source = source.set_column(place, field, pa.array(values, field.type))
    return source


def _named(file: File, parts: NDArray[Any]) -> dict[str, Any]:
    """The columns that say which file a row is of."""
    count = len(parts)
    return {
        "id": [f"{file.key}-{part:05d}" for part in parts],
        "file": [file.key] * count,
        "part": parts,
        "path": [printable(file.path)] * count,
        "raw_path": [os.fsencode(file.path)] * count,
        "size": [file.size] * count,
        "mtime_ns": [file.mtime_ns] * count,
    }
