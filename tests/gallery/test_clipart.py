"""Making sense of clip art's titles, as they really are."""

from pathlib import Path

import pytest

from ponder.gallery.clipart import (
    MAX_REPEATS,
    PNG_ROOT,
    SVG_ROOT,
    clean_name,
    clean_title,
    read_clipart,
)


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Apple Pie (B and W)", "Apple Pie black and white"),
        ("Dog 06 Drawn With Straight Lines", "Dog Drawn With Straight Lines"),
        ("guitar1", "guitar"),
        ("M16", ""),
        ("Peace symbol 2", "Peace symbol 2"),
        ("heart-arrow", "heart arrow"),
        ("BlueMan#202", "Blue Man 202"),
        ("Clipart by Nicu Buculei - piggybank", ""),
        ("Part of the Flat Icon Collection (Wed Aug 25 23:29:46 2004)", ""),
        ("unknown", ""),
        ("old_key.svg", "old key"),
        ("Mhooo!", "Mhooo"),
        ("", ""),
    ],
)
def test_titles_become_plain_words(title: str, expected: str) -> None:
    assert clean_title(title) == expected


@pytest.mark.parametrize(
    ("name", "author", "expected"),
    [
        ("heart-arrow_benji_park_01", "Benji Park", "heart arrow"),
        ("baseball_glove_bw_ganson", "Gerald G.", "baseball glove bw ganson"),
        ("chinese_flag_jarno_vas_", "Jarno Vasamaa", "chinese flag"),
        ("star_94pt29step", "codifiedivining", "star"),
        ("aiga_immigration1", "Jean-Victor Balin", "immigration"),
        ("park", "Benji Park", "park"),
    ],
)
def test_names_lose_numbers_and_their_author(name: str, author: str, expected: str) -> None:
    assert clean_name(name, author) == expected


SVG = """<svg xmlns="http://www.w3.org/2000/svg" xmlns:cc="http://web.resource.org/cc/"
  xmlns:dc="http://purl.org/dc/elements/1.1/"
  xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><metadata><cc:Work>
  <dc:title>{title}</dc:title><dc:description>{sentence}</dc:description>
  <dc:subject><rdf:Bag><rdf:li>hash</rdf:li><rdf:li>big_cat</rdf:li></rdf:Bag></dc:subject>
  <dc:creator><cc:Agent><dc:title>{author}</dc:title></cc:Agent></dc:creator>
  <cc:license {licence}/></cc:Work></metadata></svg>"""


def add(
    folder: Path,
    place: str,
    title: str,
    author: str = "Some One",
    sentence: str = "",
    licence: str = "PublicDomain",
) -> None:
    png, svg = folder / PNG_ROOT / f"{place}.png", folder / SVG_ROOT / f"{place}.svg"
    for file in (png, svg):
        file.parent.mkdir(parents=True, exist_ok=True)
    png.write_bytes(b"")
    text = SVG.format(
        title=title, author=author, sentence=sentence, licence=f'rdf:resource="x/{licence}"'
    )
    svg.write_text(text, encoding="utf-8")


def test_reads_what_the_svg_says_of_the_png(tmp_path: Path) -> None:
    add(tmp_path, "animals/tiger_some_01", "Tiger", sentence="A tiger at rest.")
    add(tmp_path, "animals/lion", "Lion", licence="licenses/GPL/2.0/")
    (lion, tiger), left_out = read_clipart(tmp_path, set(), "clips@1")
    assert (tiger.caption, tiger.tags, tiger.author) == ("Tiger", ("big cat",), "Some One")
    assert [(c.kind, c.text) for c in tiger.captions] == [
        ("name", "Tiger"),
        ("tags", "Tiger, big cat"),
        ("sentence", "A tiger at rest."),
    ]
    assert (tiger.licence, lion.licence) == ("CC-PDDC", "GPL-2.0-only")
    assert not left_out.total()


def test_a_collections_title_gives_way_to_known_file_names(tmp_path: Path) -> None:
    for name in ("clock", "printer", "home", "server", "kexi", "aocenterh"):
        add(tmp_path, f"computer/icons/{name}", "Lemon SVG theme")
    entries, left_out = read_clipart(tmp_path, {"clock", "printer", "home", "server"}, "clips@1")
    assert [entry.caption for entry in entries] == [
        "clock icon",
        "home icon",
        "printer icon",
        "server icon",
    ]
    assert left_out["no description"] == 2


def test_a_series_is_left_out_whole(tmp_path: Path) -> None:
    for i in range(MAX_REPEATS + 1):
        add(tmp_path, f"shapes/star_{i}pt", "gramastar")
    add(tmp_path, "signs/flags/chad", "Chad")
    entries, left_out = read_clipart(tmp_path, set(), "clips@1")
    assert [entry.caption for entry in entries] == ["Chad flag"]
    assert left_out["series"] == MAX_REPEATS + 1


def test_titles_in_other_languages_are_left_out(tmp_path: Path) -> None:
    add(tmp_path, "animals/cigno", "Cigno di spalle", author="Architetto Francesco Rollandin")
    entries, left_out = read_clipart(tmp_path, {"cigno"}, "clips@1")
    assert (entries, left_out["not in English"]) == ([], 1)


def test_broken_svg_without_a_title_is_no_description(tmp_path: Path) -> None:
    add(tmp_path, "animals/lion", "Lion")
    (tmp_path / SVG_ROOT / "animals/lion.svg").write_text("<svg><unclosed>", encoding="utf-8")
    entries, left_out = read_clipart(tmp_path, {"lion"}, "clips@1")
    assert (entries, left_out["no description"]) == ([], 1)
