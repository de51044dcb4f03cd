from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import pytest
from colours import Colours
from document_samples import make_docx, make_epub, make_mail, make_pptx, make_xlsx
from file_samples import make_pdf, make_picture
from snapshots import snapshot

from ponder.errors import FingerprintError, ItemError, PonderError
from ponder.index.index import Index
from ponder.index.store import LanceStore, held
from ponder.items import parse
from ponder.media import Limits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import Any

    from PIL import Image

    from ponder.engine.trace import Trace


def counts(report: Any) -> tuple[int, int, int, int, int]:
    return (
        report.added,
        report.changed,
        report.unchanged,
        report.forgotten,
        report.embedded,
    )


def paths(index: Index) -> list[str]:
    rows = snapshot(index.path)
    return sorted({os.path.basename(path) for path, *_ in rows})  # noqa: PTH119 (bytes)


def test_every_kind_is_found_with_its_place(folder: Path, tmp_path: Path, model: Colours) -> None:
    index = Index(tmp_path / "x.lance", model)
    report = index.add(folder)
    assert counts(report) == (6, 0, 0, 0, 15)
    assert (report.ignored, report.skipped) == ({".bin": 1}, [])
    hits = {(hit.file.name, hit.where): hit for hit in index.search("red", k=50)}
    assert len(hits) == 7 + 2  # eight frames fall in two seconds
    assert hits["red.png", ""].score == pytest.approx(1)
    assert hits["pages.pdf", "page 2"].snippet == "yellow sun"
    assert hits["note.txt", "lines 1-3"].snippet == "A note on bicycles. And on trains."
    assert hits["read.md", "line 7"].kind == "passage"
    assert hits["film.mp4", "0:01"].thumbnail[:2] == b"\xff\xd8"
    assert hits["note.txt", "lines 1-3"].thumbnail is None


def test_office_and_web_files_are_found_with_their_place(tmp_path: Path, model: Colours) -> None:
    top = tmp_path / "in"
    top.mkdir()
    make_docx(top / "a.docx", [("Heading 1", "Birds"), ("Normal", "owls hunt")])
    make_pptx(top / "b.pptx", [("One", "x", ""), ("Two", "foxes sleep", "")])
    make_xlsx(top / "c.xlsx", {"Costs": [["rent", 100]]})
    make_epub(top / "d.epub", ["<h1>Start</h1><p>once upon"])
    make_mail(top / "e.eml", "Hello", "see you")
    (top / "f.html").write_text("<title>Page</title><p>words")
    (top / "g.py").write_text("def owl():\n    return 1\n")
    (top / "h.csv").write_text("name,size\nowl,3\n")
    index = Index(tmp_path / "x.lance", model)
    report = index.add(top)
    assert (report.added, report.skipped, report.partial) == (8, [], [])
    hits = {(hit.file.name, hit.where): hit for hit in index.search("owls", k=50)}
    assert {hit.kind for hit in hits.values()} == {"passage"}
    assert hits["a.docx", ""].snippet == "Birds owls hunt"
    assert hits["b.pptx", "page 2"].snippet == "Two foxes sleep"
    assert hits["c.xlsx", ""].snippet == "Costs rent | 100"
    assert hits["d.epub", ""].snippet == "A book > Start once upon"
    assert hits["e.eml", ""].snippet.startswith("Hello From: Ann")
    assert hits["f.html", ""].snippet == "Page words"
    assert ("g.py", "lines 1-2") in hits
    assert ("h.csv", "lines 1-2") in hits


def test_search_takes_words_pictures_and_both(folder: Path, tmp_path: Path, model: Colours) -> None:
    index = Index(tmp_path / "x.lance", model)
    index.add(folder)
    assert index.search("red", k=1)[0].file == folder / "red.png"
    assert index.search(folder / "deep" / "blue.jpg", k=1)[0].file == folder / "deep" / "blue.jpg"
    both = index.search({"text": "red", "image": folder / "deep" / "blue.jpg"}, k=2)
    assert {hit.file.name for hit in both} == {"red.png", "blue.jpg"}
    assert index.search("bicycles.", k=1)[0].snippet.startswith("A note on bicycles")
    with pytest.raises(ItemError, match="no such file"):
        index.search("missing.png")


def test_a_second_run_embeds_nothing_and_writes_nothing(
    folder: Path, tmp_path: Path, model: Colours
) -> None:
    index = Index(tmp_path / "x.lance", model)
    index.add(folder)
    version, model.embedded = index._opened().version(), 0
    assert counts(index.add(folder)) == (0, 0, 6, 0, 0)
    assert (model.embedded, index._opened().version()) == (0, version)


