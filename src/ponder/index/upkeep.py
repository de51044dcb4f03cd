"""Looking after an index without its model: what it holds, and dropping files from it."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from ponder.errors import PonderError
from ponder.index.folder import Record, alone, check_folder, index_flag, no_index
from ponder.index.report import ERRORS
from ponder.index.store import UNFINISHED, Held, LanceStore, held
from ponder.paths import expanded, printable

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Status:
    """What an index holds.

    Attributes:
        path: its folder.
        models: whose vectors it has; two while files are being embedded again with another model.
        files: how many files are in it.
        unfinished: how many of them a stopped run left half read.
        kinds: rows by kind, `picture`, `page`, `frame` or `passage`.
        bytes: size of the folder.
        roots: the folders and files that were indexed.
        missing: those of the roots that are not there now.
        last_run: when the latest run ended, in seconds since 1970, how many it took, and its
            counts.
        errors: how many files the latest run could not read.
        partial: of how many files it left something out.
    """

    path: str
    models: list[Held]
    files: int
    unfinished: int
    kinds: dict[str, int]
    bytes: int
    roots: list[str]
    missing: list[str]
    last_run: dict[str, float]
    errors: int
    partial: int


def status(folder: Path) -> Status:
    """Return what an index holds.

    Raises:
        PonderError: there is no index at `folder`.
    """
    tables = _tables(folder)
    kinds: Counter[str] = Counter()
    files: set[str] = set()
    unfinished: set[str] = set()
    for batch in _open(folder, tables[-1]).scan(["file", "kind", "mtime_ns"]):
        for row in batch.to_pylist():
            kinds[row["kind"]] += 1
            files.add(row["file"])
            if row["mtime_ns"] == UNFINISHED:
                unfinished.add(row["file"])
    record = Record.read(folder)
    partial = _are_partial(folder)
    return Status(
        printable(folder.absolute()),
        tables,
        len(files),
        len(unfinished),
        dict(kinds.most_common()),
        sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
        [printable(root) for root in record.roots],
        [printable(root) for root in record.roots if not root.exists()],
        record.last_run,
        partial.count(False),
        partial.count(True),
    )


def forget(folder: Path, paths: Iterable[Path | str]) -> int:
    """Drop files from an index, whether they still exist or not; they themselves are left alone.

    Args:
        folder: of the index.
        paths: files, and folders with all below them.

    Returns:
        How many files were dropped.

    Raises:
        PonderError: there is no index at `folder`, or nothing in it is under one of the paths.
    """
    wanted = [_spellings(path) for path in map(expanded, paths)]
    dropped: set[str] = set()
    tables = _tables(folder)
    with alone(folder):
        for table in tables:
            store = _open(folder, table)
            files = store.files()
            for spellings in wanted:
                under = {
                    key
                    for key, path in files.items()
                    if any(path.is_relative_to(spelling) for spelling in spellings)
                }
                if not under:
                    raise PonderError(
                        f"{printable(min(spellings))}: nothing in the index is under it; "
                        f"`ponder status {index_flag(folder)}` lists what is"
                    )
                dropped |= under
            store.write(store.schema.empty_table(), dropped & set(files))
        Record.read(folder).without(set.union(*wanted)).write(folder)
    return len(dropped)


def absent(files: Iterable[Path], roots: Iterable[Path]) -> Counter[Path]:
    """Return folders that seem to lie on a drive that is not mounted, with their missing files.

    A folder that is there and empty though many of its files are known, and an indexed folder that
    is not there at all, may be the place where a drive or a share is mounted at other times.

    Args:
        files: known files that are not there.
        roots: folders that were indexed.
    """
    missing_roots = [root for root in roots if not root.exists()]
    counts: Counter[Path] = Counter()
    for file in files:
        counts[next((r for r in missing_roots if file.is_relative_to(r)), _nearest(file))] += 1
    return Counter(
        {
            place: count
            for place, count in counts.items()
            if place in missing_roots or (count >= MANY and _is_empty(place))
        }
    )


MANY = 10
"""So many files of an emptied folder are not taken for files that a person deleted one by one."""


def _nearest(path: Path) -> Path:
    """Return the nearest folder above a path that exists."""
    return next(folder for folder in path.parents if folder.is_dir())


def _are_partial(folder: Path) -> list[bool]:
    """Return for each file that the latest run told of whether it was read in part."""
    errors = folder / ERRORS
    if not errors.exists():
        return []
    told = pq.read_table(errors)
    if "is_partial" not in told.column_names:  # of an earlier version, which told of no such files
        return [False] * told.num_rows
    kept: list[bool] = told["is_partial"].to_pylist()
    return kept


def _is_empty(folder: Path) -> bool:
    try:
        return not any(folder.iterdir())
    except OSError:  # may not be listed
        return False


def _tables(folder: Path) -> list[Held]:
    check_folder(folder)
    if tables := held(folder):
        return tables
    raise PonderError(no_index(folder))


def _open(folder: Path, table: Held) -> LanceStore:
    return LanceStore(folder, table.fingerprint, table.model, table.dim)


def _spellings(path: Path) -> set[Path]:
    """Return what a path may be called in the index, whose folders are real and links are not."""
    whole = Path(os.path.abspath(path))  # noqa: PTH100 (`Path.absolute` keeps "..")
    return {whole, Path(os.path.realpath(whole)), Path(os.path.realpath(whole.parent), whole.name)}
