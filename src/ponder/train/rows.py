"""JSON rows on disk: a list or one object a line, read in bounded memory, past what is broken.

The published lists have over a million rows in one array. So a list is cut at its commas by a scan
that knows only strings and brackets, and each element is parsed alone: one that is no JSON costs
itself and not the file.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO

from ponder.errors import PonderError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_ROW_BYTES = 16 * 2**20
CHUNK_BYTES = 2**18
PATIENCE = 100  # rows without an object among them before a file counts as no JSON

# A whole string, or one character that matters; a lone quote is a string that has not ended yet.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|["\[\]{},]', re.DOTALL)
_BOM = b"\xef\xbb\xbf"


class RecordsError(PonderError):
    """A file of records is missing, or no JSON."""


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used; those after it can.

    Attributes:
        number: its line, or its place in a list, from 1.
        reason: what is wrong with it.
    """

    number: int
    reason: str


@dataclass(frozen=True)
class Row:
    """An object and its line, or its place in a list, from 1."""

    number: int
    value: dict[str, Any]


def read_rows(path: Path) -> Iterator[Row | BadRow]:
    """Read the objects of a JSON list, or of a file with one object a line.

    Raises:
        RecordsError: there is no such file, or no object among its first rows.
    """
    if not path.is_file():
        raise RecordsError(f"{path}: no such file")
    held: list[BadRow] | None = []  # until the first object shows that this is JSON
    for row in _parsed(path):
        if held is None:
            yield row
        elif isinstance(row, BadRow):
            held.append(row)
            if len(held) == PATIENCE:
                break
        else:
            yield from held
            held = None
            yield row
    if held:
        raise RecordsError(
            f"{path}: neither a JSON list of objects nor a JSON object a line "
            f"(row {held[0].number}: {held[0].reason})"
        )


def append_row(file: TextIO, row: dict[str, Any]) -> None:
    """Write a row as a line, so that no kill of this process undoes it."""
    file.write(json.dumps(row, ensure_ascii=False) + "\n")
    file.flush()


def written_rows(path: Path, keys: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Read what `append_row` wrote, if anything, and cut off a last line that is not whole.

    Args:
        path: of the file, there or not.
        keys: what each row has, its first key first. A file of other lines is left as it is.

    Raises:
        RecordsError: it is somebody else's file.
    """
    if not path.exists():
        return
    whole = 0  # bytes
    opening = f'{{"{keys[0]}": '.encode()
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            is_whole = line.endswith(b"\n")
            row = _parse(number, line) if is_whole else None
            is_ours = line[: len(opening)] == opening[: len(line)]
            if not is_ours or isinstance(row, BadRow) or (row and not row.value.keys() >= {*keys}):
                raise RecordsError(
                    f"{path}, line {number}, is not of this command's making; move the file away "
                    "or choose another to write"
                )
            if row:
                whole += len(line)
                yield row.value
    if whole < path.stat().st_size:
        with path.open("r+b") as file:
            file.truncate(whole)


def _parsed(path: Path) -> Iterator[Row | BadRow]:
    with path.open("rb") as file:
        begin = len(_BOM) if file.read(len(_BOM)) == _BOM else 0
        file.seek(begin)
        while (first := file.read(1)).isspace():
            pass
        if not (is_list := first == b"["):
            file.seek(begin)
        for number, raw in enumerate(_elements(file) if is_list else _lines(file), start=1):
            if isinstance(raw, str):
                yield BadRow(number, raw)
            elif raw.strip() or is_list:
                yield _parse(number, raw)


def _parse(number: int, raw: bytes) -> Row | BadRow:
    try:
        value = json.loads(raw)
    except RecursionError:
        return BadRow(number, "nested too deeply")
    except ValueError as error:
        return BadRow(number, f"no JSON: {error}")
    if not isinstance(value, dict):
        return BadRow(number, f"a row is an object, not {type(value).__name__}")
    return Row(number, value)


def _lines(file: BinaryIO) -> Iterator[bytes | str]:
    """Yield each line, or what is wrong with it."""
    while raw := file.readline(MAX_ROW_BYTES):
        if len(raw) < MAX_ROW_BYTES or raw.endswith(b"\n"):
            yield raw
            continue
        while raw and not raw.endswith(b"\n"):
            raw = file.readline(MAX_ROW_BYTES)
        yield f"longer than {MAX_ROW_BYTES:,} bytes"


def _elements(file: BinaryIO) -> Iterator[bytes | str]:
    """Yield each element behind a list's opening bracket, or what is wrong with it."""
    buffer, scanned, depth = b"", 0, 0
    while chunk := file.read(CHUNK_BYTES):
        buffer += chunk
        begin = 0
        unread = len(buffer)
        for token in _TOKEN.finditer(buffer, scanned):
            mark = token.group()
            if mark == b'"':
                unread = token.start()
                break
            if mark in (b"{", b"["):
                depth += 1
            elif depth and mark in (b"}", b"]"):
                depth -= 1
            elif not depth and mark in (b",", b"]"):
                element = buffer[begin : token.start()]
                begin = token.end()
                if mark == b"," or element.strip():
                    yield element
                if mark == b"]":
                    return
        buffer, scanned = buffer[begin:], unread - begin
        if len(buffer) > MAX_ROW_BYTES:
            yield f"longer than {MAX_ROW_BYTES:,} bytes, as if a bracket never closed; it ends here"
            return
    yield "the file breaks off here"
