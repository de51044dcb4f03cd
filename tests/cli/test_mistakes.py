"""Ordinary mistakes are one line and exit code 1, and lose nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import ponder
from ponder.cli import console, main

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "index")]
from colours import Colours  # noqa: E402
from file_samples import make_picture  # noqa: E402
from terminal import in_terminal  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

can_mount = pytest.mark.skipif(
    os.name != "posix" or os.geteuid() != 0, reason="only root mounts a disk"
)


@contextmanager
def disk(folder: Path, options: str) -> Iterator[Path]:
    """A small disk of its own, mounted at a folder."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this machine mounts no tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    files = tmp_path / "files"
    files.mkdir()
    for i in range(12):
        make_picture(files / f"{i:02}.png", i)
    return files


@dataclass
class Line:
    """The command line, in this process with the small encoder; a process each takes seconds."""

    capsys: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch

    def run(self, *arguments: object) -> tuple[int, str, str]:
        """Run a command; return its exit status and what it printed to stdout and stderr."""
        for name in ("stdout", "stderr"):  # the consoles hold the streams of the test before
            self.monkeypatch.setattr(getattr(console, name), "file", getattr(sys, name))
        self.monkeypatch.setattr(sys, "argv", ["ponder", *map(str, arguments)])
        handler = signal.getsignal(signal.SIGINT)
        try:
            main()
        except SystemExit as stop:
            status = int(stop.code or 0)
        else:
            status = 0
        finally:
            signal.signal(signal.SIGINT, handler)
        return status, *self.capsys.readouterr()

    def works(self, *arguments: object) -> str:
        """Run a command that ends well and return its output."""
        status, out, err = self.run(*arguments)
        assert (status, err) == (0, "")
        return out

    def fails(self, *arguments: object) -> str:
        """Run a command that is a mistake and return the one line it says."""
        status, out, err = self.run(*arguments)
        assert (status, out) == (1, "")
        assert err.startswith("error: "), err
        assert err.count("\n") == 1, err
        return err.strip()


@pytest.fixture
def line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Line:
    monkeypatch.setitem(vars(ponder), "load", Colours)
    return Line(capsys, monkeypatch)


