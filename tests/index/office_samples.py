"""The smallest office files, books and mails that other programs would open, made on the spot."""

from __future__ import annotations

import zipfile
from email.message import EmailMessage
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from pathlib import Path

_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_SCHEMAS = "http://schemas.openxmlformats.org"
_OFFICE = f"{_SCHEMAS}/officeDocument/2006/relationships"
_TYPE = "application/vnd.openxmlformats-officedocument"


def make_docx(path: Path, title: str, text: str) -> Path:
    """A Word document of a heading and paragraphs, which an empty line sets apart."""
    heading = '<w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr>'
    heading += f"<w:r><w:t>{escape(title)}</w:t></w:r></w:p>"
    paragraphs = "".join(
        f"<w:p><w:r><w:t>{escape(part)}</w:t></w:r></w:p>" for part in text.split("\n\n")
    )
    space = f'xmlns:w="{_SCHEMAS}/wordprocessingml/2006/main"'
    document = f"{_XML}<w:document {space}><w:body>{heading}{paragraphs}</w:body></w:document>"
    main = "wordprocessingml.document.main"
    return _package(path, {"word/document.xml": (main, document)})


def make_pptx(path: Path, title: str, text: str) -> Path:
    """A presentation of one slide: its title and a line to the bullet."""
    space = f'xmlns:p="{_SCHEMAS}/presentationml/2006/main" xmlns:r="{_OFFICE}"'
    space += f' xmlns:a="{_SCHEMAS}/drawingml/2006/main"'
    shapes = "".join(
        "<p:sp><p:nvSpPr><p:cNvPr id='1' name='s'/><p:cNvSpPr/><p:nvPr/></p:nvSpPr><p:spPr/>"
        f"<p:txBody><a:bodyPr/>{_bullets(part)}</p:txBody></p:sp>"
        for part in (title, text)
    )
    group = (
        "<p:nvGrpSpPr><p:cNvPr id='1' name=''/><p:cNvGrpSpPr/><p:nvPr/></p:nvGrpSpPr><p:grpSpPr/>"
    )
    slide = f"{_XML}<p:sld {space}><p:cSld><p:spTree>{group}{shapes}</p:spTree></p:cSld></p:sld>"
    show = f'{_XML}<p:presentation {space}><p:sldIdLst><p:sldId id="256" r:id="rId1"/></p:sldIdLst>'
    show += '<p:sldSz cx="9144000" cy="6858000"/><p:notesSz cx="1" cy="1"/></p:presentation>'
    return _package(
        path,
        {
            "ppt/presentation.xml": ("presentationml.presentation.main", show),
            "ppt/slides/slide1.xml": ("presentationml.slide", slide),
        },
        {"ppt/_rels/presentation.xml.rels": _relation("slide", "slides/slide1.xml")},
    )


def make_xlsx(path: Path, title: str, text: str) -> Path:
    """A workbook of one sheet; a line to the row, cells set apart by semicolons."""
    table = [line.split(";") for line in text.split("\n")]
    words = sorted({cell for row in table for cell in row if not cell.isdigit()})
    space = f'xmlns="{_SCHEMAS}/spreadsheetml/2006/main" xmlns:r="{_OFFICE}"'
    rows = ""
    for number, row in enumerate(table, start=1):
        cells = ""
        for column, cell in zip("ABCDEFGH", row, strict=False):
            is_number = cell.isdigit()
            value = cell if is_number else words.index(cell)
            kind = "" if is_number else ' t="s"'
            cells += f'<c r="{column}{number}"{kind}><v>{value}</v></c>'
        rows += f'<row r="{number}">{cells}</row>'
    sheet = f"{_XML}<worksheet {space}><sheetData>{rows}</sheetData></worksheet>"
    book = (
        f'{_XML}<workbook {space}><sheets><sheet name="{escape(title)}" sheetId="1" r:id="rId1"/>'
    )
    shared = "".join(f"<si><t>{escape(word)}</t></si>" for word in words)
    strings = f"{_XML}<sst {space} count='{len(words)}' uniqueCount='{len(words)}'>{shared}</sst>"
    links = _relation("worksheet", "worksheets/sheet1.xml", "sharedStrings", "sharedStrings.xml")
    return _package(
        path,
        {
            "xl/workbook.xml": ("spreadsheetml.sheet.main", f"{book}</sheets></workbook>"),
            "xl/worksheets/sheet1.xml": ("spreadsheetml.worksheet", sheet),
            "xl/sharedStrings.xml": ("spreadsheetml.sharedStrings", strings),
        },
        {"xl/_rels/workbook.xml.rels": links},
    )


