"""What can be embedded, and how loose input becomes an `Item`.

Parsing happens once, at the edge. A string is text unless it ends like a media file; then it is a
path, and a path that does not exist is an error, never text. Everything behind this module sees
only `Item`.
"""

from __future__ import annotations

import operator
import reprlib
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ponder.errors import ItemError
from ponder.media import (
    DEFAULT_LIMITS,
    DOCUMENT_SUFFIXES,
    PICTURE_SUFFIXES,
    VIDEO_SUFFIXES,
    Limits,
    MediaError,
    fit,
    on_white,
    read_frames,
    read_page,
    read_picture,
)
from ponder.paths import expanded, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL import Image

MEDIA_SUFFIXES = PICTURE_SUFFIXES | VIDEO_SUFFIXES | DOCUMENT_SUFFIXES
KEYS = ("text", "image", "video", "document", "page", "instruction")


@dataclass(frozen=True)
class Item:
    """One thing to embed.

    Attributes:
        parts: texts and RGB pictures in reading order; a video is its sampled frames.
        instruction: what the embedding is for, or None for the model's default.
    """

    parts: tuple[str | Image.Image, ...]
    instruction: str | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """The text parts, in order."""
        return tuple(part for part in self.parts if isinstance(part, str))

    @property
    def pictures(self) -> tuple[Image.Image, ...]:
        """The picture parts, in order."""
        return tuple(part for part in self.parts if not isinstance(part, str))


def parse(value: Any, name: str, limits: Limits = DEFAULT_LIMITS) -> Item:
    """Turn any accepted input into an `Item`, decoding its media.

    Args:
        value: an `Item`; text; a path, PIL image, encoded bytes or (H, W), (H, W, 3), (H, W, 4)
            uint8 array for a picture; a dict with any of `text`, `image`, `video`, `document`,
            `page`, `instruction` (each of `text` and `image` one value or a list); or a list or
            tuple of these, read in order as one item.
        name: what errors call this item.
        limits: bounds on the media it names.

    Raises:
        ItemError: the value is of no accepted form, empty, holds text that is not Unicode, or its
            media cannot be read; the message names the file.
    """
    try:
        item = value if isinstance(value, Item) else _item(value, limits)
        for text in (*item.texts, item.instruction or ""):
            check_text(text)
    except MediaError as error:
        raise ItemError(name, str(error)) from error
    except (ValueError, OSError) as error:
        raise ItemError(name, str(error)) from None
    if not item.parts:
        raise ItemError(name, "nothing to embed; give text or a picture")
    return item


def check_text(text: str) -> None:
    """Check that a text can be written as UTF-8, which every tokenizer does first.

    Raises:
        ValueError: it holds a lone surrogate, as text cut inside an emoji's UTF-16 pair does.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{reprlib.repr(text)} is no text: character {error.start} is half a surrogate pair; "
            "drop such halves with text.encode('utf-8', 'ignore').decode()"
        ) from None


def _item(value: Any, limits: Limits) -> Item:
    instruction = value.get("instruction") if isinstance(value, Mapping) else None
    if not isinstance(instruction, str | None):
        raise ValueError(f"'instruction' must be a string, not {type(instruction).__name__}")
    return Item(tuple(_parts(value, limits)), instruction)


def _parts(value: Any, limits: Limits) -> list[str | Image.Image]:
    import numpy as np
    from PIL import Image

    if isinstance(value, str):
        return [value] if not _is_media_name(value) else _read(expanded(value), limits)
    if isinstance(value, Path):
        return _read(expanded(value), limits)
    if isinstance(value, bytes | bytearray):
        return [read_picture(bytes(value), limits)]
    if isinstance(value, Image.Image):
        return [fit(on_white(value), limits.max_side)]
    if isinstance(value, np.ndarray):
        return [fit(_from_array(value), limits.max_side)]
    if isinstance(value, Mapping):
        return _from_mapping(value, limits)
    if isinstance(value, list | tuple):
        return [part for element in value for part in _parts(element, limits)]
    raise ValueError(
        f"cannot embed a {type(value).__name__}; give text, a path, a PIL image, bytes, a uint8 "
        f"array, or a dict with {', '.join(KEYS)}"
    )


def _is_media_name(text: str) -> bool:
    if text.startswith("data:image/"):
        raise ValueError("a data URI is not decoded; give the picture's bytes")
    one_line = len(text) < 4096 and "\n" not in text
    if not (one_line and Path(text).suffix.lower() in MEDIA_SUFFIXES):
        return False
    if text.startswith(("http://", "https://")):
        raise ValueError(f"{text} is a URL; ponder fetches none: download it and give the path")
    if not expanded(text).exists():
        raise ValueError(
            f"no such file: {text!r} (to embed these words as text, write {{'text': {text!r}}})"
        )
    return True


def _read(path: Path, limits: Limits) -> list[str | Image.Image]:
    suffix = path.suffix.lower()
    if suffix in VIDEO_SUFFIXES:
        return _frames(path, limits)
    if suffix in DOCUMENT_SUFFIXES:
        raise ValueError(
            f"{path} has pages: name one with {{'document': {str(path)!r}, 'page': 1}}, "
            "or index the file"
        )
    return [_picture(path, limits)]


def _picture(path: Path, limits: Limits) -> Image.Image:
    with _named(path):
        return read_picture(path, limits)


def _frames(path: Path, limits: Limits) -> list[str | Image.Image]:
    with _named(path):
        return [picture for _, picture in read_frames(path, limits)]


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Put the file's name before what is wrong with it."""
    try:
        yield
    except MediaError as error:
        raise MediaError(f"{printable(path)}: {error}") from error


def _from_mapping(value: Mapping[str, Any], limits: Limits) -> list[str | Image.Image]:
    if unknown := sorted(set(value) - set(KEYS)):
        raise ValueError(f"unknown key {unknown[0]!r}; the keys are {', '.join(KEYS)}")
    if "page" in value and "document" not in value:
        raise ValueError("'page' needs a 'document'")
    parts: list[str | Image.Image] = []
    for image in _as_list(value.get("image")):
        if isinstance(image, str | Path):
            parts.append(_picture(expanded(image), limits))
        else:
            parts += _parts(image, limits)
    for video in _as_list(value.get("video")):
        parts += _frames(_path(video, "video"), limits)
    page = _page(value.get("page"))
    for document in _as_list(value.get("document")):
        path = _path(document, "document")
        with _named(path):
            parts.append(read_page(path, page, limits))
    for text in _as_list(value.get("text")):
        if not isinstance(text, str):
            raise ValueError(f"'text' must be a string, not {type(text).__name__}")
        parts.append(text)
    return parts


def _path(value: Any, key: str) -> Path:
    if not isinstance(value, str | Path):
        raise ValueError(f"'{key}' must be a path, not {type(value).__name__}")
    return expanded(value)


def _page(value: Any) -> int:
    if value is None:
        return 1
    try:
        return operator.index(value)
    except TypeError:
        raise ValueError(f"'page' must be a whole number, not {value!r}") from None


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _from_array(array: Any) -> Image.Image:
    import numpy as np
    from PIL import Image

    is_picture = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))
    if array.dtype != np.uint8 or not is_picture or array.size == 0:
        raise ValueError(
            f"an array must be uint8 of shape (H, W), (H, W, 3) or (H, W, 4), "
            f"not {array.dtype} of shape {array.shape}"
        )
    return on_white(Image.fromarray(array))
