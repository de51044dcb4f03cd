"""One picture of the Gallery as its source describes it, before it is rendered and split."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

Style = Literal["openmoji", "google", "tuxpaint", "openclipart"]
Kind = Literal["name", "tags", "sentence"]


@dataclass(frozen=True)
class Caption:
    """One description of a picture.

    Attributes:
        language: BCP 47 tag, such as "en" or "pt-BR".
        text: the description.
        kind: a short "name", the name and its "tags", or a whole "sentence".
    """

    language: str
    text: str
    kind: Kind


@dataclass(frozen=True)
class Entry:
    """A picture and what its source says of it.

    Attributes:
        file: the unpacked picture, a PNG or SVG.
        path: its path inside the package.
        id: stable name, the style first.
        concept: what it shows, before concepts of equal name or look are joined.
        variant: "" for the plain form; else how it differs, such as "skin-tone:dark".
        caption: short English name.
        captions: every description in every language, `caption` among them.
        tags: English key words.
        group: coarse subject, in the source's own terms.
        style: which collection drew it.
        source: the package as name@version.
        licence: SPDX identifier.
        author: who drew it, "" where the source does not say.
    """

    file: Path
    path: str
    id: str
    concept: str
    variant: str
    caption: str
    captions: tuple[Caption, ...]
    tags: tuple[str, ...]
    group: str
    style: Style
    source: str
    licence: str
    author: str


def key(caption: str) -> str:
    """Return what two captions share when they name the same thing.

    Case, punctuation, articles, plural endings and word order do not count: "Flag: Chad" and
    "the Chad flags" have one key.
    """
    words = re.findall(r"[^\W_]+", caption.lower())
    stems = {_singular(word) for word in words if word not in _EMPTY_WORDS}
    return " ".join(sorted(stems)) or " ".join(words)


def named(caption: str) -> str:
    """Return the concept of everything that a caption names."""
    return f"name/{key(caption)}"


_EMPTY_WORDS = frozenset(["a", "an", "the", "of", "and", "in", "with"])


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
