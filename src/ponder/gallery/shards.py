"""The Gallery on disk: Parquet shards for each split, and a manifest that says they are whole."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from ponder.errors import PonderError
from ponder.gallery.concepts import SPLITS
from ponder.packages import sha256

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from ponder.gallery.concepts import Split

VERSION = 1
"""Version of the schema and of how rows are made; raise it when either changes."""

MAX_SHARD_BYTES = 48 * 2**20
"""Bytes of pictures in one shard."""

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("concept", pa.string()),
        ("split", pa.string()),
        ("variant", pa.string()),
        ("picture", pa.binary()),
        ("caption", pa.string()),
        (
            "captions",
            pa.list_(
                pa.struct([("language", pa.string()), ("text", pa.string()), ("kind", pa.string())])
            ),
        ),
        ("tags", pa.list_(pa.string())),
        ("group", pa.string()),
        ("style", pa.string()),
        ("source", pa.string()),
        ("path", pa.string()),
        ("licence", pa.string()),
        ("author", pa.string()),
    ]
)

Row = dict[str, Any]


def read(folder: Path, split: Split, columns: Sequence[str] | None = None) -> pa.Table:
    """Read one split of a built Gallery into memory, in the order it was written.

    Args:
        folder: what `build` returned.
        split: "train", "dev" or "test"; leave "test" to final evaluation.
        columns: those to read; all of them by default. `picture` is most of the bytes.

    Raises:
        PonderError: there is no complete Gallery of this version.
    """
    names = [name for name in read_manifest(folder)["shards"] if name.startswith(f"{split}-")]
    chosen = None if columns is None else list(columns)
    tables = [pq.read_table(folder / name, columns=chosen) for name in names]
    return pa.concat_tables(tables) if tables else SCHEMA.empty_table()


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a built Gallery; errors as in `read`."""
    try:
        manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    except FileNotFoundError:
        raise PonderError(f"no Gallery in {folder}; run `ponder gallery`") from None
    if manifest["version"] != VERSION:
        raise PonderError(
            f"the Gallery in {folder} is of version {manifest['version']}, this ponder reads "
            f"{VERSION}; run `ponder gallery` again"
        )
    return manifest


def write(folder: Path, rows: Sequence[Row], facts: Mapping[str, Any]) -> None:
    """Write all rows as shards, in order of their ids, and then the manifest.

    The same rows give the same bytes.

    Args:
        folder: an empty folder.
        rows: one dict per row with the keys of `SCHEMA`.
        facts: what else the manifest tells.
    """
    ordered = sorted(rows, key=lambda row: row["id"])
    shards: dict[str, str] = {}
    for split in SPLITS:
        parts = list(_cut([row for row in ordered if row["split"] == split]))
        for i, part in enumerate(parts):
            name = f"{split}-{i:05}-of-{len(parts):05}.parquet"
            pq.write_table(
                pa.Table.from_pylist(part, SCHEMA),
                folder / name,
                compression="zstd",
                row_group_size=256,
                use_dictionary=[n for n in SCHEMA.names if n not in ("picture", "id", "path")],
            )
            shards[name] = sha256(folder / name)
    counts = {
        split: {
            "rows": sum(row["split"] == split for row in ordered),
            "concepts": len({row["concept"] for row in ordered if row["split"] == split}),
            "styles": _count(row["style"] for row in ordered if row["split"] == split),
        }
        for split in SPLITS
    }
    manifest = {"version": VERSION, **facts, "counts": counts, "shards": shards}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")


def _cut(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    start, size = 0, 0
    for i, row in enumerate(rows):
        if size and size + len(row["picture"]) > MAX_SHARD_BYTES:
            yield rows[start:i]
            start, size = i, 0
        size += len(row["picture"])
    if size:
        yield rows[start:]


def _count(names: Iterator[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return dict(sorted(counts.items()))
