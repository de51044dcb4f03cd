"""From files to shards: the same bytes each time, nothing lost in silence."""

import io
import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from ponder.errors import PonderError
from ponder.gallery import build, read
from ponder.gallery.build import make_rows
from ponder.gallery.concepts import near_duplicates
from ponder.gallery.entry import Caption, Entry, named
from ponder.gallery.picture import SIDE, render
from ponder.gallery.shards import SCHEMA, read_manifest, write
from ponder.media import MediaError


def entry(file: Path, caption: str) -> Entry:
    return Entry(
        file=file,
        path=file.name,
        id=f"test/{file.stem}",
        concept=named(caption),
        variant="",
        caption=caption,
        captions=(Caption("en", caption, "name"), Caption("de", f"{caption}!", "sentence")),
        tags=("drawn",),
        group="shapes",
        style="openclipart",
        source="test@1",
        licence="CC0-1.0",
        author="",
    )


@pytest.fixture
def entries(tmp_path: Path) -> list[Entry]:
    """Fifty drawings of random strokes, PNG and SVG in turn, and two broken files."""
    rng = np.random.default_rng(0)
    found = []
    for i in range(50):
        points = rng.integers(0, 100, size=(6, 2)).tolist()
        colour = tuple(rng.integers(0, 200, size=3).tolist())
        if i % 2:
            file = tmp_path / f"{i:02}.png"
            picture = Image.new("RGBA", (100, 80))
            ImageDraw.Draw(picture).polygon([tuple(p) for p in points], fill=colour)
            picture.save(file)
        else:
            file = tmp_path / f"{i:02}.svg"
            corners = " ".join(f"{x},{y}" for x, y in points)
            file.write_text(
                '<svg xmlns="http://www.w3.org/2000/svg" width="100pt" height="80pt">'
                f'<polygon points="{corners}" fill="rgb{colour}"/></svg>'
            )
        found.append(entry(file, f"shape number {i}"))
    (tmp_path / "bad.png").write_bytes(b"\x89PNG nothing")
    (tmp_path / "worse.svg").write_text("<svg>")
    return [
        *found,
        entry(tmp_path / "bad.png", "bad png"),
        entry(tmp_path / "worse.svg", "bad svg"),
    ]


def put(folder: Path, entries: list[Entry]) -> Path:
    folder.mkdir()
    write(folder, make_rows(entries).rows, {"part": "demo", "sources": {}})
    return folder


def test_the_same_entries_give_the_same_bytes(entries: list[Entry], tmp_path: Path) -> None:
    one, other = put(tmp_path / "one", entries), put(tmp_path / "other", entries[::-1])
    names = sorted(path.name for path in one.iterdir())
    assert len(names) == 4
    assert names == sorted(path.name for path in other.iterdir())
    assert all((one / name).read_bytes() == (other / name).read_bytes() for name in names)


def test_rows_survive_the_disk(entries: list[Entry], tmp_path: Path) -> None:
    folder = put(tmp_path / "gallery", entries)
    splits = ("train", "dev", "test")
    rows = [row for split in splits for row in read(folder, split).to_pylist()]
    assert sorted(row["id"] for row in rows) == [one.id for one in entries[:50]]
    row = next(row for row in rows if row["id"] == "test/07")
    assert row["captions"] == [
        {"language": "en", "text": "shape number 7", "kind": "name"},
        {"language": "de", "text": "shape number 7!", "kind": "sentence"},
    ]
    picture = Image.open(io.BytesIO(row["picture"]))
    assert (picture.mode, max(picture.size)) == ("RGB", SIDE)
    assert read(folder, "train", ["id", "caption"]).column_names == ["id", "caption"]
    assert read(folder, "test").schema == SCHEMA
    counts = read_manifest(folder)["counts"]
    assert {split: counts[split]["rows"] for split in splits} == {
        split: read(folder, split).num_rows for split in splits
    }


