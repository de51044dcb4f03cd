"""Broken, hostile and huge files: none ends the run, each is reported, all good files are in."""

from __future__ import annotations

import os
import shutil
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
from colours import Colours
from file_samples import make_pdf, make_picture, make_video
from snapshots import snapshot

from ponder.index.index import Index
from ponder.index.ingest import _reason
from ponder.media import MediaError

if TYPE_CHECKING:
    from pathlib import Path

    from ponder.index.report import Report

KINDS = ("png", "jpg", "webp", "gif", "pdf", "mp4")


def make(path: Path, seed: int = 0) -> Path:
    if path.suffix == ".pdf":
        return make_pdf(path, [f"page {i} of {seed}" for i in range(3)])
    if path.suffix == ".mp4":
        return make_video(path, seconds=1 + seed / 10)
    return make_picture(path, seed, (200, 150))


def run(top: Path) -> tuple[Report, set[str], dict[str, str]]:
    """Index; returns the report, names indexed and reasons by name skipped."""
    folder = top.parent / "x.lance"
    report = Index(folder, Colours()).add(top)
    indexed = {os.fsdecode(os.path.basename(path)) for path, *_ in snapshot(folder)}  # noqa: PTH119
    return report, indexed, {skipped.path.name: skipped.reason for skipped in report.skipped}


def test_truncated_files_are_each_reported(tmp_path: Path) -> None:
    top = tmp_path / "in"
    top.mkdir()
    for kind in KINDS:
        raw = make(top / f"good.{kind}").read_bytes()
        for percent in (5, 60):
            (top / f"{percent}.{kind}").write_bytes(raw[: len(raw) * percent // 100])
    _, indexed, reasons = run(top)
    assert indexed == {f"good.{kind}" for kind in KINDS}
    assert set(reasons) == {f"{percent}.{kind}" for kind in KINDS for percent in (5, 60)}


def test_bit_flips_end_no_run_and_lose_no_file(tmp_path: Path) -> None:
    flip_bits(tmp_path, copies=8)


@pytest.mark.slow
def test_many_bit_flips(tmp_path: Path) -> None:
    flip_bits(tmp_path, copies=300)


def flip_bits(tmp_path: Path, copies: int) -> None:
    top = tmp_path / "in"
    top.mkdir()
    rng = np.random.default_rng(0)
    for kind in KINDS:
        raw = make(top / f"good.{kind}").read_bytes()
        for i in range(copies):
            bits = np.unpackbits(np.frombuffer(raw, dtype=np.uint8))
            bits[rng.integers(0, len(bits), rng.integers(1, 30))] ^= 1
            (top / f"{i}.{kind}").write_bytes(np.packbits(bits).tobytes())
    report, indexed, reasons = run(top)
    assert {f"good.{kind}" for kind in KINDS} <= indexed
    assert not indexed & set(reasons)
    assert len(indexed) + len(reasons) == len(KINDS) * (copies + 1)
    assert report.added == len(indexed)
    for kind in ("png", "pdf", "webp"):
        assert any(name.endswith(kind) for name in reasons)


def bomb(path: Path, side: int) -> None:
    """A PNG of side x side white pixels in a few kilobytes."""

    def chunk(name: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + check

    packer = zlib.compressobj(9)
    row = b"\0" + b"\xff" * (side // 8)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    ends = chunk(b"IDAT", data) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + ends)


def test_hostile_files_are_each_reported(tmp_path: Path) -> None:
    top = tmp_path / "in"
    (top / "sub").mkdir(parents=True)
    good = [make(top / f"good.{kind}").name for kind in KINDS]
    bomb(top / "bomb.png", side=40_000)
    for kind in (*KINDS, "txt", "md"):
        (top / f"empty.{kind}").write_bytes(b"")
        with (top / f"huge.{kind}").open("wb") as file:
            file.truncate(2 * 2**30)  # sparse
    (top / "binary.txt").write_bytes(bytes(range(256)))
    (top / "picture.mp4").write_bytes((top / "good.png").read_bytes())
    (top / "film.pdf").write_bytes((top / "good.mp4").read_bytes())
    (top / "list.mp4").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\ngood.mp4\n")
    (top / "pages.png").write_bytes((top / "good.pdf").read_bytes())
    (top / "heading.md").write_text("#\n")
    (top / "sub" / "loop").symlink_to(top)
    odd = os.path.join(os.fsencode(top), b"caf\xe9.png")  # noqa: PTH118 (bytes)
    shutil.copy(os.fsencode(top / "good.png"), odd)
    with open(odd.replace(b"caf", b"bad"), "wb") as file:  # noqa: PTH123
        file.write(b"\x89PNG\r\n\x1a\n")
    report, indexed, reasons = run(top)
    assert indexed == {*good, os.fsdecode(b"caf\xe9.png")}
    assert "over the limit" in reasons["bomb.png"]
    for kind in (*KINDS, "txt", "md"):
        assert reasons[f"empty.{kind}"] == "the file is empty"
        assert "over the limit" in reasons[f"huge.{kind}"]
    assert "NUL bytes" in reasons["binary.txt"]
    assert "unreadable video" in reasons["picture.mp4"]
    assert "unreadable video" in reasons["list.mp4"]
    assert "unreadable PDF" in reasons["film.pdf"]
    assert "not a picture" in reasons["pages.png"]
    assert "nothing in it" in reasons["heading.md"]
    assert "a link back" in reasons["loop"]
    assert os.fsdecode(b"bad\xe9.png") in reasons
    assert len(report.skipped) == 1 + 16 + 8


def test_a_reason_is_one_line() -> None:
    assert _reason(MediaError("unreadable picture (\n  no data\n)")) == (
        "unreadable picture ( no data )"
    )


def test_a_file_that_loses_its_reader_is_reported(tmp_path: Path) -> None:
    top = tmp_path / "in"
    top.mkdir()
    make_picture(top / "a.png", 1)
    secret = make_picture(top / "b.png", 2)
    secret.chmod(0)
    _, indexed, reasons = run(top)
    if os.geteuid() == 0:  # root may read everything
        assert indexed == {"a.png", "b.png"}
    else:
        assert (indexed, reasons) == ({"a.png"}, {"b.png": "Permission denied"})
