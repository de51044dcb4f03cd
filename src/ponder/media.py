"""Reading pictures, PDF pages and video frames that nobody vouches for.

Files come from outside, so every reader is bounded in bytes, pixels, pages and frames, decodes
nothing before the bounds are checked, and turns whatever a decoder throws into a `MediaError`.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from ponder.containers import missing_bytes
from ponder.errors import PonderError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from PIL import Image

_PICTURES = (
    ".png .jpg .jpeg .jpe .jfif .webp .gif .bmp .dib .tif .tiff .ico .ppm .pgm .pbm .pnm .tga "
    ".avif .heic .heif .hif .jp2 .icns .dds .pcx .sgi .qoi"
)
_VIDEOS = ".mp4 .m4v .mov .mkv .webm .avi .mpg .mpeg .ogv .wmv .flv .3gp"
PICTURE_SUFFIXES = frozenset(_PICTURES.split())
VIDEO_SUFFIXES = frozenset(_VIDEOS.split())
DOCUMENT_SUFFIXES = frozenset([".pdf"])


class MediaError(PonderError):
    """A media file is unreadable, hostile or over a limit; the message says which."""


@dataclass(frozen=True)
class Limits:
    """Upper bounds on what one file may cost.

    Attributes:
        max_bytes: size of the file itself.
        max_pixels: width x height of a picture as stored, before any scaling.
        max_side: longer side of a decoded picture or frame in pixels; larger ones are scaled down,
            which a JPEG does while it is decoded, for less.
        max_pages: pages of one PDF; a longer one is refused.
        page_side: longer side of a rendered page in pixels.
        max_page_chars: characters of text taken from one page.
        max_passages: passages of text taken from one file.
        max_text_bytes: size of a text, a web page or a chapter; a larger one is a log or a dump.
        max_part_bytes: size of a mail, or of one part of an office file as unpacked.
        max_parts: parts of a mail, an office file or an e-book.
        max_unpacked_bytes: what an office file or an e-book unpacks to, all together.
        max_frames: frames taken from one video, spread evenly.
        max_decoded_frames: frames decoded while seeking those.
    """

    max_bytes: int = 512 * 2**20
    max_pixels: int = 100_000_000
    max_side: int = 1024
    max_pages: int = 2000
    page_side: int = 1024
    max_page_chars: int = 20_000
    max_passages: int = 2000
    max_text_bytes: int = 16 * 2**20
    max_part_bytes: int = 64 * 2**20
    max_parts: int = 10_000
    max_unpacked_bytes: int = 512 * 2**20
    max_frames: int = 8
    max_decoded_frames: int = 20_000


DEFAULT_LIMITS = Limits()

# FFmpeg's playlist formats open whatever other files and addresses they name; these do not.
_VIDEO_FORMATS = "mov,matroska,avi,mpeg,mpegts,mpegvideo,ogg,asf,flv"
_SEEK_BEYOND_S = 10.0  # decoding on to a frame nearer than this beats seeking to its key frame


@dataclass(frozen=True)
class Page:
    """A page of a PDF.

    Attributes:
        number: from 1.
        picture: RGB, its longer side `Limits.page_side` pixels.
        text: the words it holds as text, at most `Limits.max_page_chars`; a scan has none.
        left_out: characters of text beyond those.
    """

    number: int
    picture: Image.Image
    text: str
    left_out: int


def read_picture(source: Path | bytes, limits: Limits = DEFAULT_LIMITS) -> Image.Image:
    """Decode a picture to RGB: EXIF orientation applied, transparency on white, first frame.

    Args:
        source: a file's path, or the file's bytes.
        limits: bounds; a picture over `max_pixels` is refused, one over `max_side` scaled down.

    Raises:
        MediaError: the picture is missing, broken, of no known format, or over a limit.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        _check(source, limits)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of what the limits below decide
            stream = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
            with stream:
                if _is_heif(stream.read(12)):
                    _register_heif()
                stream.seek(0)
                picture = Image.open(stream)
                width, height = picture.size
                if width * height > limits.max_pixels:
                    raise MediaError(
                        f"{width}x{height} pixels, over the limit of {limits.max_pixels:,}"
                    )
                # JPEG can decode straight to a smaller size, at a fraction of the cost.
                picture.draft("RGB", (limits.max_side, limits.max_side))
                picture.load()
                ImageOps.exif_transpose(picture, in_place=True)  # else a copy, turned or not
                return fit(on_white(picture), limits.max_side)
    except MediaError:
        raise
    except Image.DecompressionBombError:
        raise MediaError(f"pixels over the limit of {limits.max_pixels:,}, by far") from None
    except UnidentifiedImageError:
        raise MediaError("not a picture in any known format") from None
    except Exception as error:  # decoders raise anything at all on hostile input
        raise MediaError(f"unreadable picture ({type(error).__name__}: {error})") from error