def test_unreadable_pictures_are_counted_not_fatal(entries: list[Entry]) -> None:
    made = make_rows(entries)
    assert set(made.unreadable) == {"test/bad", "test/worse"}
    assert made.left_out["unreadable"] == 2


def test_neither_names_nor_looks_cross_splits(entries: list[Entry]) -> None:
    # Every drawing comes again under another name, and every name again on another drawing.
    renamed = [
        replace(one, id=f"{one.id}-renamed", caption=f"sketch {i}", concept=f"name/sketch {i}")
        for i, one in enumerate(entries[:50])
    ]
    pairs = zip(entries[:25], entries[25:50], strict=True)
    redrawn = [replace(one, id=f"{one.id}-redrawn", file=other.file) for one, other in pairs]
    rows = make_rows([*entries[:50], *renamed, *redrawn]).rows
    assert len(rows) == 125
    by_name, by_file = defaultdict(set), defaultdict(set)
    for row in rows:
        by_name[row["caption"]].add(row["split"])
        by_file[row["picture"]].add(row["split"])
    assert all(len(splits) == 1 for splits in [*by_name.values(), *by_file.values()])
    assert len({row["split"] for row in rows}) == 3


def test_margins_do_not_make_pictures_alike(tmp_path: Path) -> None:
    big, small = tmp_path / "big.png", tmp_path / "small.png"
    for file, page in ((big, 100), (small, 800)):
        picture = Image.new("RGB", (page, page), "white")
        ImageDraw.Draw(picture).ellipse((20, 20, 80, 60), fill="navy")
        picture.save(file)
    a, b = render(big), render(small)
    assert list(near_duplicates(np.stack([a.look, b.look]), np.stack([a.thumb, b.thumb])))


def test_a_blank_page_shows_nothing(tmp_path: Path) -> None:
    Image.new("RGBA", (50, 50), (255, 255, 255, 0)).save(tmp_path / "blank.png")
    with pytest.raises(MediaError, match="nothing on white"):
        render(tmp_path / "blank.png")


def test_photographs_become_jpeg_and_flat_art_does_not(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, size=(224, 224, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    Image.new("RGB", (224, 224), "navy").save(tmp_path / "flat.png")
    formats = [
        Image.open(io.BytesIO(render(tmp_path / name).encoded)).format
        for name in ("noise.png", "flat.png")
    ]
    assert formats == ["JPEG", "PNG"]


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(PonderError, match="something other than a Gallery"):
        build("demo", tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def test_a_missing_or_other_gallery_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(PonderError, match=r"no Gallery .* run `ponder gallery`"):
        read(tmp_path, "train")
    (tmp_path / "manifest.json").write_text(json.dumps({"version": 0}))
    with pytest.raises(PonderError, match="version 0"):
        read(tmp_path, "train")


@pytest.mark.net
@pytest.mark.slow
def test_the_real_demo_keeps_concepts_apart(tmp_path: Path) -> None:
    folder = build("demo", tmp_path / "demo")
    built = (folder / "manifest.json").stat().st_mtime_ns
    assert build("demo", folder) == folder
    assert (folder / "manifest.json").stat().st_mtime_ns == built
    splits = ("train", "dev", "test")
    columns = ["id", "concept", "split", "caption"]
    rows = [row for split in splits for row in read(folder, split, columns).to_pylist()]
    of_concept, of_caption, of_emoji = defaultdict(set), defaultdict(set), defaultdict(set)
    for row in rows:
        of_concept[row["concept"]].add(row["split"])
        of_caption[row["caption"].lower()].add(row["split"])
        of_emoji[row["id"].split("/")[1].replace("-FE0F", "")].add(row["split"])
    for found in (of_concept, of_caption, of_emoji):
        assert all(len(of_one) == 1 for of_one in found.values())
    assert len(rows) > 8000
    assert not read_manifest(folder)["unreadable"]
