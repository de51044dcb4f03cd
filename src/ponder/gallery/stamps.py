"""Tux Paint's stamps: photographs and drawings with a sentence in some 75 languages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ponder.gallery.entry import Caption, Entry, named

if TYPE_CHECKING:
    from pathlib import Path

ROOT = "usr/share/tuxpaint/stamps"


def read_stamps(folder: Path, source: str) -> list[Entry]:
    """Read the unpacked `tuxpaint-stamps-default`: every stamp that has a description."""
    entries = []
    for text in sorted((folder / ROOT).rglob("*.txt")):
        # Where a stamp has both, the PNG is what its author drew or photographed.
        files = [text.with_suffix(suffix) for suffix in (".png", ".svg")]
        file = next((file for file in files if file.exists()), None)
        captions = read_captions(text.read_text(encoding="utf-8", errors="replace"))
        if file is None or not captions:
            continue
        place = text.relative_to(folder / ROOT).with_suffix("")
        caption = captions[0].text
        entries.append(
            Entry(
                file=file,
                path=file.relative_to(folder).as_posix(),
                id=f"tuxpaint/{place.as_posix()}",
                concept=named(caption),
                variant="",
                caption=caption,
                captions=captions,
                tags=tuple(part.replace("_", " ") for part in place.parent.parts),
                group=place.parts[0],
                style="tuxpaint",
                source=source,
                licence="GPL-2.0-or-later",
                author="",
            )
        )
    return entries


def read_captions(text: str) -> tuple[Caption, ...]:
    """Read a stamp's description file, English first; its name comes before its sentences.

    The first line is English; each other is `language.utf8=sentence`, the language as a POSIX
    locale. Lines of regional English and empty ones are left out.
    """
    first, *others = text.splitlines() or [""]
    if not (first := first.strip()):
        return ()
    captions = [Caption("en", short_name(first), "name"), Caption("en", first, "sentence")]
    for line in others:
        locale, _, sentence = line.partition(".utf8=")
        if sentence.strip() and not locale.startswith("en"):
            captions.append(Caption(_language(locale), sentence.strip(), "sentence"))
    return tuple(captions)


def short_name(sentence: str) -> str:
    """Return a sentence as a name: its first clause, without article and full stop."""
    clause = re.split(r"[.!?;](?:\s|$)|—", sentence.strip())[0].strip(".!?“” ")
    return re.sub(r"^(an?|the|some)\s+", "", clause, flags=re.IGNORECASE) or clause


def _language(locale: str) -> str:
    tags = {"zh_CN": "zh", "zh_TW": "zh-Hant", "sr@latin": "sr-Latn"}
    return tags.get(locale) or locale.replace("_", "-").replace("@", "-")
