"""Files longer than a commit, runs that are stopped, and what an index says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from colours import Colours
from file_samples import make_pdf, make_picture
from snapshots import snapshot

from ponder.errors import ItemError
from ponder.index import ingest
from ponder.index.folder import RECORD, Record
from ponder.index.index import Index
from ponder.index.report import ERRORS
from ponder.index.upkeep import absent, forget, status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import numpy as np

    from ponder.engine.trace import Trace

PAGES = 30


class Stopped(Colours):
    """Is stopped by Ctrl-C, or refuses the item, after so many items."""

    def __init__(self, left: int, refuses: bool = False) -> None:
        super().__init__()
        self.left, self.refuses = left, refuses

    def stream(
        self, items: Iterable[tuple[Any, Any]], **options: Any
    ) -> Iterator[tuple[Any, np.ndarray, Trace]]:
        for key, vector, trace in super().stream(items, **options):
            if not self.left:
                if self.refuses:
                    raise ItemError(str(key), "over the limit")
                raise KeyboardInterrupt
            self.left -= 1
            yield key, vector, trace


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a picture and a PDF of many pages; every row is a commit."""
    monkeypatch.setattr(ingest, "COMMIT_S", 0.0)
    folder = tmp_path / "in"
    folder.mkdir()
    make_picture(folder / "a.png", "red")
    make_pdf(folder / "b.pdf", [f"page {i}" for i in range(PAGES)])
    return folder


def undisturbed(folder: Path, tmp_path: Path) -> list[Any]:
    Index(tmp_path / "other.lance", Colours()).add(folder)
    return snapshot(tmp_path / "other.lance")


def test_a_stopped_run_goes_on_in_the_middle_of_a_file(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.lance"
    with pytest.raises(KeyboardInterrupt):
        Index(path, Stopped(20)).add(folder)
    found = status(path)
    assert (found.files, found.unfinished) == (2, 1)
    assert found.kinds == {"page": 19, "picture": 1}
    assert Index(path, Colours()).search("page 7", k=50)[-1].kind == "picture"  # it is searchable
    report = Index(path, Colours()).add(folder)
    assert (report.embedded, report.added, report.unchanged) == (PAGES - 19, 0, 2)
    assert status(path).unfinished == 0
    assert snapshot(path) == undisturbed(folder, tmp_path)
    assert Index(path, Colours()).add(folder).embedded == 0


def test_all_rows_there_but_the_last_step(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.lance"
    with pytest.raises(KeyboardInterrupt):  # on a file that comes after the pages
        make_picture(folder / "c.png", "blue")
        Index(path, Stopped(PAGES + 1)).add(folder)
    report = Index(path, Colours()).add(folder)
    assert report.embedded <= 2
    assert status(path).unfinished == 0
    assert snapshot(path) == undisturbed(folder, tmp_path)


def test_rows_of_a_file_that_changed_meanwhile_are_not_kept(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.lance"
    with pytest.raises(KeyboardInterrupt):
        Index(path, Stopped(20)).add(folder)
    make_pdf(folder / "b.pdf", [f"other {i}" for i in range(5)])
    assert Index(path, Colours()).add(folder).embedded == 5
    assert snapshot(path) == undisturbed(folder, tmp_path)


def test_a_copy_of_an_unfinished_file_is_whole(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.lance"
    with pytest.raises(KeyboardInterrupt):
        Index(path, Stopped(20)).add(folder)
    (folder / "0.pdf").write_bytes((folder / "b.pdf").read_bytes())
    Index(path, Colours()).add(folder)
    assert snapshot(path) == undisturbed(folder, tmp_path)


def test_a_file_refused_in_the_middle_leaves_no_rows(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.lance"
    report = Index(path, Stopped(20, refuses=True)).add(folder)
    assert [one.reason for one in report.skipped] == ["over the limit"]
    assert status(path).kinds == {"picture": 1}


def test_status_and_forget(folder: Path, tmp_path: Path) -> None:
    index = Index(tmp_path / "x.lance", Colours())
    (folder / "deep").mkdir()
    make_picture(folder / "deep" / "c.png", "blue")
    (folder / "bad.png").write_bytes(b"x")
    (folder / "link.png").symlink_to(folder / "deep" / "c.png")
    index.add([folder / "deep", folder])
    found = status(index.path)
    assert (found.files, found.errors, found.roots) == (3, 1, [str(folder)])
    assert [(table.model, table.dim) for table in found.models] == [("colours", 128)]
    assert found.last_run["added"] == 3
    assert index.forget(folder / "deep" / ".." / "deep" / "c.png") == 1
    assert index.add(folder).added == 1
    assert forget(index.path, [folder / "a.png", folder / "deep"]) == 2
    assert index.forget(folder) == 1
    assert status(index.path).roots == []
    assert status(index.path).files == 0


def test_an_index_of_an_earlier_version_has_a_status(folder: Path, tmp_path: Path) -> None:
    index = Index(tmp_path / "x.lance", Colours())
    (folder / "bad.png").write_bytes(b"x")
    index.add(folder)
    (index.path / RECORD).unlink()
    errors = index.path / ERRORS
    pq.write_table(pq.read_table(errors).drop_columns(["is_partial"]), errors)
    found = status(index.path)
    assert (found.files, found.errors, found.partial, found.roots) == (2, 1, 0, [])


def test_roots_are_remembered_once(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    a, b, gone = tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "gone"
    record = Record().after([b, gone], {})
    assert record.roots == (b, gone)
    assert record.after([a], {}).roots == (gone, a)  # what is not there now is not taken for a's
    assert record.after([a, b], {}).after([b], {}).roots == (gone, a)
    record.write(tmp_path)
    assert Record.read(tmp_path) == record
    (tmp_path / "index.json").write_text("[1")
    assert Record.read(tmp_path) == Record()


def test_an_emptied_folder_of_many_files_may_be_a_drive(tmp_path: Path) -> None:
    (tmp_path / "drive").mkdir()
    (tmp_path / "emptied").mkdir()
    (tmp_path / "tidied").mkdir()
    (tmp_path / "tidied" / "left.txt").write_text("x")
    files = [
        *(tmp_path / "drive" / "deep" / f"{i}.png" for i in range(10)),
        *(tmp_path / "emptied" / f"{i}.png" for i in range(9)),
        *(tmp_path / "tidied" / f"{i}.png" for i in range(99)),
        tmp_path / "share" / "one.png",
    ]
    assert absent(files, [tmp_path / "share"]) == {tmp_path / "drive": 10, tmp_path / "share": 1}