def make_epub(path: Path, title: str, text: str) -> Path:
    """A book; an empty line sets its chapters apart."""
    chapters = text.split("\n\n")
    names = [f"chapter{number}.xhtml" for number in range(1, len(chapters) + 1)]
    items = "".join(
        f'<item id="c{i}" href="{name}" media-type="application/xhtml+xml"/>'
        for i, name in enumerate(names)
    )
    spine = "".join(f'<itemref idref="c{i}"/>' for i in range(len(names)))
    book = (
        f'{_XML}<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="i">'
        '<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:identifier id="i">1'
        f"</dc:identifier><dc:title>{escape(title)}</dc:title><dc:language>en</dc:language>"
        f"</metadata><manifest>{items}</manifest><spine>{spine}</spine></package>"
    )
    container = (
        f'{_XML}<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
        '<rootfiles><rootfile full-path="OEBPS/book.opf" '
        'media-type="application/oebps-package+xml"/></rootfiles></container>'
    )
    parts = {"META-INF/container.xml": container, "OEBPS/book.opf": book}
    for number, (name, chapter) in enumerate(zip(names, chapters, strict=True), start=1):
        parts[f"OEBPS/{name}"] = (
            f'{_XML}<html xmlns="http://www.w3.org/1999/xhtml"><head><title>{number}</title></head>'
            f"<body><h1>{escape(title)}, {number}</h1><p>{escape(chapter)}</p></body></html>"
        )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book_file:
        book_file.writestr("mimetype", "application/epub+zip", zipfile.ZIP_STORED)
        for name, part in parts.items():
            book_file.writestr(name, part)
    return path


def make_eml(path: Path, title: str, text: str) -> Path:
    """A mail with a text and an HTML part and an attachment that is no text."""
    mail = EmailMessage()
    mail["From"] = "Anna Berg <anna@example.org>"
    mail["To"] = "me@example.org"
    mail["Subject"] = title
    mail["Date"] = "Mon, 4 Mar 2024 10:15:00 +0100"
    mail.set_content(text)
    mail.add_alternative(f"<html><body><p>{escape(text)}</p></body></html>", subtype="html")
    mail.add_attachment(bytes(range(256)), "application", "octet-stream", filename="a.bin")
    mail.set_boundary("=====a=====")
    path.write_bytes(mail.as_bytes())
    return path


def _bullets(text: str) -> str:
    return "".join(f"<a:p><a:r><a:t>{escape(line)}</a:t></a:r></a:p>" for line in text.split("\n"))


def _relation(*names: str) -> str:
    pairs = zip(names[::2], names[1::2], strict=True)
    links = "".join(
        f'<Relationship Id="rId{i}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for i, (kind, target) in enumerate(pairs, start=1)
    )
    space = f"{_SCHEMAS}/package/2006/relationships"
    return f'{_XML}<Relationships xmlns="{space}">{links}</Relationships>'


def _package(
    path: Path, parts: dict[str, tuple[str, str]], links: dict[str, str] | None = None
) -> Path:
    """Zip an Office file; the first part is the main one. A part is its type and its text."""
    types = "".join(
        f'<Override PartName="/{name}" ContentType="{_TYPE}.{kind}+xml"/>'
        for name, (kind, _) in parts.items()
    )
    relations = "application/vnd.openxmlformats-package.relationships+xml"
    contents = {
        "[Content_Types].xml": f'{_XML}<Types xmlns="{_SCHEMAS}/package/2006/content-types">'
        f'<Default Extension="rels" ContentType="{relations}"/>{types}</Types>',
        "_rels/.rels": _relation("officeDocument", next(iter(parts))),
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        for name, text in contents.items():
            package.writestr(name, text)
        for name, (_, text) in parts.items():
            package.writestr(name, text)
        for name, text in (links or {}).items():
            package.writestr(name, text)
    return path
