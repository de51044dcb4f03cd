"""Zip archives, as office files and e-books are, bounded before anything in them is unpacked."""

from __future__ import annotations

import os
import zipfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ponder.media import MediaError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from ponder.media import Limits

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_END, _END_BYTES = b"PK\x05\x06", 22
_LOCATOR, _LOCATOR_BYTES = b"PK\x06\x07", 20
_MOST_COMMENT_BYTES = 2**16
_ENTRY_BYTES = 512  # of the table of contents: a name and 46 bytes
_MARKUP = (".xml", ".rels", ".opf", ".ncx", ".vml")


@contextmanager
def opened(path: Path, limits: Limits) -> Iterator[tuple[BinaryIO, zipfile.ZipFile]]:
    """Open an archive and check what it would unpack to.

    What an entry says of its size holds: `zipfile` unpacks no more than that of it.

    Yields:
        The file, for a library to open, and the archive.

    Raises:
        MediaError: it is no archive, encrypted, or over a limit.
    """
    with path.open("rb") as file:
        if file.read(len(_OLE)) == _OLE:
            raise MediaError("encrypted, or in the format of before 2007")
        if not zipfile.is_zipfile(file):
            raise MediaError("broken: its zip archive has no end")
        _check_contents(file, limits)
        with zipfile.ZipFile(file) as archive:
            _check_entries(archive.infolist(), limits)
            file.seek(0)
            yield file, archive


def _check_contents(file: BinaryIO, limits: Limits) -> None:
    """Bound the table of contents, which `zipfile` reads whole."""
    length = file.seek(0, os.SEEK_END)
    file.seek(max(0, length - _END_BYTES - _LOCATOR_BYTES - _MOST_COMMENT_BYTES))
    tail = file.read()
    is_last = tail[-_END_BYTES:].startswith(_END)
    at = len(tail) - _END_BYTES if is_last else tail.rfind(_END)
    size = int.from_bytes(tail[at + 12 : at + 16], "little")
    # A locator leads to another table, for archives larger than any file read here.
    has_locator = tail[:at][-_LOCATOR_BYTES:].startswith(_LOCATOR)
    if has_locator or size > limits.max_parts * _ENTRY_BYTES:
        raise MediaError(f"more parts than the limit of {limits.max_parts:,}")


def _check_entries(entries: list[zipfile.ZipInfo], limits: Limits) -> None:
    if len(entries) > limits.max_parts:
        raise MediaError(f"more parts than the limit of {limits.max_parts:,}")
    whole = sum(entry.file_size for entry in entries)
    if whole > limits.max_unpacked_bytes:
        raise MediaError(
            f"unpacks to {whole:,} bytes, over the limit of {limits.max_unpacked_bytes:,}"
        )
    for entry in entries:
        if entry.flag_bits & 1:
            raise MediaError("encrypted")
        if entry.filename.lower().endswith(_MARKUP) and entry.file_size > limits.max_part_bytes:
            raise MediaError(
                f"{entry.filename} unpacks to {entry.file_size:,} bytes, over the limit of "
                f"{limits.max_part_bytes:,}"
            )
