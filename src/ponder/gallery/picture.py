"""Rendering a source picture to what the Gallery stores, and how it looks to a comparison."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ponder.errors import MissingExtraError
from ponder.media import Limits, MediaError, read_picture

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

SIDE = 224
"""Longer side of a stored picture in pixels."""

MARGIN = 1 / 32
"""White left around what a picture shows, as a part of its longer side. Some clip art is a small
drawing on a large empty page, and all such pictures look alike."""

THUMB = 16
"""Side of the thumbnail that near-duplicates are compared by."""

_LIMITS = Limits(max_side=4 * SIDE)


@dataclass(frozen=True)
class Picture:
    """A rendered picture.

    Attributes:
        encoded: PNG, or JPEG where PNG would take more than twice as much.
        look: (64,) perceptual hash as signs, +1 or -1.
        thumb: (THUMB * THUMB * 3,) colours, 0..255.
    """

    encoded: bytes
    look: NDArray[np.float32]
    thumb: NDArray[np.float32]


def renderers() -> tuple[Any, Any]:
    """Return the modules imagehash and resvg_py.

    Raises:
        MissingExtraError: the extra that brings them is not installed.
    """
    try:
        import imagehash
        import resvg_py
    except ImportError:
        raise MissingExtraError("the Gallery", "gallery") from None
    return imagehash, resvg_py


def render(file: Path) -> Picture:
    """Render a PNG or SVG file as RGB on white, its longer side `SIDE` pixels.

    Raises:
        MediaError: the file is unreadable, or shows nothing on white.
        MissingExtraError: as in `renderers`.
    """
    import numpy as np
    from PIL import Image

    imagehash, _ = renderers()
    source = _rasterise(file) if file.suffix == ".svg" else file
    picture = _scale(_trim(read_picture(source, _LIMITS)))
    small = picture.resize((THUMB, THUMB), Image.Resampling.BOX)
    thumb = np.asarray(small, dtype=np.float32).ravel()
    look = imagehash.phash(picture).hash.ravel() * np.float32(2) - np.float32(1)
    return Picture(_encode(picture), look, thumb)


def _rasterise(file: Path) -> bytes:
    _, resvg_py = renderers()
    try:
        png = resvg_py.svg_to_bytes(
            svg_string=file.read_text(encoding="utf-8"),
            width=SIDE * 3 // 2,  # some of it is trimmed
            dpi=96,  # sizes in points have no pixels without it
            skip_system_fonts=True,  # fonts differ between machines; the pictures must not
        )
    except ValueError as error:
        raise MediaError(f"unreadable SVG ({error})") from error
    return bytes(png)


def _trim(picture: Image.Image) -> Image.Image:
    from PIL import Image, ImageOps

    shown = ImageOps.invert(picture.convert("L")).point(lambda ink: 255 * (ink > 5)).getbbox()
    if shown is None:
        raise MediaError("shows nothing on white")
    cut = picture.crop(shown)
    margin = round(MARGIN * max(cut.size))
    page = Image.new("RGB", (cut.width + 2 * margin, cut.height + 2 * margin), "white")
    page.paste(cut, (margin, margin))
    return page


def _scale(picture: Image.Image) -> Image.Image:
    from PIL import Image

    scale = SIDE / max(picture.size)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def _encode(picture: Image.Image) -> bytes:
    png, jpeg = io.BytesIO(), io.BytesIO()
    picture.save(png, "PNG")
    picture.save(jpeg, "JPEG", quality=90)
    # Flat art stays free of JPEG's ringing; in a photograph, PNG would mostly store noise.
    return min(png, jpeg, key=lambda file: file.tell() * (1 if file is png else 2)).getvalue()
