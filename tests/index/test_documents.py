"""Office, web, mail and e-book files: their words, under their headings, whoever wrote them."""

from __future__ import annotations

import datetime
import socket
import struct
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest
from document_samples import make_docx, make_epub, make_mail, make_pptx, make_xlsx, with_part

from ponder.documents.reading import read_sections
from ponder.media import DEFAULT_LIMITS, Limits, MediaError

if TYPE_CHECKING:
    from pathlib import Path

    from ponder.documents.reading import DocumentKind

    Read = list[tuple[str, tuple[str, ...], int | None]]


def read(path: Path, kind: DocumentKind, limits: Limits = DEFAULT_LIMITS) -> Read:
    return [
        (section.text, section.headings, section.page)
        for section in read_sections(path, kind, limits)
    ]


def read_page(tmp_path: Path, page: str | bytes) -> Read:
    path = tmp_path / "a.html"
    path.write_bytes(page.encode() if isinstance(page, str) else page)
    return read(path, "html")


def test_a_web_page_is_its_words_under_its_headings(tmp_path: Path) -> None:
    page = """<!DOCTYPE html><html><head><title>Owls &amp; foxes</title>
        <style>p { color: red }</style><script>var hidden = "<p>not seen</p>";</script></head>
        <body><p>An <b>owl</b>
        hunts.<br>Always.<h2>At night</h2><div>It sees <img src=x alt="a mouse">.</div>
        <ul><li>One<li>Two</ul><table><tr><td>a</td><td>b</td></tr></table>
        <pre>x = 1\n  y = 2</pre><h3>Bare</h3><h2>Day</h2>Sleep<svg><title>no</title></svg>"""
    assert read_page(tmp_path, page) == [
        ("An owl hunts. Always.", ("Owls & foxes",), None),
        (
            "It sees a mouse .\n\nOne\n\nTwo\n\na b\n\nx = 1\n  y = 2",
            ("Owls & foxes", "At night"),
            None,
        ),
        ("Bare", ("Owls & foxes", "At night"), None),
        ("Sleep\n\nno", ("Owls & foxes", "Day"), None),
    ]


def test_a_page_that_says_its_title_twice_has_it_once(tmp_path: Path) -> None:
    page = "<title>Owls</title><h1>Owls</h1><p>Text."
    assert read_page(tmp_path, page) == [("Text.", ("Owls",), None)]
    assert read_page(tmp_path, "<title>Owls</title>") == [("Owls", (), None)]


def test_a_page_s_charset_is_the_one_it_declares(tmp_path: Path) -> None:
    page = '<meta charset="shift_jis"><p>猫が寝る'
    assert read_page(tmp_path, page.encode("shift_jis"))[0][0] == "猫が寝る"
    assert read_page(tmp_path, "<p>café".encode("cp1252"))[0][0] == "café"
    assert read_page(tmp_path, b"<meta charset=rot13><p>caf\xe9")[0][0] == "café"


def test_nesting_and_endless_headings_cost_little(tmp_path: Path) -> None:
    assert read_page(tmp_path, "<div>" * 10_000 + "deep")[0][0] == "deep"
    long = "word " * 1000
    assert read_page(tmp_path, f"<h1>{long}</h1><p>text")[0][:2] == (f"{long.strip()}\n\ntext", ())


def test_pages_that_are_slow_to_parse_elsewhere_are_not(tmp_path: Path) -> None:
    for unit in ("<!--", "<a ", "</", "<![CDATA[", "&"):
        read_page(tmp_path, unit * 300_000)
    read_page(tmp_path, "<a " + "a=a " * 300_000)


def test_tags_that_xhtml_closes_at_once_swallow_nothing(tmp_path: Path) -> None:
    page = '<?xml version="1.0"?><html><head><title/><script src="a"/></head><body><p>a<br/>b<a/> c'
    assert read_page(tmp_path, page) == [("a b c", (), None)]


