"""The words of a web page. Nothing it names is fetched, and no script in it is run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from selectolax.lexbor import LexborHTMLParser

from ponder.documents.text import decode

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

    from ponder.documents.sections import Outline

_CHARSET = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([\w.:-]{1,40})""", re.IGNORECASE)
_INLINE_TAGS = (
    "a abbr acronym b bdi bdo big button cite code data del dfn em font i img input ins kbd label "
    "mark nobr q rp rt ruby s samp small span strike strong sub sup time tt u var wbr"
)
_INLINE = frozenset(_INLINE_TAGS.split())
_BETWEEN = frozenset(("td", "th", "br"))
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_UNSEEN = frozenset(("script", "style", "template"))
# XHTML may close a tag where it opens; read as HTML, an empty <title/> would swallow all the rest.
_IS_XHTML = re.compile(r"\s*<\?xml|[^\0]{,2000}http://www\.w3\.org/1999/xhtml")
_EMPTY = "br|hr|img|input|link|meta|col|area|base"
_CLOSED = re.compile(rf"<(?!(?:{_EMPTY})\b)([a-z][\w:-]*)(\s[^<>]*)?/>")


def decode_html(raw: bytes) -> str:
    """Decode a page, by the charset it declares where it is not UTF-8; errors as in `decode`."""
    declared = _CHARSET.search(raw[:2048])
    return decode(raw, declared[1].decode("ascii", "replace") if declared else "")


def read_html(page: str, outline: Outline, level: int = 1) -> None:
    """Add a page's headings and paragraphs to an outline.

    Args:
        page: the HTML or XHTML.
        outline: what to add to.
        level: of the page's title; its headings are below.
    """
    if _IS_XHTML.match(page):
        page = _CLOSED.sub(r"<\1\2></\1>", page)
    words = _Words(outline, level)
    node = LexborHTMLParser(page).root
    while node is not None:
        words.enter(node)
        if node.tag not in _UNSEEN and (child := node.child) is not None:
            node = child
            continue
        while node is not None:
            words.leave(node)
            if (following := node.next) is not None:
                node = following
                break
            node = node.parent
    words.flush()


class _Words:
    """Gathers words into paragraphs and headings while the nodes of a page go by."""

    def __init__(self, outline: Outline, level: int) -> None:
        self._outline = outline
        self._top = level
        self._level = 0  # of the heading it is in
        self._has_begun = False  # a title further down is a drawing's
        self._kept = 0  # how many <pre> it is in, where lines and spaces count
        self._pieces: list[str] = []

    def enter(self, node: LexborNode) -> None:
        """Begin a paragraph, a heading, a cell or a line; take words, or what a picture shows."""
        tag = node.tag or ""
        if tag == "-text":
            self._pieces.append(node.text_content or "")
        elif tag == "img":
            self._pieces.append(f" {node.attributes.get('alt') or ''} ")
        elif tag in _BETWEEN:
            self._pieces.append("\n" if self._kept else " ")
        elif tag not in _INLINE:
            self.flush()
            self._kept += tag == "pre"
            if tag in _HEADINGS:
                self._level = self._top + _HEADINGS[tag]
            elif tag == "title" and not self._has_begun:
                self._level = self._top

    def leave(self, node: LexborNode) -> None:
        """End what a node began."""
        tag = node.tag or ""
        if tag != "-text" and tag not in _INLINE and tag not in _BETWEEN:
            self.flush()
            self._kept -= tag == "pre"
            if tag in _HEADINGS or tag == "title":
                self._level = 0

    def flush(self) -> None:
        """Hand on the words of the paragraph or heading that ends here."""
        text = "".join(self._pieces)
        self._pieces = []
        if not self._kept:
            text = " ".join(text.split())
        if not text.strip():
            return
        self._has_begun = True
        if self._level:
            self._outline.heading(self._level, text)
        else:
            self._outline.paragraph(text)
