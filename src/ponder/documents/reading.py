"""One way to read every kind of document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ponder.documents.text import read_bytes
from ponder.media import MediaError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ponder.documents.sections import Section
    from ponder.media import Limits

DocumentKind = Literal["html", "mail", "epub", "docx", "pptx", "xlsx"]


def read_sections(path: Path, kind: DocumentKind, limits: Limits) -> Iterator[Section]:
    """Read a document's words.

    Args:
        path: of the file.
        kind: how it is read.
        limits: bounds on its parts, and on what it unpacks to.

    Raises:
        MediaError: the file is broken, hostile or over a limit.
        OSError: it cannot be opened.
    """
    try:
        yield from _sections(path, kind, limits)
    except (MediaError, OSError):
        raise
    except Exception as error:  # parsers raise anything at all on hostile input
        raise MediaError(f"unreadable {kind} ({type(error).__name__}: {error})") from error


def _sections(path: Path, kind: DocumentKind, limits: Limits) -> Iterator[Section]:
    """Import what this kind needs, and no more: each decoder process pays for it."""
    if kind == "html":
        from ponder.documents.html import decode_html, read_html
        from ponder.documents.sections import Outline

        outline = Outline()
        read_html(decode_html(read_bytes(path, limits.max_text_bytes)), outline)
        yield from outline.end()
    elif kind == "mail":
        from ponder.documents.mail import read_mail

        yield from read_mail(read_bytes(path, limits.max_part_bytes), limits)
    elif kind == "epub":
        from ponder.documents.epub import read_epub

        yield from read_epub(path, limits)
    else:
        from ponder.documents import office

        read = {"docx": office.read_docx, "pptx": office.read_pptx, "xlsx": office.read_xlsx}
        yield from read[kind](path, limits)
