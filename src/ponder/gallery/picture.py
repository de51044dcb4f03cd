"""Rendering a source picture to what the Gallery stores, and how it looks to a comparison."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ponder.errors import MissingExtraError
from ponder.media import Limits, MediaError, read_picture

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

SIDE = 224
"""Longer side of a stored picture in pixels."""

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


def render(file: Path) -> Picture:
    """Render a PNG or SVG file as RGB on white, its longer side `SIDE` pixels.

    Raises:
        MediaError: the file is unreadable, or shows nothing on white.
        MissingExtraError: the extra that renders is not installed.
    """
    try:
        import imagehash
    except ImportError:
        raise MissingExtraError("the Gallery", "gallery") from None
    import numpy as np
    from PIL import Image

    source = _rasterise(file) if file.suffix == ".svg" else file
    picture = _scale(read_picture(source, _LIMITS))
    small = picture.resize((THUMB, THUMB), Image.Resampling.BOX)
    thumb = np.asarray(small, dtype=np.float32).ravel()
    if thumb.min() >= 250:
        raise MediaError("shows nothing on white")
    look = imagehash.phash(picture).hash.ravel() * np.float32(2) - np.float32(1)
    return Picture(_encode(picture), look, thumb)


def _rasterise(file: Path) -> bytes:
    try:
        import resvg_py
    except ImportError:
        raise MissingExtraError("the Gallery", "gallery") from None
    try:
        png = resvg_py.svg_to_bytes(
            svg_string=file.read_text(encoding="utf-8"),
            width=SIDE,
            dpi=96,  # sizes in points have no pixels without it
            skip_system_fonts=True,  # fonts differ between machines; the pictures must not
        )
    except ValueError as error:
        raise MediaError(f"unreadable SVG ({error})") from error
    return bytes(png)


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
