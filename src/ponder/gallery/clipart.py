"""The Open Clip Art Library: pictures with titles and tags of very mixed quality.

Many titles name a collection, a template or a file rather than the picture. Those give way to the
file's own name, and only if its words are known words. What English does not describe is left out,
and so are series of pictures that share one description.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ponder.gallery.entry import Caption, Entry, named

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from pathlib import Path

PNG_ROOT, SVG_ROOT = "usr/share/openclipart/png", "usr/share/openclipart/svg"

MAX_REPEATS = 12
"""Pictures one caption may describe; the library has 1,375 stars drawn by one script."""

_COLLECTION_SIZE = 5
_NO_TITLES = frozenset(["unknown", "unnamed", "untitled", "none", "title", "test", "icon"])
_NO_TAGS = frozenset(["hash", "unsorted", "theme", "icons", "lemon theme icon"])
_NO_WORDS = frozenset(["aiga", "clipart", "openclipart", "svg"])
_FOREIGN = ("rollandin", "guillou")
"""Authors of 500 pictures who title in Italian and French."""


@dataclass(frozen=True)
class Description:
    """What an SVG file says of itself; parts it leaves out are empty."""

    title: str = ""
    tags: tuple[str, ...] = ()
    sentence: str = ""
    author: str = ""
    licence: str = "CC-PDDC"


def read_clipart(
    folder: Path, words: Collection[str], source: str
) -> tuple[list[Entry], Counter[str]]:
    """Read the unpacked `openclipart-png` and `openclipart-svg`.

    Args:
        folder: where both packages were unpacked.
        words: English words, lower case; a file's name is trusted if all its words are known.
        source: the package as name@version.

    Returns:
        The entries, and how many pictures were left out for which reason.
    """
    left_out: Counter[str] = Counter()
    described: list[tuple[Path, str, Description]] = []
    for png in sorted((folder / PNG_ROOT).rglob("*.png")):
        name = png.relative_to(folder / PNG_ROOT).with_suffix("")
        svg = (folder / SVG_ROOT / name).with_suffix(".svg")
        description = describe(svg) if svg.exists() else Description()
        if any(author in description.author.lower() for author in _FOREIGN):
            left_out["not in English"] += 1
        else:
            described.append((png, name.as_posix(), description))
    known = {*words, *_title_words(description for _, _, description in described)}
    collections = _collections((place, description) for _, place, description in described)
    captioned: list[tuple[Path, str, str, Description]] = []
    for file, place, description in described:
        if description.title in collections:
            description = replace(description, title="")
        if caption := _caption(place, description, known):
            captioned.append((file, place, caption, description))
        else:
            left_out["no description"] += 1
    repeats = Counter(caption.lower() for _, _, caption, _ in captioned)
    entries = [
        _entry(folder, file, place, caption, description, source)
        for file, place, caption, description in captioned
        if repeats[caption.lower()] <= MAX_REPEATS
    ]
    left_out["series"] = len(captioned) - len(entries)
    return entries, left_out


def describe(svg: Path) -> Description:
    """Read an SVG file's metadata; a file that is no XML describes nothing."""
    try:
        root = ET.fromstring(svg.read_bytes())
    except ET.ParseError:
        return Description()
    work = next((node for node in root.iter() if node.tag.endswith("}Work")), None)
    if work is None:
        return Description()
    licence = next((node for node in work.iter() if node.tag.endswith("}license")), None)
    is_gpl = licence is not None and "/GPL/" in "".join(licence.attrib.values())
    author = _text(work, "creator")
    tags = [" ".join((node.text or "").lower().replace("_", " ").split()) for node in _bag(work)]
    no_tags = _NO_TAGS | {"", author.lower()}
    return Description(
        title=_text(work, "title"),
        tags=tuple(dict.fromkeys(tag for tag in tags if tag not in no_tags and "0x" not in tag)),
        sentence=_text(work, "description"),
        author=author,
        licence="GPL-2.0-only" if is_gpl else "CC-PDDC",
    )


