"""Damaged files: small good ones of every format, changed at random the way hostile ones are."""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING

import av
import numpy as np
from file_samples import make_pdf
from office_samples import make_docx, make_eml, make_epub, make_pptx, make_xlsx
from PIL import Image, ImageDraw

from ponder.index.files import reader_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.random import Generator

    Maker = Callable[[Path], Path]

BLOCK = 64  # bytes; the most that is moved at once, with files of a few kilobytes
BLOWN_UP = 8 * 2**20  # bytes, which zip and zlib pack into a few kilobytes
# What a header's counts and sizes are set to: nothing, around signs and ends, and far too much.
SIZES = (0, 1, 0x7F, 0xFFFF, 0x8000, 65_500, 10_000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)

TEXT = "A note on the {}.\n\nOwls hunt at night; 12 of them, 3 days, 400 mice.\n"


def _picture(path: Path) -> Path:
    picture = Image.new("RGB", (48, 32), "navy")
    draw = ImageDraw.Draw(picture)
    draw.ellipse((4, 4, 40, 28), fill="gold")
    draw.line((0, 31, 47, 0), fill="red", width=3)
    mode = {".pbm": "1", ".pgm": "L", ".gif": "P"}.get(path.suffix, "RGB")
    picture.convert(mode).save(path, **({"sizes": [(32, 32)]} if path.suffix == ".ico" else {}))
    return path


def _icns(path: Path) -> Path:
    """An icon of one size; Pillow would write ten, a hundred times the bytes."""
    png = io.BytesIO()
    Image.linear_gradient("L").resize((128, 128)).save(png, "PNG")
    icon = b"ic07" + struct.pack(">I", 8 + len(png.getvalue())) + png.getvalue()
    path.write_bytes(b"icns" + struct.pack(">I", 8 + len(icon)) + icon)
    return path


def _heic(path: Path) -> Path:
    from file_samples import make_heif

    return make_heif(path.with_name(".part.heic")).replace(path)


def _video(path: Path) -> Path:
    codecs = {".webm": "libvpx", ".ogv": "libvpx", ".mpg": "mpeg1video", ".mpeg": "mpeg1video"}
    codecs |= {".wmv": "wmv2", ".flv": "flv", ".mkv": "libx264", ".mov": "libx264"}
    with av.open(str(path), "w", format="ogg" if path.suffix == ".ogv" else None) as container:
        stream = container.add_stream(codecs.get(path.suffix, "mpeg4"), rate=25)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for i in range(12):
            grey = np.full((32, 48, 3), 20 * i, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode())
    return path


def _html(path: Path) -> Path:
    path.write_text(
        "<html><head><title>Owls</title><style>p{}</style></head><body><h1>Owls &amp; mice</h1>"
        "<p>They hunt at <b>night</b>.</p><table><tr><td>12</td></tr></table></body></html>"
    )
    return path


def _text(path: Path) -> Path:
    heading = "# Owls\n\n" if path.suffix in (".md", ".markdown") else ""
    path.write_text(heading + TEXT.format(path.suffix))
    return path


def _table(path: Path) -> Path:
    path.write_text('bird,date,count\nowl,"2 May, at night",3\n"tern\n(common)",4 May,17\n')
    return path


_BY_SUFFIX: dict[str, Maker] = {
    ".pdf": lambda path: make_pdf(path, ["owls", "mice"]),
    ".icns": _icns,
    **dict.fromkeys((".heic", ".heif", ".hif"), _heic),
    ".html": _html,
    ".htm": _html,
    ".xhtml": _html,
    ".csv": _table,
    ".tsv": _table,
    ".docx": lambda path: make_docx(path, "Owls", "They hunt at night.\n\nMice beware."),
    ".pptx": lambda path: make_pptx(path, "Owls", "They hunt\nat night"),
    ".xlsx": lambda path: make_xlsx(path, "Owls", "Bird;Count\nowl;12"),
    ".epub": lambda path: make_epub(path, "Owls", "They hunt at night.\n\nMice beware."),
    ".eml": lambda path: make_eml(path, "Owls", "They hunt at night."),
}
_BY_READER: dict[str, Maker] = {"picture": _picture, "video": _video}


def make(path: Path) -> Path:
    """Write a small good file of the format that the path's suffix stands for."""
    maker = _BY_SUFFIX.get(path.suffix) or _BY_READER.get(str(reader_of(path)), _text)
    return maker(path)