def test_a_page_opens_no_address(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/"
        page = f"""<html><base href="{address}"><link rel=stylesheet href=a.css><img src=b.png>
            <iframe src=c.html></iframe><script src=d.js></script><p>text"""
        assert read_page(tmp_path, page)[-1][0] == "text"
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_a_mail_is_its_header_and_body(tmp_path: Path) -> None:
    path = make_mail(
        tmp_path / "a.eml", "A walk", "Shall we go?\n", "<p>no</p>", attachment="map.pdf"
    )
    ((text, headings, _),) = read(path, "mail")
    assert headings == ("A walk",)
    assert text == (
        "From: Ann <ann@example.org>\nTo: b@example.org\nDate: Fri, 02 Jan 2026 10:00:00 +0000\n\n"
        "Shall we go?\n\nAttachment: map.pdf"
    )
    make_mail(path, "=?utf-8?q?caf=C3=A9?=", "", "<h1>News</h1><p>Of owls.")
    assert read(path, "mail")[1] == ("Of owls.", ("café", "News"), None)


def test_odd_mails_are_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.eml"
    path.write_bytes(b"Subject: x\nContent-Type: text/plain; charset=nonsense\n\ncaf\xe9\n")
    assert read(path, "mail")[0][0] == "café"
    path.write_bytes(b"Subject: caf\xe9 =?x?q?y?=\nTo: " + b"a@b.c, " * 50_000 + b"\n\nx")
    ((text, headings, _),) = read(path, "mail")
    assert headings == ("café =?x?q?y?=",)
    assert text.count("a@b.c") == 50_000
    path.write_bytes(b"no mail at all")
    with pytest.raises(MediaError, match="no header"):
        read(path, "mail")
    parts = b"".join(b"--b\nContent-Type: text/plain\n\nx\n" for _ in range(11_000))
    path.write_bytes(b"Content-Type: multipart/mixed; boundary=b\n\n" + parts + b"--b--\n")
    with pytest.raises(MediaError, match="more parts than the limit"):
        read(path, "mail")
    nested = b"Content-Type: message/rfc822\n\n" * 2000
    path.write_bytes(b"Subject: x\n" + nested)
    with pytest.raises(MediaError, match="unreadable mail"):
        read(path, "mail")


def test_a_book_is_its_chapters_in_reading_order(tmp_path: Path) -> None:
    chapters = [f"<html><body><h1>Chapter {i}</h1><p>Text {i}.</p></body></html>" for i in "12"]
    path = make_epub(tmp_path / "a.epub", [*chapters, "<p>More.</p>"])
    assert read(path, "epub") == [
        ("Text 1.", ("A book", "Chapter 1"), None),
        ("Text 2.", ("A book", "Chapter 2"), None),
        ("More.", ("A book", "Chapter 2"), None),
    ]
    make_epub(path, ["\x00\x01\x02"])
    with pytest.raises(MediaError, match="NUL"):
        read(path, "epub")


def test_a_word_file_is_its_paragraphs_and_tables(tmp_path: Path) -> None:
    parts = [
        ("Title", "Birds"),
        ("Normal", "On birds."),
        ("Heading 1", "Owls"),
        ("Normal", "They hunt."),
        ("table", "name|size\nbarn owl|small"),
        ("Heading 2", "Bare"),
        ("Heading 1", "Ducks"),
        ("Normal", "They swim."),
    ]
    assert read(make_docx(tmp_path / "a.docx", parts), "docx") == [
        ("On birds.", ("Birds",), None),
        ("They hunt.\n\nname | size\n\nbarn owl | small", ("Birds", "Owls"), None),
        ("Bare", ("Birds", "Owls"), None),
        ("They swim.", ("Birds", "Ducks"), None),
    ]


def test_a_slide_is_a_page_with_its_notes(tmp_path: Path) -> None:
    slides = [("Owls", "They hunt\nat night", "Show the film"), ("Only a title", "", "")]
    assert read(make_pptx(tmp_path / "a.pptx", slides), "pptx") == [
        ("They hunt\n\nat night\n\nShow the film", ("Owls",), 1),
        ("Only a title", (), 2),
    ]


def test_a_sheet_is_its_rows_under_its_name(tmp_path: Path) -> None:
    rows = [["what", "euros", "day"], ["owl", 12.5, datetime.date(2026, 1, 2)], [], [None, "=1+1"]]
    path = make_xlsx(tmp_path / "a.xlsx", {"Costs": rows, "Empty": []})
    costs = ("what | euros | day\nowl | 12.5 | 2026-01-02\n\n", ("Costs",), None)
    assert read(path, "xlsx") == [costs, ("", ("Empty",), None)]


MAKERS = {
    "docx": (lambda path: make_docx(path, [("Normal", "text")]), "word/document.xml"),
    "pptx": (lambda path: make_pptx(path, [("a", "b", "c")]), "ppt/slides/slide1.xml"),
    "xlsx": (lambda path: make_xlsx(path, {"a": [["b"]]}), "xl/worksheets/sheet1.xml"),
    "epub": (lambda path: make_epub(path, ["<p>text"]), "book/content.opf"),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_bombs_are_refused_before_they_are_unpacked(tmp_path: Path, kind: DocumentKind) -> None:
    make, part = MAKERS[kind]
    good = make(tmp_path / f"good.{kind}")
    bomb = with_part(good, tmp_path / f"a.{kind}", part, b" " * (65 * 2**20))
    with pytest.raises(MediaError, match="over the limit of 67,108,864"):
        read(bomb, kind)
    bomb = with_part(good, tmp_path / f"b.{kind}", "media/a.png", b" " * 2**20)
    with pytest.raises(MediaError, match=r"unpacks to .* bytes, over the limit of 1,000,000"):
        read(bomb, kind, Limits(max_unpacked_bytes=1_000_000))
    with pytest.raises(MediaError, match="more parts than the limit of 3"):
        read(good, kind, Limits(max_parts=3))


@pytest.mark.parametrize("kind", MAKERS)
def test_an_archive_that_lies_of_its_sizes_unpacks_to_no_more(
    tmp_path: Path, kind: DocumentKind
) -> None:
    make, part = MAKERS[kind]
    path = with_part(make(tmp_path / "good"), tmp_path / "bad", part, b" " * (65 * 2**20))
    raw = path.read_bytes()
    size = struct.pack("<I", 65 * 2**20)
    assert raw.count(size) >= 1
    path.write_bytes(raw.replace(size, struct.pack("<I", 1000)))
    with pytest.raises(MediaError, match="unreadable"):
        read(path, kind)


def test_a_huge_table_of_contents_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.docx"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(70_000):  # beyond 65,535 the archive needs its second kind of table
            archive.writestr(str(number), b"")
    with pytest.raises(MediaError, match="more parts than the limit of 10,000"):
        read(path, "docx")


LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a0 "haha">%s]><x>&a20;</x>""" % b"".join(
    b'<!ENTITY a%d "%s">' % (i + 1, b"&a%d;" % i * 10) for i in range(20)
)
SECRET = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file://%s">]><x>&a;</x>"""


@pytest.mark.parametrize("kind", MAKERS)
def test_entities_neither_grow_nor_read_files(tmp_path: Path, kind: DocumentKind) -> None:
    (tmp_path / "secret").write_text("secret words")
    make, part = MAKERS[kind]
    for content in (LAUGHS, SECRET % str(tmp_path / "secret").encode()):
        path = with_part(make(tmp_path / f"good.{kind}"), tmp_path / f"a.{kind}", part, content)
        try:
            said = str(read(path, kind))
        except MediaError as error:
            said = str(error)
        assert "secret words" not in said
        assert len(said) < 1000


@pytest.mark.parametrize("kind", MAKERS)
def test_broken_and_encrypted_archives_are_refused(tmp_path: Path, kind: DocumentKind) -> None:
    make, _ = MAKERS[kind]
    raw = make(tmp_path / "good").read_bytes()
    path = tmp_path / f"a.{kind}"
    for tenths in range(1, 10):
        path.write_bytes(raw[: len(raw) * tenths // 10])
        with pytest.raises(MediaError):
            read(path, kind)
    path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
    with pytest.raises(MediaError, match="encrypted, or in the format of before 2007"):
        read(path, kind)


def test_the_web_kinds_load_nothing_heavy(tmp_path: Path) -> None:
    make_epub(tmp_path / "a.epub", ["<p>text"])
    make_mail(tmp_path / "a.eml", "a", "b")
    (tmp_path / "a.html").write_text("<p>a")
    code = f"""if True:
        import sys
        from pathlib import Path
        from ponder.index.units import read_file
        early = set(sys.modules)
        for name, kind in (("a.html", "html"), ("a.eml", "mail"), ("a.epub", "epub")):
            assert list(read_file(Path({str(tmp_path)!r}, name), kind))
        assert not early & {{"selectolax", "email", "email.policy"}}
        heavy = {{"docx", "pptx", "openpyxl", "lxml", "pi_heif", "pypdfium2", "av"}}
        assert not heavy & set(sys.modules), heavy & set(sys.modules)"""
    subprocess.run([sys.executable, "-c", code], check=True)
