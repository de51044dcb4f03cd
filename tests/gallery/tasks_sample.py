"""A small Gallery with something for every task in every split."""

from __future__ import annotations

import io
import random
from typing import TYPE_CHECKING, Any

from PIL import Image

from ponder.gallery.concepts import SPLITS, split
from ponder.gallery.emoji import SKIN_TONES, family, variant
from ponder.gallery.shards import SCHEMA, read, write
from ponder.gallery.tasks.category import hexcode
from ponder.gallery.tasks.manuals import Manual
from ponder.gallery.tasks.material import Material
from ponder.gallery.tasks.tables import Series

if TYPE_CHECKING:
    from pathlib import Path

JOBS = {0x1F680: "astronaut", 0x1F373: "cook", 0x1F52C: "scientist", 0x2696: "judge"}
JOBS |= {0x1F3ED: "factory worker", 0x1F4BC: "office worker"}  # in order: two of each split
PEOPLE = {0x1F9D1: "person", 0x1F468: "man", 0x1F469: "woman"}
KINDS = ("animal-mammal", "food-fruit", "tool")


def png(number: int) -> bytes:
    """Return a small picture that no other number has."""
    red, green, blue = random.Random(number).randbytes(3)
    picture = Image.new("RGB", (12, 12), (red, green, blue))
    encoded = io.BytesIO()
    picture.save(encoded, "PNG")
    return encoded.getvalue()


def emoji_row(style: str, code: str, caption: str, **other: Any) -> dict[str, Any]:
    concept = f"emoji/{family(code)}"
    blank = dict.fromkeys(SCHEMA.names, "")
    return blank | {
        "id": f"{style}/{code}",
        "concept": concept,
        "split": split(concept),
        "variant": variant(code),
        "caption": caption,
        "captions": [{"language": "en", "text": caption, "kind": "name"}],
        "tags": [],
        "group": "objects",
        "style": style,
        **other,
    }


def make_rows() -> list[dict[str, Any]]:
    """Return things, jobs with all their variants, flags and clocks, in both emoji styles."""
    rows = []
    for style in ("google", "openmoji"):
        for i in range(90):
            caption = f"thing number {i}" if i % 3 else f"thing{'abcdefghij'[i // 10]}{i}"
            tags = ["tool", f"use{i % 7}"] if i % 2 else [f"use{i % 7}"]
            names = [
                {"language": "en", "text": caption, "kind": "name"},
                {"language": "de", "text": f"Ding {i}", "kind": "name"},
                {"language": "fr", "text": f"thingue {i}", "kind": "name"},
            ]
            rows.append(emoji_row(style, f"{0x1F900 + i:X}", caption, tags=tags, captions=names))
        for job, name in JOBS.items():
            for person, word in PEOPLE.items():
                for tone in (None, *SKIN_TONES):
                    points = [person, *([tone] if tone else []), 0x200D, job]
                    said = "" if tone is None else f": {SKIN_TONES[tone]} skin tone"
                    shown = name if word == "person" else f"{word} {name}"
                    code = "-".join(f"{point:X}" for point in points)
                    rows.append(emoji_row(style, code, shown + said, group="people-body"))
        for i in range(26):
            code = f"{0x1F1E6 + i:X}-{0x1F1FF - i:X}"
            country = f"Country {chr(65 + i)}"
            names = [
                {"language": "en", "text": f"flag: {country}", "kind": "name"},
                {"language": "de", "text": f"Flagge: Land {chr(65 + i)}", "kind": "name"},
            ]
            rows.append(emoji_row(style, code, f"flag: {country}", group="flags", captions=names))
        rows += [
            emoji_row(style, "1F556", "seven o'clock", group="travel-places"),
            emoji_row(style, "1F55E", "three-thirty", group="travel-places"),
        ]
    for i, row in enumerate(rows):
        row["picture"] = png(i)
    return rows


def make_material(folder: Path) -> Material:
    """Write a Gallery, documents and all, and return what tasks are made of."""
    rows = make_rows()
    gallery = folder / "gallery"
    gallery.mkdir()
    write(gallery, rows, {"part": "full"})
    subgroups = {
        hexcode(row["id"]): f"objects: {KINDS[i % 3].replace('-', ' ')}"
        for i, row in enumerate(rows)
        if row["group"] == "objects"
    }
    series = [
        Series(f"made/{i}", f"made {i}", "year", dict(zip(years(), numbers(i), strict=True)), True)
        for i in range(20)
    ]
    manuals = []
    for i in range(20):
        manual = Manual(f"book{i}", f"Book {i}", folder / f"book{i}.pdf")
        manual.file.write_bytes(pdf([f"Chapter {word(i)}", f"Section {word(i + 40)}", "Index"]))
        manuals.append(manual)
    return Material(
        {name: read(gallery, name).to_pylist() for name in SPLITS}, subgroups, series, manuals
    )


def years() -> list[str]:
    return [str(year) for year in range(2000, 2008)]


def numbers(i: int) -> list[float]:
    return [float(1 + (i * 7 + 13 * year) % 97) for year in range(8)]


def word(i: int) -> str:
    return "".join(chr(97 + (i * 7 + step) % 26) for step in (0, 3, 9, i % 5))


def pdf(headings: list[str]) -> bytes:
    """Return a PDF with one page and one outline entry for each heading, with its words.

    The second page speaks of the first heading too."""
    pages = range(len(headings))
    first = 4 + 2 * len(headings)
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in pages)
    objects = [
        f"<</Type/Catalog/Pages 2 0 R/Outlines {first} 0 R>>",
        f"<</Type/Pages/Count {len(headings)}/Kids[{kids}]>>",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    for i, heading in enumerate(headings):
        told = f"{heading}, as in {headings[0]}" if i == 1 else heading
        words = f"BT /F1 12 Tf 20 150 Td ({told}) Tj ET"
        objects.append(
            f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Contents {5 + 2 * i} 0 R"
            "/Resources<</Font<</F1 3 0 R>>>>>>"
        )
        objects.append(f"<</Length {len(words)}>>stream\n{words}\nendstream")
    objects.append(f"<</First {first + 1} 0 R/Last {first + len(headings)} 0 R/Count 3>>")
    for i, heading in enumerate(headings):
        after = f"/Next {first + 2 + i} 0 R" if i + 1 < len(headings) else ""
        objects.append(
            f"<</Title({i + 1} {heading})/Parent {first} 0 R/Dest[{4 + 2 * i} 0 R/Fit]{after}>>"
        )
    out = b"%PDF-1.4\n"
    places = []
    for i, body in enumerate(objects):
        places.append(len(out))
        out += f"{i + 1} 0 obj{body}endobj\n".encode()
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    start = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}".encode()
    return (
        out + f"trailer<</Size {len(objects) + 1}/Root 1 0 R>>\nstartxref\n{start}\n%%EOF".encode()
    )
