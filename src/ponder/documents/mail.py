"""The words of a mail: who wrote it, when, about what, and its body. Attachments are named."""

from __future__ import annotations

import email
import email.policy
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from typing import TYPE_CHECKING

from ponder.documents.html import read_html
from ponder.documents.sections import Outline
from ponder.documents.text import decode
from ponder.media import MediaError

if TYPE_CHECKING:
    from email.message import MIMEPart

    from ponder.documents.sections import Section
    from ponder.media import Limits


def read_mail(raw: bytes, limits: Limits) -> list[Section]:
    """Read a mail of MIME parts; its subject is the heading.

    Raises:
        MediaError: it has too many parts, or is no mail.
    """
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    if not mail.keys():
        raise MediaError("not a mail: it has no header")
    for count, _ in enumerate(mail.walk(), start=1):
        if count > limits.max_parts:
            raise MediaError(f"more parts than the limit of {limits.max_parts:,}")
    outline = Outline()
    outline.heading(1, _header(mail, "Subject"))
    named = ((name, _header(mail, name)) for name in ("From", "To", "Cc", "Date"))
    outline.paragraph("\n".join(f"{name}: {value}" for name, value in named if value))
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    text = _content(plain) if plain else ""
    if text.strip() or not html:
        outline.paragraph(text)
    else:
        read_html(_content(html), outline, level=2)
    for part in mail.iter_attachments():
        if name := part.get_filename():
            outline.paragraph("Attachment: " + name.encode("utf-8", "replace").decode())
    return outline.end()


def _header(mail: MIMEPart, name: str) -> str:
    """Return a header's words, "" if it has none: `mail[name]` is slow where the header is long."""
    value = next((value for key, value in mail.raw_items() if key.lower() == name.lower()), "")
    raw = str(value).encode("utf-8", "surrogateescape")
    try:
        text = str(make_header(decode_header(decode(raw))))
    except (LookupError, ValueError, HeaderParseError):  # of a charset that Python does not know
        text = decode(raw)
    return " ".join(text.split())


def _content(part: MIMEPart) -> str:
    try:
        return str(part.get_content())
    except (LookupError, ValueError):  # a charset that Python does not know
        raw = part.get_payload(decode=True)
        return decode(raw if isinstance(raw, bytes) else b"")