def clean_title(title: str) -> str:
    """Return a title as plain words, "" if it does not describe a picture."""
    if re.match(r"(clipart by|part of|from) ", title, re.IGNORECASE):
        return ""
    title = re.sub(r"\.(svg|png|eps|jpe?g|gif)$", "", title.strip(), flags=re.IGNORECASE)
    title = re.sub(r"\(\s*b\s*(and|&|/|n)?\s*w\s*\)", "black and white", title, flags=re.IGNORECASE)
    title = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", title)
    title = re.sub(r"[_#/()\[\]*~\"]+|(?<=\w)-(?=\w)", " ", title)
    title = re.sub(r"\b0\d+\b|(?<=[a-z]{3})\d+\b", " ", title)  # serial numbers
    title = " ".join(title.split()).strip(" .,;:!-")
    is_bare = title.lower() in _NO_TITLES or len(re.findall(r"[^\W\d_]", title)) < 3
    return "" if is_bare else title


def clean_name(name: str, author: str) -> str:
    """Return a file's name as plain words: no numbers, nor the author's name it often ends in."""
    words = re.sub(r"[^\w]|_", " ", name.lower()).split()
    words = [re.sub(r"(?<=[a-z]{3})\d+$", "", word) for word in words]
    words = [word for word in words if word not in _NO_WORDS and not re.search(r"\d", word)]
    names = re.findall(r"\w+", author.lower())
    while len(words) > 1 and any(own.startswith(words[-1]) for own in names):
        words.pop()
    return " ".join(words)


def _caption(place: str, description: Description, known: Collection[str]) -> str:
    *folders, name = place.split("/")
    caption = clean_title(description.title)
    if not caption and description.author:  # a file's name may end in its author's
        caption = clean_name(name, description.author)
        words = caption.split()
        if max(map(len, words), default=0) < 3 or not all(word in known for word in words):
            return ""
    if not caption:
        return ""
    for folder, noun in (("flags", "flag"), ("icons", "icon")):
        if folder in folders and noun not in caption.lower():
            caption = f"{caption} {noun}"
    return caption


def _entry(
    folder: Path, file: Path, place: str, caption: str, description: Description, source: str
) -> Entry:
    captions = [Caption("en", caption, "name")]
    if description.tags:
        captions.append(Caption("en", ", ".join([caption, *description.tags]), "tags"))
    if len(description.sentence.split()) > 1 and not re.search(r"@|https?:", description.sentence):
        captions.append(Caption("en", description.sentence, "sentence"))
    return Entry(
        file=file,
        path=file.relative_to(folder).as_posix(),
        id=f"openclipart/{place}",
        concept=named(caption),
        variant="",
        caption=caption,
        captions=tuple(captions),
        tags=description.tags,
        group=place.split("/")[0],
        style="openclipart",
        source=source,
        licence=description.licence,
        author=description.author,
    )


def _collections(described: Iterable[tuple[str, Description]]) -> set[str]:
    """Return the titles that many pictures of unlike names share: they name a collection."""
    names: dict[str, list[str]] = defaultdict(list)
    for place, description in described:
        names[description.title].append(clean_name(place.split("/")[-1], description.author))
    return {
        title
        for title, of_title in names.items()
        if len(of_title) > _COLLECTION_SIZE and 2 * len(set(of_title)) > len(of_title)
    }


def _title_words(described: Iterable[Description]) -> set[str]:
    """Return the words of titles, sentences and tags."""
    words: set[str] = set()
    for description in described:
        texts = [clean_title(description.title), description.sentence, *description.tags]
        words.update(re.findall(r"[^\W\d_]+", " ".join(texts).lower()))
    return words


def _text(work: ET.Element, name: str) -> str:
    node = work.find(f"{{http://purl.org/dc/elements/1.1/}}{name}")
    return "" if node is None else " ".join("".join(node.itertext()).split())


def _bag(work: ET.Element) -> Sequence[ET.Element]:
    return [node for node in work.iter() if node.tag.endswith("}li")]
