"""Files and bytes as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ponder.media import DEFAULT_LIMITS, Limits, MediaError

if TYPE_CHECKING:
    from pathlib import Path


def read_text(path: Path, limits: Limits = DEFAULT_LIMITS) -> str:
    """Read a text file: UTF-8, UTF-16 with its mark, else Windows-1252.

    Raises:
        MediaError: the file is empty, too long, or holds no text.
        OSError: it cannot be read.
    """
    text = decode(read_bytes(path, limits.max_text_bytes))
    if not text.strip():
        raise MediaError("no words in it")
    return text


def read_bytes(path: Path, most: int) -> bytes:
    """Read a file of at most so many bytes.

    Raises:
        MediaError: the file is empty or larger.
        OSError: it cannot be read.
    """
    size = path.stat().st_size
    if size > most:
        raise MediaError(f"{size:,} bytes, over the limit of {most:,} for a text")
    if not size:
        raise MediaError("the file is empty")
    return path.read_bytes()


def decode(raw: bytes, declared: str = "") -> str:
    """Decode UTF-16 with its mark, UTF-8, what the text itself declares, or else Windows-1252.

    Args:
        raw: the bytes of a text.
        declared: a charset's name; "" and unknown ones count for nothing.

    Raises:
        MediaError: it is no text, for it holds NUL.
    """
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        charsets = ["utf-16"]
    else:
        charsets = ["utf-8-sig", declared] if declared else ["utf-8-sig"]
    text = raw.decode("cp1252", "replace")
    for charset in charsets:
        try:
            text = raw.decode(charset)
            break
        except (UnicodeDecodeError, LookupError):
            continue
    if "\0" in text:
        raise MediaError("not a text: it holds NUL bytes")
    return text