def test_changes_are_followed(folder: Path, tmp_path: Path, model: Colours) -> None:
    index = Index(tmp_path / "x.lance", model)
    index.add(folder)
    make_picture(folder / "red.png", "purple", (70, 50))
    make_pdf(folder / "pages.pdf", ["only one"])
    (folder / "film.mp4").unlink()
    make_picture(folder / "new.png", "yellow")
    assert counts(index.add(folder)) == (1, 2, 3, 1, 3)
    assert paths(index) == [
        b"blue.jpg",
        b"new.png",
        b"note.txt",
        b"pages.pdf",
        b"read.md",
        b"red.png",
    ]
    assert index.search("purple", k=1)[0].file.name == "red.png"
    assert [hit.where for hit in index.search("a", k=50) if hit.kind == "page"] == ["page 1"]
    fresh = Index(tmp_path / "y.lance", Colours())
    fresh.add(folder)
    assert snapshot(index.path) == snapshot(fresh.path)


def test_a_file_touched_but_not_changed_is_not_embedded(
    folder: Path, tmp_path: Path, model: Colours
) -> None:
    index = Index(tmp_path / "x.lance", model)
    index.add(folder)
    for name in ("red.png", "pages.pdf"):
        os.utime(folder / name, (1, 1))
    assert counts(index.add(folder)) == (0, 0, 6, 0, 0)
    version = index._opened().version()
    assert counts(index.add(folder)) == (0, 0, 6, 0, 0)
    assert index._opened().version() == version


def test_the_same_content_at_two_paths_is_embedded_once(tmp_path: Path, model: Colours) -> None:
    (tmp_path / "in").mkdir()
    first = make_pdf(tmp_path / "in" / "a.pdf", ["one", "two"])
    for name in ("b.pdf", "c.pdf"):
        shutil.copy(first, tmp_path / "in" / name)
    index = Index(tmp_path / "x.lance", model)
    assert counts(index.add(tmp_path / "in")) == (3, 0, 0, 0, 2)
    rows = snapshot(index.path)
    assert len(rows) == 6
    assert len({vector for *_, vector in rows}) == 2


def test_a_moved_folder_is_not_embedded_again(folder: Path, tmp_path: Path, model: Colours) -> None:
    index = Index(tmp_path / "x.lance", model)
    index.add(folder)
    (folder / "deep").rename(folder / "moved")
    assert counts(index.add(folder)) == (3, 0, 3, 3, 0)
    assert index.search("blue", k=1)[0].file == folder / "moved" / "blue.jpg"


def test_contents_that_change_places_follow_their_names(tmp_path: Path, model: Colours) -> None:
    top = tmp_path / "in"
    top.mkdir()
    a, b = make_picture(top / "a.png", "red"), make_picture(top / "b.png", "blue")
    index = Index(tmp_path / "x.lance", model)
    index.add(top)
    a.rename(top / "c"), b.rename(a), (top / "c").rename(b)
    os.utime(a, (5, 5)), os.utime(b, (5, 5))
    assert counts(index.add(top)) == (0, 2, 0, 0, 0)
    assert index.search("red", k=1)[0].file == b
    # One takes the other's content, which is then overwritten by something new.
    shutil.copy(b, a)
    make_picture(b, "green", (99, 33))
    index.add(top)
    assert {hit.file: round(hit.score, 2) for hit in index.search("red", k=2)}[a] == 1
    assert index.search("green", k=1)[0].file == b


def test_only_what_lay_under_the_paths_is_forgotten(
    folder: Path, tmp_path: Path, model: Colours
) -> None:
    index = Index(tmp_path / "x.lance", model)
    index.add(folder)
    (folder / "red.png").unlink()
    (folder / "deep" / "note.txt").unlink()
    assert index.add(folder / "deep").forgotten == 1
    assert b"red.png" in paths(index)
    assert index.add([folder / "pages.pdf", folder / "deep"]).forgotten == 0
    assert index.add(folder).forgotten == 1
    assert paths(index) == [b"blue.jpg", b"film.mp4", b"pages.pdf", b"read.md"]


def test_a_file_that_turned_bad_is_forgotten_and_reported(
    folder: Path, tmp_path: Path, model: Colours
) -> None:
    index = Index(tmp_path / "x.lance", model)
    index.add(folder)
    (folder / "red.png").write_bytes(b"no picture")
    report = index.add(folder)
    assert (report.forgotten, [skipped.path.name for skipped in report.skipped]) == (1, ["red.png"])
    assert b"red.png" not in paths(index)
    errors = pq.read_table(index.path / "errors.parquet").to_pylist()
    assert [(os.path.basename(row["raw_path"]), row["reason"]) for row in errors] == [  # noqa: PTH119
        (b"red.png", "not a picture in any known format")
    ]


