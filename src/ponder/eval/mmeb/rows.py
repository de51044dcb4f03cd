"""Rows of a data set as the Hub keeps it: Parquet or JSON files, and a README that says which.

Read here and not with `datasets`, which copies everything into a cache of its own first and,
without network, may answer from there with rows of another folder of the same name.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from ponder.errors import PonderError
from ponder.train.rows import BadRow, read_rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SUFFIXES = frozenset([".parquet", ".json", ".jsonl"])


class RowsError(PonderError):
    """There are no such files, or one cannot be read."""


@dataclass(frozen=True)
class Rows:
    """The rows of some files, one file after another.

    Attributes:
        files: all Parquet, or all JSON.
    """

    files: tuple[Path, ...]

    @classmethod
    def of(cls, place: Path, subset: str, split: str) -> Rows:
        """Find the files of a subset's split.

        Args:
            place: a file, or a folder as the Hub has it.
            subset: its configuration; empty for the only one.
            split: of that.

        Raises:
            RowsError: there are none.
        """
        files = (place,) if place.is_file() else tuple(_files(place, subset, split))
        if not files:
            named = f"{subset or 'default'}, {split}"
            raise RowsError(f"{place} has no Parquet or JSON files of {named}")
        return cls(files)

    @cached_property
    def columns(self) -> list[str]:
        """What a row has."""
        if self._is_parquet:
            return list(_opened(self.files[0]).schema_arrow.names)
        return list(next(iter(self.read([])), {}))

    def __len__(self) -> int:
        if self._is_parquet:
            return sum(_opened(file).metadata.num_rows for file in self.files)
        return sum(1 for _ in self.read([]))

    def read(self, columns: list[str]) -> Iterator[dict[str, Any]]:
        """Yield the rows in order.

        Args:
            columns: those that are wanted; of JSON every one comes anyway.

        Raises:
            RowsError: a file is damaged.
        """
        for file in self.files:
            if self._is_parquet:
                try:
                    for batch in _opened(file).iter_batches(columns=columns):
                        yield from batch.to_pylist()
                except (OSError, pa.ArrowException) as error:
                    raise RowsError(f"{file} is damaged: {error}") from error
                continue
            for row in read_rows(file):
                if isinstance(row, BadRow):
                    raise RowsError(f"{file}, row {row.number}: {row.reason}")
                yield row.value

    def value(self, row: int, column: str) -> Any:
        """Return one value of a Parquet file, without reading more than its part of the file."""
        for file in self.files:
            opened = _opened(file)
            for number in range(opened.metadata.num_row_groups):
                count = opened.metadata.row_group(number).num_rows
                if row < count:
                    return _part(file, number, column)[row].as_py()
                row -= count
        raise IndexError(row)

    @property
    def _is_parquet(self) -> bool:
        return self.files[0].suffix == ".parquet"


@lru_cache(maxsize=64)
def _opened(file: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(file)
    except (OSError, pa.ArrowException) as error:
        raise RowsError(f"{file} is no Parquet file: {error}") from error


@lru_cache(maxsize=2)
def _part(file: Path, number: int, column: str) -> pa.ChunkedArray:
    return _opened(file).read_row_group(number, [column])[column]


def _files(place: Path, subset: str, split: str) -> Iterator[Path]:
    """Yield a split's files as the README lists them, else by the Hub's habits of naming."""
    patterns = list(_listed(place / "README.md", subset, split)) or [
        f"{subset or 'data'}/{split}*",
        f"{subset or '.'}/{split}*",
        f"{subset or '.'}/**/{split}*",
        f"**/{subset}*",
    ]
    for pattern in patterns:
        found = sorted(path for path in place.glob(pattern) if path.suffix in SUFFIXES)
        if found:
            yield from found
            return


def _listed(readme: Path, subset: str, split: str) -> Iterator[str]:
    if not readme.is_file():
        return
    _, *front = readme.read_text(encoding="utf-8", errors="replace").split("---", maxsplit=2)
    try:
        head = yaml.safe_load(front[0]) if len(front) == 2 else None
    except yaml.YAMLError:
        return
    configs = head.get("configs", []) if isinstance(head, dict) else []
    for config in configs:
        if subset and config.get("config_name") != subset:
            continue
        listed = config.get("data_files", [])
        for entry in [listed] if isinstance(listed, str) else listed:
            if isinstance(entry, str):
                yield entry
            elif entry.get("split") == split:
                path = entry.get("path", [])
                yield from [path] if isinstance(path, str) else path
