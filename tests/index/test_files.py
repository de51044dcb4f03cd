from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from ponder.errors import PonderError
from ponder.index import files
from ponder.index.files import reader_of, walk
from ponder.paths import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = 65534


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def names(top: Path, *paths: Path) -> list[str]:
    return [str(file.path.relative_to(top)) for file in walk(paths or [top]).files]


def test_walk_finds_known_kinds_in_a_fixed_order_and_counts_the_rest(tmp_path: Path) -> None:
    for name in (
        "b.PNG",
        "a.md",
        "sub/c.pdf",
        "sub/deep/d.mp4",
        "x.bin",
        "sub/y.BIN",
        "README",
        ".hidden.png",
        ".git/a.md",
    ):
        touch(tmp_path / name)
    found = walk([tmp_path])
    assert names(tmp_path) == ["a.md", "b.PNG", "sub/c.pdf", "sub/deep/d.mp4"]
    assert [file.reader for file in found.files] == ["markdown", "picture", "document", "video"]
    assert found.ignored == {".bin": 2, "": 1, "hidden": 2}
    assert found.skipped == []


def test_installed_packages_are_left_out_unless_asked_for(tmp_path: Path) -> None:
    for name in ("a.py", "node_modules/b.js", "env/pyvenv.cfg", "env/lib/c.py"):
        touch(tmp_path / name)
    found = walk([tmp_path])
    assert names(tmp_path) == ["a.py"]
    assert found.ignored == {"installed packages": 2}
    assert names(tmp_path, tmp_path / "env", tmp_path / "node_modules") == [
        "env/pyvenv.cfg",
        "env/lib/c.py",
        "node_modules/b.js",
    ]


def test_a_path_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PonderError, match=r"no such file or folder: .*nowhere"):
        walk([tmp_path / "nowhere"])


def test_a_file_of_unknown_kind_given_by_name_is_reported(tmp_path: Path) -> None:
    found = walk([touch(tmp_path / "x.bin")])
    assert "not a kind of file" in found.skipped[0].reason


def test_overlapping_paths_give_each_file_once(tmp_path: Path) -> None:
    inner = touch(tmp_path / "sub" / "a.png")
    assert names(tmp_path, tmp_path, tmp_path / "sub", inner) == ["sub/a.png"]


def test_links_are_followed_once_and_real_names_come_first(tmp_path: Path) -> None:
    top, other = tmp_path / "top", tmp_path / "other"
    touch(top / "z" / "real.png")
    touch(other / "far.png")
    (top / "a.png").symlink_to(top / "z" / "real.png")
    (top / "to-other").symlink_to(other)
    (top / "again").symlink_to(other)
    (top / "to-z").symlink_to(top / "z")
    assert names(top) == ["z/real.png", "again/far.png"]


def test_a_link_loop_ends_and_is_reported(tmp_path: Path) -> None:
    touch(tmp_path / "sub" / "a.png")
    (tmp_path / "sub" / "up").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to(tmp_path / "self")
    (tmp_path / "me.png").symlink_to(tmp_path / "me.png")
    found = walk([tmp_path])
    assert [file.path.name for file in found.files] == ["a.png"]
    reasons = {skipped.path.name: skipped.reason for skipped in found.skipped}
    assert "a link back to" in reasons["up"]
    assert "me.png" in reasons


def test_broken_links_and_special_files_are_reported(tmp_path: Path) -> None:
    (tmp_path / "lost.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    found = walk([tmp_path])
    assert found.files == []
    reasons = {skipped.path.name: skipped.reason for skipped in found.skipped}
    assert reasons == {"lost.png": "No such file or directory", "pipe.png": "not a regular file"}


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may read everything; within, it is someone who may not."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


def test_a_closed_folder_is_reported_and_not_taken_for_empty() -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        inside = touch(folder / "closed" / "a.png")
        inside.parent.chmod(0)
        with as_nobody():
            found = walk([folder])
        inside.parent.chmod(0o755)
    assert found.skipped[0].reason == "Permission denied"
    assert found.covers(folder / "other.png")
    assert not found.covers(inside)


def test_names_that_are_no_utf8_are_found_and_printed(tmp_path: Path) -> None:
    name = os.path.join(os.fsencode(tmp_path), b"caf\xe9.png")  # noqa: PTH118 (bytes)
    with open(name, "wb") as file:  # noqa: PTH123
        file.write(b"x")
    (file,) = walk([tmp_path]).files
    assert os.fsencode(file.path) == name
    assert printable(file.path).endswith("caf\\xe9.png")
    assert str(file).encode().endswith(b"caf\\xe9.png")


def test_reader_of_goes_by_suffix() -> None:
    assert reader_of("A.JPEG") == "picture"
    assert reader_of("a") is None
    assert [reader_of(f"a{suffix}") for suffix in (".py", ".csv", ".eml", ".xlsx", ".heic")] == [
        "text",
        "text",
        "mail",
        "xlsx",
        "picture",
    ]


def test_a_file_that_needs_an_extra_says_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.docx", "b.XLSX", "c.html"):
        touch(tmp_path / name)
    assert names(tmp_path) == ["a.docx", "b.XLSX", "c.html"]
    files._lacks_extra.cache_clear()
    for module in ("docx", "openpyxl"):
        monkeypatch.setitem(sys.modules, module, None)  # as if it were not installed
    found = walk([tmp_path])
    files._lacks_extra.cache_clear()
    assert [file.path.name for file in found.files] == ["c.html"]
    assert [skipped.reason for skipped in found.skipped] == [
        "a .docx file needs an extra: pip install 'ponder[formats]'",
        "a .xlsx file needs an extra: pip install 'ponder[formats]'",
    ]