def test_what_is_only_partly_in_is_reported(tmp_path: Path, model: Colours) -> None:
    top = tmp_path / "in"
    top.mkdir()
    (top / "a.txt").write_text(f"An owl.\n\n{'x' * 5000}\n")
    (top / "b.png").write_bytes(b"no picture")
    index = Index(tmp_path / "x.lance", model)
    report = index.add(top)
    reason = "left out: 5,000 characters that look like data, not language"
    assert [(part.path.name, part.reason) for part in report.partial] == [("a.txt", reason)]
    assert (report.added, len(report.skipped)) == (1, 1)
    errors = pq.read_table(index.path / "errors.parquet").to_pylist()
    told = [(os.path.basename(row["path"]), row["is_partial"]) for row in errors]  # noqa: PTH119
    assert told == [("b.png", False), ("a.txt", True)]


def test_copies_of_a_bad_file_are_each_reported(tmp_path: Path, model: Colours) -> None:
    top = tmp_path / "in"
    top.mkdir()
    for name in ("a.png", "b.png", "c.png"):
        (top / name).write_bytes(b"no picture")
    report = Index(tmp_path / "x.lance", model).add(top)
    assert [skipped.path.name for skipped in report.skipped] == ["a.png", "b.png", "c.png"]


def test_names_that_are_no_utf8_are_indexed_and_found_again(tmp_path: Path, model: Colours) -> None:
    top = tmp_path / "in"
    top.mkdir()
    good = make_picture(tmp_path / "good.png", "red")
    name = os.path.join(os.fsencode(top), b"caf\xe9.png")  # noqa: PTH118 (bytes)
    shutil.copy(os.fsencode(good), name)
    shutil.copy(os.fsencode(good), name.replace(b"caf", b"dec"))
    shutil.copy(os.fsencode(make_pdf(tmp_path / "a.pdf", ["x"])), name.replace(b"png", b"pdf"))
    index = Index(tmp_path / "x.lance", model)
    assert counts(index.add(top)) == (3, 0, 0, 0, 2)
    hit = index.search("red", k=1)[0]
    assert os.fsencode(hit.file) == name
    assert hit.path.endswith("caf\\xe9.png")
    assert counts(index.add(top)) == (0, 0, 3, 0, 0)


def test_another_model_is_refused_with_the_command_that_mends_it(
    folder: Path, tmp_path: Path, model: Colours
) -> None:
    index = Index(tmp_path / "x.lance", model)
    index.add(folder)
    command = f"ponder index --re-embed --index {index.path} --model other"
    with pytest.raises(FingerprintError, match=command):
        Index(index.path, Colours("other"))
    index._model = Colours("other")  # as when weights change under an open index
    with pytest.raises(FingerprintError, match=command):
        index.add(folder)
    with pytest.raises(FingerprintError, match=command):
        index.search("red")
    with pytest.raises(FingerprintError, match=command):
        index.nearest(model.vector("red"))


def test_re_embedding_brings_an_index_to_another_model(
    folder: Path, tmp_path: Path, model: Colours
) -> None:
    index = Index(tmp_path / "x.lance", model)
    index.add(folder)
    (folder / "film.mp4").unlink()
    other = Colours("other", dim=96)
    report = Index.re_embed(index.path, other)
    assert counts(report) == (5, 0, 0, 1, 7)
    assert [table.model for table in held(index.path)] == ["other"]
    again = Index(index.path, other)
    assert again.search("red", k=1)[0].file == folder / "red.png"
    fresh = Index(tmp_path / "y.lance", other)
    fresh.add(folder)
    assert snapshot(again.path) == snapshot(fresh.path)


def test_re_embedding_goes_on_after_a_kill(folder: Path, tmp_path: Path, model: Colours) -> None:
    index = Index(tmp_path / "x.lance", model)
    index.add(folder)
    other = Colours("other")
    LanceStore(index.path, other.fingerprint, other.name, other.dim)  # a kill right at the start
    for refused in (model, other):
        with pytest.raises(FingerprintError, match="--re-embed"):
            Index(index.path, refused)
    assert Index.re_embed(index.path, other).added == 6
    assert Index(index.path, other).search("red", k=1)[0].file.name == "red.png"


def test_an_index_that_is_not_there_is_an_error_that_says_how_to_make_one(
    tmp_path: Path, model: Colours
) -> None:
    with pytest.raises(PonderError, match="ponder index PATH --index"):
        Index(tmp_path / "x.lance", model).search("red")
    with pytest.raises(PonderError, match="ponder index PATH --index"):
        Index.re_embed(tmp_path / "x.lance", model)
    assert not (tmp_path / "x.lance").exists()


def test_an_empty_index_finds_nothing(tmp_path: Path, model: Colours) -> None:
    (tmp_path / "in").mkdir()
    index = Index(tmp_path / "x.lance", model)
    assert counts(index.add(tmp_path / "in")) == (0, 0, 0, 0, 0)
    assert index.search("red") == []


