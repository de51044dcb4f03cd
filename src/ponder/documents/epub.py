"""The chapters of an e-book (EPUB 2 and 3), in the order they are read."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING
from urllib.parse import unquote
from xml.etree import ElementTree  # expat stops entities that grow

from ponder.documents.archive import opened
from ponder.documents.html import decode_html, read_html
from ponder.documents.sections import Outline
from ponder.media import MediaError

if TYPE_CHECKING:
    import zipfile
    from collections.abc import Iterator
    from pathlib import Path
    from xml.etree.ElementTree import Element

    from ponder.documents.sections import Section
    from ponder.media import Limits

_CONTAINER = "META-INF/container.xml"


def read_epub(path: Path, limits: Limits) -> Iterator[Section]:
    """Read a book's chapters; its title is the outermost heading.

    Raises:
        MediaError: the archive is over a limit, or a chapter is encrypted.
    """
    with opened(path, limits) as (_, archive):
        root = _first(ElementTree.fromstring(archive.read(_CONTAINER)), "rootfile")
        package_name = root.get("full-path", "")
        package = ElementTree.fromstring(archive.read(package_name))
        outline = Outline()
        outline.heading(1, "".join(_first(package, "title").itertext()))
        for name in _chapters(package, posixpath.dirname(package_name)):
            read_html(_chapter(archive, name, limits), outline, level=2)
            yield from outline.take()
        yield from outline.end()


def _chapters(package: Element, folder: str) -> Iterator[str]:
    """Names in the archive, in the order of the spine."""
    files = {item.get("id"): item.get("href", "") for item in package.iterfind(".//{*}item")}
    for entry in package.iterfind(".//{*}itemref"):
        if href := files.get(entry.get("idref")):
            yield posixpath.normpath(posixpath.join(folder, unquote(href.partition("#")[0])))


def _chapter(archive: zipfile.ZipFile, name: str, limits: Limits) -> str:
    entry = archive.getinfo(name)
    if entry.file_size > limits.max_text_bytes:
        raise MediaError(
            f"{name}: {entry.file_size:,} bytes, over the limit of {limits.max_text_bytes:,}"
        )
    return decode_html(archive.read(entry))


def _first(element: Element, name: str) -> Element:
    found = element.find(f".//{{*}}{name}")
    return ElementTree.Element(name) if found is None else found