def test_home_and_variables_are_put_in_full_everywhere(
    files: Path, tmp_path: Path, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TOP", str(tmp_path))
    (tmp_path / "in.jsonl").write_text('{"image": "~/files/00.png"}\n')
    for arguments in (
        ["index", "~/files", "$TOP/files", "--index=~/x"],
        ["search", "red", "--image=~/files/00.png", "--html=~/out.html", "--index=$TOP/x"],
        ["embed", "~/in.jsonl", "~/out.parquet", "--strict"],
        ["status", "--index=~/x"],
        ["forget", "~/files/00.png", "--index=~/x"],
    ):
        assert line.run(*arguments)[0] == 0
    made = {"files", "in.jsonl", "out.errors.parquet", "out.html", "out.parquet", "x"}
    assert {path.name for path in tmp_path.iterdir()} == made
    assert not Path("~").exists()


def test_places_that_cannot_be_written_to_are_found_before_the_work(
    files: Path, tmp_path: Path, line: Line
) -> None:
    line.works("index", files, "--index", tmp_path / "x")
    search = ("search", "red", "--index", tmp_path / "x", "--html")
    assert "there is no folder" in line.fails(*search, tmp_path / "none" / "out.html")
    assert "it is a folder" in line.fails(*search, files)
    assert "is a file" in line.fails("index", files, "--index", files / "00.png")
    assert "is a file" in line.fails("search", "red", "--index", files / "00.png")
    assert "Not a directory" in line.fails("index", files, "--index", files / "00.png" / "x")
    (tmp_path / "in.jsonl").write_text('{"text": "a"}\n')
    assert "Not a directory" in line.fails("embed", tmp_path / "in.jsonl", files / "00.png" / "x")


@can_mount
def test_a_disk_without_room_is_found_before_the_work(
    files: Path, tmp_path: Path, line: Line
) -> None:
    with disk(tmp_path / "disk", "size=1m") as folder:
        said = line.fails("index", files, "--index", folder / "x")
        assert "MB are free there and 12 files need about" in said
    with disk(tmp_path / "smaller", "size=200k") as folder:
        rows = "".join(f'{{"text": "a {i} b {i * i}"}}\n' for i in range(10_000))
        (tmp_path / "in.jsonl").write_text(rows)
        said = line.fails("embed", tmp_path / "in.jsonl", folder / "out.parquet")
        assert "No space left on device" in said
        assert "Traceback" not in said


@can_mount
def test_a_disk_that_fills_up_keeps_what_was_written(
    files: Path, tmp_path: Path, line: Line
) -> None:
    for i in range(1500):
        (files / f"{i:05}.txt").write_text(f"word {i}\n")
    with disk(tmp_path / "disk", "size=40m") as folder:
        filler, index = folder / "other", folder / "x"
        line.works("index", files / "00.png", "--index", index)

        def fill(process: subprocess.Popen[bytes], screen: str) -> None:
            if "/1512" in screen and not filler.exists():
                with suppress(OSError), filler.open("wb", buffering=0) as file:
                    while file.write(bytes(2**16)):
                        pass

        status, screen = in_terminal("index", files, "--index", index, during=fill, columns=200)
        assert status == 1
        assert "Traceback" not in screen
        assert "No space left on device; what was written before is kept" in screen
        filler.unlink()
        line.works("index", files, "--index", index)
        assert "files:    1,512" in line.works("status", "--index", index)


@can_mount
def test_a_read_only_index_is_searched_and_not_changed(
    files: Path, tmp_path: Path, line: Line
) -> None:
    with disk(tmp_path / "disk", "size=64m") as folder:
        line.works("index", files, "--index", folder / "x")
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        done = line.works("search", "red", "--index", folder / "x")
        assert len(done.splitlines()) == 10
        line.works("status", "--index", folder / "x")
        for verb in ("index", "forget"):
            said = line.fails(verb, files, "--index", folder / "x")
            assert "it can be searched, but not changed" in said
        assert "Read-only file system" in line.fails("index", files, "--index", folder / "y")


@can_mount
def test_a_drive_that_is_not_mounted_loses_nothing(tmp_path: Path, line: Line) -> None:
    index = ("--index", tmp_path / "x")
    top = tmp_path / "top"
    top.mkdir()
    make_picture(top / "own.png", "red")
    with disk(top / "drive", "size=4m") as drive:
        for i in range(12):
            make_picture(drive / f"{i}.png", i)
        assert line.works("index", top, *index).startswith("13 added")
    (top / "own.png").unlink()
    done = line.works("index", top, *index)
    assert done.startswith("0 added, 0 changed, 0 unchanged, 1 forgotten"), done
    assert f"{top / 'drive'}: 12 files are known from under it and none is there" in done
    assert f"ponder forget {top / 'drive'} --index {tmp_path / 'x'}" in done
    said = line.fails("index", "--re-embed", "--model", "other", *index)
    assert "If it is on a drive, mount it" in said
    assert line.works("forget", top / "drive", *index) == "12 files forgotten\n"
    assert line.works("index", top, *index).startswith("0 added, 0 changed, 0 unchanged, 0 for")


def test_a_folder_that_is_gone_can_be_forgotten(files: Path, tmp_path: Path, line: Line) -> None:
    index = ("--index", tmp_path / "x")
    make_picture(tmp_path / "other.png", "red")
    line.works("index", files, tmp_path / "other.png", *index)
    files.rename(tmp_path / "moved")
    said = line.fails("index", files, *index)
    assert "no such file or folder" in said
    assert "but the index has 12 of its files. If it is on a drive, mount it; else" in said
    assert f"ponder forget {files} --index {tmp_path / 'x'}" in said
    status = line.works("status", *index)
    assert f"folders:  {files} (not there now)\n          {tmp_path / 'other.png'}\n" in status
    assert "files:    13 (13 pictures)" in status
    assert line.works("forget", files, *index) == "12 files forgotten\n"
    assert "nothing in the index is under it" in line.fails("forget", files, *index)
    status = line.works("status", *index)
    assert "files:    1 (1 picture)" in status
    assert str(files) not in status
    assert "no such file or folder" in line.fails("index", files, *index)
    assert "no index at" in line.fails("status", "--index", tmp_path / "none")
    assert "no index at" in line.fails("forget", files, "--index", tmp_path / "none")
