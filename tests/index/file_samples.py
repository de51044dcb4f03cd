"""Real files of every kind, made on the spot."""

from __future__ import annotations

import base64
import zlib
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

HEIC = (
    "eNpdUb9Lw1AQvtfQmIpW8QdokdJih1KXFhwUB4PWRejuaHxN6EHSPtJQ62ZBBLdO4tjJTVzVRd38K8RBHIpDxw7VeC"
    "+JIj3y3t199717ed8BwIrlnYiaiRzIHLRKMnbQsADYi2N6BoSWrVVtN4pBIPdgzNbRbgRNyjrEgMmIfYaeLE0YWWzy"
    "D8nR2kCsW0Emq4uUmAGNOLUWL8E/kEnKXhsDelKg50DEZBMoXEHxBwreIN+is7tMkVA3vHwAo6/hEGBGOaQTSzqbYr"
    "4vCYpkKPJLP8R0g4qFHcbGKr1MJ37Zf7++v9NqxQxBitwge0R0tcyem08XdMk8b9hundttQqdBPSVoAZvCjJ6rRyvP"
    "bUNEsZSiGPlABN/3B5EYswLbKEFF0zRyCXQbHv0PLKNwfofCgKmdmBI/O6ckha5pRYUkrzZ5MAbZe9+pGnJeqTy7Tb"
    "xtruYe/dGa//p9tdUd9fSbg/7xNlXVUN1KBQqUacDYnBRAPjJs+gPUtWJd"
)


def make_picture(path: Path, colour: str | int, size: tuple[int, int] = (64, 48)) -> Path:
    """A plain picture of a named colour, or a noise picture from a seed."""
    if isinstance(colour, str):
        picture = Image.new("RGB", size, colour)
    else:
        noise = np.random.default_rng(colour).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        picture = Image.fromarray(noise).resize(size)
    picture.save(path)
    return path


def make_heif(path: Path) -> Path:
    """A purple picture of 64 x 48 as HEIC or AVIF, to be turned by a quarter as phones have it."""
    if path.suffix == ".heic":  # Pillow cannot write it
        path.write_bytes(zlib.decompress(base64.b64decode(HEIC)))
        return path
    picture = Image.new("RGB", (64, 48), "purple")
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(path, exif=exif, quality=90)
    return path


def make_pdf(path: Path, pages: list[str]) -> Path:
    """A PDF written by hand, one line of text to the page."""
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in range(len(pages)))
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Kids[{kids}]/Count {len(pages)}>>",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    for i, text in enumerate(pages):
        drawing = f"BT /F1 24 Tf 20 100 Td ({text}) Tj ET"
        objects.append(
            f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Contents {5 + 2 * i} 0 R"
            "/Resources<</Font<</F1 3 0 R>>>>>>"
        )
        objects.append(f"<</Length {len(drawing)}>>stream\n{drawing}\nendstream")
    body, offsets = "%PDF-1.4\n", []
    for number, text in enumerate(objects, start=1):
        offsets.append(len(body))
        body += f"{number} 0 obj\n{text}\nendobj\n"
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    body += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
    start = body.index("xref\n0")
    body += f"trailer<</Size {len(objects) + 1}/Root 1 0 R>>\nstartxref\n{start}\n%%EOF\n"
    path.write_bytes(body.encode("latin-1"))
    return path


def make_video(
    path: Path, seconds: float = 2, rate: int = 10, sound_s: float = 0, is_live: bool = False
) -> Path:
    """A video that goes from black to white, with so much sound; live, its header says no size."""
    import av

    count = round(seconds * rate)
    options = {"movflags": "+faststart"} if path.suffix == ".mp4" else {}
    if is_live:
        options["live"] = "1"
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=8000, layout="mono") if sound_s else None
        for i in range(count):
            grey = np.full((48, 64, 3), round(255 * i / count), dtype=np.uint8)
            grey[:, i % 64] = 255 - grey[0, 0]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode())
        for i in range(round(sound_s * 10)):
            wave = np.zeros((1, 800), dtype=np.int16)
            samples = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
            samples.rate, samples.pts = 8000, 800 * i
            container.mux(sound.encode(samples))
    return path
