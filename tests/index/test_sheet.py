from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

from ponder.index.hits import Hit
from ponder.index.sheet import contact_sheet


def hit(**fields: object) -> Hit:
    empty = dict.fromkeys(
        ("page", "seconds", "first_line", "last_line", "thumbnail", "gate", "thought")
    )
    named = {"score": 0.5, "path": "/a/b.png", "file": Path("/a/b.png"), "kind": "picture"}
    return Hit(**{**named, "snippet": "", **empty, **fields})  # type: ignore[arg-type]


def test_a_sheet_holds_all_it_shows() -> None:
    page = contact_sheet([("red & <blue>", [hit(thumbnail=b"jpeg"), hit(kind="page", page=3)])])
    HTMLParser().feed(page)
    assert "red &amp; &lt;blue&gt;" in page
    assert f"data:image/jpeg;base64,{base64.b64encode(b'jpeg').decode()}" in page
    assert "page · page 3" in page
    assert not re.findall(r'src="(?!data:)', page)
    assert "2 hits" in page


def test_what_files_say_is_escaped() -> None:
    evil = '"><script>alert(1)</script>'
    page = contact_sheet(
        [(evil, [hit(path=evil, snippet=evil), hit(snippet=evil, thumbnail=b"x", thought=evil)])]
    )
    assert "<script" not in page


def test_cards_link_to_their_files() -> None:
    name = "/a/caf\udce9 & #1.pdf"
    page = contact_sheet(
        [("x", [hit(file=Path(name), page=3), hit(seconds=75.0), hit(file=Path('/a/"x".png'))])]
    )
    links = re.findall(r'href="([^"]*)"', page)
    assert links[::2] == [
        "file:///a/caf%E9%20%26%20%231.pdf#page=3",
        "file:///a/b.png#t=75.0",
        "file:///a/%22x%22.png",
    ]
    assert links[1::2] == links[::2]  # of the picture and of the path


def test_many_searches_have_a_section_each() -> None:
    page = contact_sheet([("first", [hit(score=0.25)]), ("second", [])])
    assert page.count("<h1>") == 2
    assert page.index("first</h1>") < page.index("0.25") < page.index("second</h1>")


def test_places_are_named_in_words() -> None:
    assert hit().where == ""
    assert hit(seconds=75.4).where == "1:15"
    assert hit(first_line=3, last_line=3).where == "line 3"
    assert hit(first_line=3, last_line=9).where == "lines 3-9"


def test_json_has_only_what_fits() -> None:
    assert hit(page=2, snippet="s").to_json() == {
        "score": 0.5,
        "path": "/a/b.png",
        "kind": "picture",
        "page": 2,
        "snippet": "s",
    }
