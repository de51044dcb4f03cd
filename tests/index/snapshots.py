"""What an index holds, in a form that two indexes can be compared by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lancedb
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path


def snapshot(folder: Path) -> list[tuple[bytes, int, str, str, str, bytes]]:
    """Sorted (raw path, part, id, content hash, snippet, vector bytes) of every row."""
    (name,) = (path.stem for path in folder.glob("rows-*.lance"))
    rows = lancedb.connect(str(folder)).open_table(name).to_arrow().to_pylist()
    return sorted(
        (
            row["raw_path"],
            row["part"],
            row["id"],
            row["hash"],
            row["snippet"],
            np.array(row["vector"], dtype=np.float32).tobytes(),
        )
        for row in rows
    )
