"""How long a video file should be by what it says itself, to tell one that breaks off.

A decoder takes what is there and ends without an error, so a half copied film would pass for a
short one. Live recordings do not know their length when they begin; they say none.
"""

from __future__ import annotations

import os
from typing import BinaryIO

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"  # Matroska and WebM: RFC 9559
_BOXES = (b"ftyp", b"moov", b"mdat", b"moof")  # MP4 and QuickTime: ISO/IEC 14496-12
_MOST_PARTS = 100_000
_RIFF_SLACK = 8  # some writers count the header in


def missing_bytes(file: BinaryIO) -> tuple[int, int] | None:
    """Compare the length of a Matroska, AVI or MP4 file with what it says.

    Returns:
        How many bytes there are and how many there should be, where some are missing. None where
        none are or the file does not say.
    """
    length = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(8)
    file.seek(0)
    if head[:4] == _EBML:
        stated = _matroska(file)
    elif head[:4] == b"RIFF":
        stated = _riff(file) - _RIFF_SLACK
    elif head[4:] in _BOXES:
        stated = _boxes(file)
    else:
        stated = 0
    file.seek(0)
    return (length, stated) if stated > length else None


def _matroska(file: BinaryIO) -> int:
    """Return where the Segment, the last element, ends; 0 if that is unknown."""
    while name := file.read(4):
        size = _ebml_size(file)
        if size is None or name not in (_EBML, _SEGMENT):
            return 0
        if name == _SEGMENT:
            return file.tell() + size
        file.seek(size, os.SEEK_CUR)
    return 0


def _ebml_size(file: BinaryIO) -> int | None:
    """Read a number of 1 to 8 bytes, as many as its first byte has leading zero bits and one."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    more = 8 - first[0].bit_length()
    value = int.from_bytes(first + file.read(more)) & (1 << 7 * (more + 1)) - 1
    return None if value == (1 << 7 * (more + 1)) - 1 else value  # all ones: not known


def _riff(file: BinaryIO) -> int:
    """Return where the last RIFF chunk ends: a long film has one a gigabyte."""
    end = 0
    for _ in range(_MOST_PARTS):
        file.seek(end)
        head = file.read(8)
        size = int.from_bytes(head[4:], "little")
        if head[:4] != b"RIFF" or size in (0, 2**32 - 1):
            break
        end += 8 + size + size % 2
    return end


def _boxes(file: BinaryIO) -> int:
    """Return where the last of the known boxes ends; there may be anything behind it."""
    end = at = 0
    for _ in range(_MOST_PARTS):
        file.seek(at)
        head = file.read(16)
        size = int.from_bytes(head[:4])
        if size == 1:
            size = int.from_bytes(head[8:])
        if size < 8:  # 0: up to the end of the file
            break
        at += size
        if head[4:8] in _BOXES:
            end = at
    return end