def mutate(raw: bytes, others: list[bytes], rng: Generator) -> bytes:
    """Return the bytes with one to three things done to them.

    Where a file checks its own bytes (PNG) or packs them (the zips of office files), the damage is
    done below that, every other time, or it would never get past the check.
    """
    is_deep = bool(rng.integers(2))
    if is_deep and raw.startswith(b"PK"):
        return _inside_zip(raw, others, rng)
    for _ in range(rng.integers(1, 4)):
        change = _CHANGES[rng.integers(len(_CHANGES))]
        raw = change(raw, others, rng)
    return _checked_again(raw) if is_deep and raw.startswith(b"\x89PNG\r\n\x1a\n") else raw


def _flip_bits(raw: bytes, others: list[bytes], rng: Generator) -> bytes:
    bits = np.unpackbits(np.frombuffer(raw, dtype=np.uint8))
    if len(bits):
        bits[rng.integers(0, len(bits), rng.integers(1, 30))] ^= 1
    return np.packbits(bits).tobytes()


def _cut_off(raw: bytes, others: list[bytes], rng: Generator) -> bytes:
    return raw[: rng.integers(0, len(raw) + 1)]


def _insert(raw: bytes, others: list[bytes], rng: Generator) -> bytes:
    at = rng.integers(0, len(raw) + 1)
    return raw[:at] + rng.bytes(int(rng.integers(1, BLOCK))) + raw[at:]


def _remove(raw: bytes, others: list[bytes], rng: Generator) -> bytes:
    at = rng.integers(0, len(raw) + 1)
    return raw[:at] + raw[at + rng.integers(1, BLOCK) :]


def _repeat(raw: bytes, others: list[bytes], rng: Generator) -> bytes:
    at = rng.integers(0, len(raw) + 1)
    block = raw[at : at + rng.integers(1, BLOCK)]
    return raw[:at] + block * int(rng.choice((2, 3, 100))) + raw[at + len(block) :]


def _zero(raw: bytes, others: list[bytes], rng: Generator) -> bytes:
    at = rng.integers(0, len(raw) + 1)
    block = raw[at : at + rng.integers(1, BLOCK)]
    return raw[:at] + bytes(len(block)) + raw[at + len(block) :]


def _swap_header(raw: bytes, others: list[bytes], rng: Generator) -> bytes:
    length = int(rng.choice((4, 8, 16, BLOCK)))
    return others[rng.integers(len(others))][:length] + raw[length:]


def _set_size(raw: bytes, others: list[bytes], rng: Generator) -> bytes:
    """Set a count or a size near the start, where headers are, or anywhere."""
    width = int(rng.choice((2, 4)))
    end = min(len(raw), 256) if rng.integers(4) else len(raw)
    at = int(rng.integers(0, max(1, end - width)))
    size = SIZES[rng.integers(len(SIZES))] % 2 ** (8 * width)
    return (
        raw[:at] + size.to_bytes(width, "big" if rng.integers(2) else "little") + raw[at + width :]
    )


def _set_number(raw: bytes, others: list[bytes], rng: Generator) -> bytes:
    """Set a number written in digits, as in PDF, PNM and XML."""
    found = list(re.finditer(rb"\d+", raw))
    if not found:
        return raw
    number = found[rng.integers(len(found))]
    value = (b"0", b"-1", b"65535", b"999999999", b"18446744073709551616")[rng.integers(5)]
    return raw[: number.start()] + value + raw[number.end() :]


_CHANGES = (
    _flip_bits,
    _cut_off,
    _insert,
    _remove,
    _repeat,
    _zero,
    _swap_header,
    _set_size,
    _set_size,
    _set_number,
)


def _inside_zip(raw: bytes, others: list[bytes], rng: Generator) -> bytes:
    """Change one member and pack the file again; now and then blow it up."""
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(packed, "w") as new:
        names = old.namelist()
        chosen = names[rng.integers(len(names))]
        for name in names:
            member = old.read(name)
            if name == chosen and not rng.integers(50):
                at = int(rng.integers(0, len(member)))
                block = member[at : at + BLOCK]
                member = member[:at] + block * (BLOWN_UP // len(block)) + member[at:]
            elif name == chosen:
                change = _CHANGES[rng.integers(len(_CHANGES))]
                member = change(member, others, rng)
            new.writestr(name, member, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def _checked_again(raw: bytes) -> bytes:
    """Return a PNG whose chunks' checksums are right again."""
    made, at = raw[:8], 8
    while at + 12 <= len(raw):
        (length,) = struct.unpack_from(">I", raw, at)
        body = raw[at + 4 : at + 8 + length]
        made += raw[at : at + 4] + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + length
    return made
