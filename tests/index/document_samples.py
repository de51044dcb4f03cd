"""Real office, web, mail and e-book files, made on the spot."""

from __future__ import annotations

import zipfile
from email.message import EmailMessage
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

CONTAINER = (
    '<?xml version="1.0"?><container xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
    '<rootfiles><rootfile full-path="book/content.opf"/></rootfiles></container>'
)
OPF = '<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf">{}</package>'


def make_docx(path: Path, parts: list[tuple[str, str]]) -> Path:
    """A Word file of (style, text) paragraphs, and a table where the style is "table"."""
    import docx

    document = docx.Document()
    for style, text in parts:
        if style == "table":
            table = document.add_table(rows=0, cols=2)
            for line in text.splitlines():
                for cell, words in zip(table.add_row().cells, line.split("|"), strict=True):
                    cell.text = words
        else:
            document.add_paragraph(text, style=style)
    document.save(str(path))
    return path


def make_pptx(path: Path, slides: list[tuple[str, str, str]]) -> Path:
    """A slide deck of (title, text, note) slides."""
    import pptx

    deck = pptx.Presentation()
    for title, text, note in slides:
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text = text
        if note:
            slide.notes_slide.notes_text_frame.text = note
    deck.save(str(path))
    return path


def make_xlsx(path: Path, sheets: dict[str, list[list[object]]]) -> Path:
    """A workbook of named sheets of rows."""
    import openpyxl

    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def make_epub(path: Path, chapters: list[str], title: str = "A book") -> Path:
    """An e-book of XHTML chapters, which lie in the archive in another order than they are read."""
    items = "".join(
        f'<item id="c{i}" href="text/c%20{i}.xhtml" media-type="application/xhtml+xml"/>'
        for i in range(len(chapters))
    )
    spine = "".join(f'<itemref idref="c{i}"/>' for i in range(len(chapters)))
    head = (
        f'<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{title}</dc:title>'
        f"</metadata><manifest>{items}</manifest><spine>{spine}</spine>"
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("mimetype", "application/epub+zip")
        book.writestr("META-INF/container.xml", CONTAINER)
        book.writestr("book/content.opf", OPF.format(head))
        for i, chapter in reversed(list(enumerate(chapters))):
            book.writestr(f"book/text/c {i}.xhtml", chapter)
    return path


def make_mail(path: Path, subject: str, text: str, html: str = "", attachment: str = "") -> Path:
    """A mail with a text, perhaps the same as HTML, perhaps with an attachment of that name."""
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = subject, "Ann <ann@example.org>", "b@example.org"
    mail["Date"] = "Fri, 02 Jan 2026 10:00:00 +0000"
    if text:
        mail.set_content(text)
    if html and text:
        mail.add_alternative(html, subtype="html")
    elif html:
        mail.set_content(html, subtype="html")
    if attachment:
        mail.add_attachment(b"x" * 1000, maintype="application", subtype="pdf", filename=attachment)
    path.write_bytes(mail.as_bytes())
    return path


def with_part(source: Path, path: Path, name: str, content: bytes) -> Path:
    """A copy of an archive with other content in one part."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, content if entry.filename == name else old.read(entry))
        if name not in old.namelist():
            new.writestr(name, content)
    return path