def on_white(picture: Image.Image) -> Image.Image:
    """Return the picture as RGB, its transparent parts on white."""
    from PIL import Image

    if picture.mode.startswith("I;16") or picture.mode in ("I", "F"):
        return _stretch(picture)
    has_alpha = picture.mode in ("RGBA", "LA", "PA", "RGBa", "La")
    if not has_alpha and "transparency" not in picture.info:
        return picture.convert("RGB")
    layer = picture.convert("RGBA")
    page = Image.new("RGBA", layer.size, "white")
    page.alpha_composite(layer)
    return page.convert("RGB")


def fit(picture: Image.Image, max_side: int) -> Image.Image:
    """Scale the picture down so that its longer side is at most `max_side` pixels."""
    if max(picture.size) <= max_side:
        return picture
    from PIL import Image

    scale = max_side / max(picture.size)
    size = tuple(max(1, round(side * scale)) for side in picture.size)
    return picture.resize((size[0], size[1]), Image.Resampling.BICUBIC, reducing_gap=2.0)


def read_pages(path: Path, limits: Limits = DEFAULT_LIMITS) -> Iterator[Page]:
    """Render a PDF's pages, one at a time.

    Raises:
        MediaError: the file is missing, broken, encrypted or over a limit.
    """
    with _open_pdf(path, limits) as pdf:
        for index in range(len(pdf)):
            yield _render(pdf, index, limits)


def read_page(path: Path, number: int, limits: Limits = DEFAULT_LIMITS) -> Image.Image:
    """Render one page of a PDF, numbered from 1; errors as in `read_pages`."""
    with _open_pdf(path, limits) as pdf:
        if not 1 <= number <= len(pdf):
            raise MediaError(f"page {number} asked for, but the document has {len(pdf)}")
        return _render(pdf, number - 1, limits).picture


def read_frames(path: Path, limits: Limits = DEFAULT_LIMITS) -> list[tuple[float, Image.Image]]:
    """Sample a video's frames, evenly spread over its length.

    Returns:
        At most `limits.max_frames` pairs of a time in seconds and an RGB picture, in order.

    Raises:
        MediaError: the file is missing, broken, holds no video, or is over a limit.
    """
    import av

    try:
        _check(path, limits)
        # Opened here, since FFmpeg takes no name that is not UTF-8.
        with path.open("rb") as file:
            if missing := missing_bytes(file):
                raise MediaError("breaks off: {:,} of {:,} bytes are there".format(*missing))
            options = {"format_whitelist": _VIDEO_FORMATS}
            with av.open(file, metadata_errors="ignore", options=options) as container:
                if not container.streams.video:
                    raise MediaError("no video stream")
                frames = list(_sample(container, limits))
    except MediaError:
        raise
    except Exception as error:
        raise MediaError(f"unreadable video ({type(error).__name__}: {error})") from error
    if not frames:
        raise MediaError("no frame could be decoded")
    return frames


def check_size(size: int, limits: Limits = DEFAULT_LIMITS) -> None:
    """Raise a `MediaError` unless a file of `size` bytes is worth opening."""
    if size == 0:
        raise MediaError("the file is empty")
    if size > limits.max_bytes:
        raise MediaError(f"{size:,} bytes, over the limit of {limits.max_bytes:,}")


def _check(source: Path | bytes, limits: Limits) -> None:
    if isinstance(source, bytes):
        check_size(len(source), limits)
        return
    if not source.exists():
        raise MediaError("no such file")
    if not source.is_file():
        raise MediaError("not a regular file")
    check_size(source.stat().st_size, limits)


def _is_heif(head: bytes) -> bool:
    """Whether a file begins like HEIF; AVIF does as well, and Pillow reads that by itself."""
    return head[4:8] == b"ftyp" and head[8:12] not in (b"avif", b"avis")