def test_what_another_process_adds_is_seen(folder: Path, tmp_path: Path, model: Colours) -> None:
    index = Index(tmp_path / "x.lance", model)
    index.add(folder)
    make_picture(folder / "new.png", "yellow")
    Index(tmp_path / "x.lance", Colours()).add(folder)
    assert index.search("yellow", k=1)[0].file.name == "new.png"


def test_two_runs_at_once_are_refused(folder: Path, tmp_path: Path, model: Colours) -> None:
    index, other = Index(tmp_path / "x.lance", model), Index(tmp_path / "x.lance", Colours())

    def meanwhile(done: int, total: int) -> None:
        with pytest.raises(PonderError, match="another run is writing"):
            other.add(folder)

    assert index.add(folder, tell=meanwhile).added == 6
    assert other.add(folder).unchanged == 6


class Choosy(Colours):
    """Reads ahead like a real model, and refuses one file."""

    def stream(
        self, items: Iterable[tuple[Any, Any]], **options: Any
    ) -> Iterator[tuple[Any, np.ndarray, Trace]]:
        window = []
        for key, item in items:
            if str(key).endswith("b.png"):
                raise ItemError(str(key), "over the model's limit")
            window.append((key, item))
            if len(window) == 3:
                yield from super().stream(window, **options)
                window = []
        yield from super().stream(window, **options)


def test_a_file_the_model_refuses_is_skipped_and_the_others_are_indexed(tmp_path: Path) -> None:
    top = tmp_path / "in"
    top.mkdir()
    for seed, name in enumerate("abcdef"):
        make_picture(top / f"{name}.png", seed)
    shutil.copy(top / "a.png", top / "z.png")
    index = Index(tmp_path / "x.lance", Choosy())
    report = index.add(top)
    assert [(skipped.path.name, skipped.reason) for skipped in report.skipped] == [
        ("b.png", "over the model's limit")
    ]
    assert paths(index) == [f"{name}.png".encode() for name in "acdefz"]


def test_progress_reaches_the_total(folder: Path, tmp_path: Path, model: Colours) -> None:
    told: list[tuple[int, int]] = []
    index = Index(tmp_path / "x.lance", model)
    index.add(folder, tell=lambda done, total: told.append((done, total)))
    assert told == [(i, 6) for i in range(7)]  # the total first, as soon as it is known


class Seeing(Colours):
    """Looks at small pictures, and keeps them."""

    def __init__(self) -> None:
        super().__init__()
        self.limits = Limits(max_side=200)
        self.seen: list[Image.Image] = []

    def stream(
        self, items: Iterable[tuple[Any, Any]], **options: Any
    ) -> Iterator[tuple[Any, np.ndarray, Trace]]:
        for key, item in items:
            self.seen += item.pictures
            yield from super().stream([(key, item)], **options)


def test_pictures_reach_the_model_no_larger_than_it_looks_at_them(
    folder: Path, tmp_path: Path
) -> None:
    names = ["large.jpg", "large.png", "wide.webp"]
    for seed, name in enumerate(names):
        make_picture(folder / "deep" / "er" / name, seed, (900, 500))
    model = Seeing()
    index = Index(tmp_path / "x.lance", model)
    index.add(folder)
    sizes = [picture.size for picture in model.seen]
    assert sizes.count((200, 111)) == 3
    assert sizes.count((200, 200)) == 2  # the PDF's pages
    assert max(map(max, sizes)) == 200
    # What is searched with is read as what is searched.
    for name in names:
        path = folder / "deep" / "er" / name
        picture = parse(path, name, model.limits).pictures[0]
        assert picture.tobytes() in {seen.tobytes() for seen in model.seen}
        hit = index.search(path, k=1)[0]
        assert (hit.file, round(hit.score, 6)) == (path, 1)


def test_thoughts_are_kept_beside_the_vectors(folder: Path, tmp_path: Path, model: Colours) -> None:
    index = Index(tmp_path / "x.lance", model)
    report = index.add(folder, think="always")
    assert report.thought == report.embedded > 0
    assert report.thought_tokens == 3 * report.thought
    hits = index.search("red", k=3)
    assert {hit.thought for hit in hits} <= {"<think>1</think>", "<think>2</think>"}
    assert all(hit.to_json()["thought"] == hit.thought for hit in hits)
    again = index.add(folder, think="never")  # what is unchanged keeps its thought
    assert (again.embedded, again.thought) == (0, 0)
    assert index.search("red", k=1)[0].thought == hits[0].thought
    vector, trace = index.embed("red", think="always")
    assert np.array_equal(vector, model.vector("red"))
    assert trace.thought == "<think>1</think>"