@cache
def _register_heif() -> None:
    """Teach Pillow HEIF, once."""
    import pi_heif

    pi_heif.register_heif_opener()


def _stretch(picture: Image.Image) -> Image.Image:
    """Map a picture of more than 8 bits a channel onto 0..255 by its own range."""
    import numpy as np
    from PIL import Image

    values = np.nan_to_num(np.asarray(picture, dtype=np.float32))
    low, high = float(values.min()), float(values.max())
    grey = (values - low) * (255.0 / (high - low) if high > low else 0.0)
    return Image.fromarray(grey.astype(np.uint8)).convert("RGB")


@contextmanager
def _open_pdf(path: Path, limits: Limits) -> Iterator[Any]:
    import pypdfium2

    try:
        _check(path, limits)
        # Opened here, since PDFium takes no name that is not UTF-8.
        with path.open("rb") as file, pypdfium2.PdfDocument(file) as pdf:
            if len(pdf) > limits.max_pages:
                raise MediaError(f"{len(pdf):,} pages, over the limit of {limits.max_pages:,}")
            if len(pdf) == 0:
                raise MediaError("the document has no pages")
            yield pdf
    except MediaError:
        raise
    except Exception as error:
        raise MediaError(f"unreadable PDF ({type(error).__name__}: {error})") from error


def _render(pdf: Any, index: int, limits: Limits) -> Page:
    page = pdf[index]
    try:
        width, height = page.get_size()  # in points
        longer = max(width, height)
        if not (math.isfinite(longer) and min(width, height) > 0):
            raise MediaError(f"page {index + 1} has no size")
        bitmap = page.render(scale=limits.page_side / longer)
        try:
            picture: Image.Image = bitmap.to_pil().convert("RGB")
        finally:
            bitmap.close()
        words = page.get_textpage()
        try:
            count = words.count_chars()
            kept = min(count, limits.max_page_chars)
            text = words.get_text_range(0, kept)
        finally:
            words.close()
        return Page(index + 1, picture, text, count - kept)
    finally:
        page.close()


def _sample(container: Any, limits: Limits) -> Iterator[tuple[float, Image.Image]]:
    stream = container.streams.video[0]
    if stream.codec_context is None:
        raise MediaError("its codec is not known")
    if stream.width * stream.height > limits.max_pixels:
        raise MediaError(f"frames of {stream.width}x{stream.height} pixels, over the limit")
    stream.thread_type = "AUTO"
    start = float(stream.start_time * stream.time_base) if stream.start_time else 0.0
    frame_s = 1 / float(stream.average_rate or 25)
    length = _seconds(container, stream)
    step = length / limits.max_frames
    ends = 0.0  # when the last frame decoded goes off the screen
    frames = container.decode(stream)
    decoded = 0
    for part in range(limits.max_frames):
        due = (part + 0.5) * step  # the middle of each of max_frames equal parts
        if step and ends > due:
            continue  # in a video of few frames one stands for several parts
        if due - ends > _SEEK_BEYOND_S:
            container.seek(int((start + due) * 1_000_000))  # microseconds
            frames = container.decode(stream)
        for frame in frames:
            decoded += 1
            time = float(frame.time or 0.0) - start
            ends = time + frame_s
            if ends > due or decoded >= limits.max_decoded_frames:
                yield max(0.0, time), fit(frame.to_image().convert("RGB"), limits.max_side)
                break
        else:
            # Only what these say of a stream can be trusted: elsewhere it is FFmpeg's estimate, or
            # the length of the sound.
            is_stated = stream.duration and container.format.name.startswith(("mov", "avi"))
            if is_stated and ends < 0.9 * length:
                raise MediaError(f"breaks off after {ends:.1f} s of {length:.1f} s")
            return
        if decoded >= limits.max_decoded_frames:
            return


def _seconds(container: Any, stream: Any) -> float:
    whole = float(container.duration or 0) / 1_000_000  # microseconds
    # Matroska keeps a stream's length among its tags; the whole may be as long as the sound.
    if tag := re.match(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", "")):
        return min(whole, 3600 * int(tag[1]) + 60 * int(tag[2]) + float(tag[3]))
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return whole
