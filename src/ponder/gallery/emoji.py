"""Emoji: OpenMoji's and Google's drawings of the same concepts, named in many languages."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ponder.gallery.entry import Caption, Entry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

SKIN_TONES = {
    0x1F3FB: "light",
    0x1F3FC: "medium-light",
    0x1F3FD: "medium",
    0x1F3FE: "medium-dark",
    0x1F3FF: "dark",
}
_JOINER, _AS_EMOJI = 0x200D, 0xFE0F
_PERSON, _CHILD, _BABY = 0x1F9D1, 0x1F9D2, 0x1F476
_GENDERLESS = {
    0x1F468: _PERSON,  # man
    0x1F469: _PERSON,  # woman
    0x1F466: _CHILD,  # boy
    0x1F467: _CHILD,  # girl
    0x1F474: 0x1F9D3,  # old man, older person
    0x1F475: 0x1F9D3,  # old woman
    0x1F478: 0x1F934,  # princess, prince
    0x1F936: 0x1F385,  # Mrs. Claus, Santa Claus
    0x1F57A: 0x1F483,  # man dancing, woman dancing
    0x1FAC3: 0x1F930,  # pregnant man, pregnant woman
    0x1FAC4: 0x1F930,  # pregnant person
}
# After a joiner these change who is shown, or which way they face, but not what is shown.
_DETAILS = {0x2640, 0x2642, 0x27A1, 0x1F9B0, 0x1F9B1, 0x1F9B2, 0x1F9B3}
# Older one-codepoint emoji of what a sequence of people shows too, keyed by the sequence.
_COUPLES = {
    (_PERSON, 0x1F91D, _PERSON): 0x1F46D,  # holding hands
    (_PERSON, 0x2764, 0x1F48B, _PERSON): 0x1F48F,  # kiss
    (_PERSON, 0x2764, _PERSON): 0x1F491,  # couple with heart
    (_PERSON, 0x1F430, _PERSON): 0x1F46F,  # with bunny ears
    (_PERSON, 0x1FAEF, _PERSON): 0x1F93C,  # wrestling
    (0x1FAF1, 0x1FAF2): 0x1F91D,  # handshake
    (_PERSON, 0x1F384): 0x1F385,  # Mx Claus
    (0x1F46B,): 0x1F46D,  # woman and man holding hands
    (0x1F46C,): 0x1F46D,  # men holding hands
}
_FAMILY = 0x1F46A


def family(hexcode: str) -> str:
    """Return the base emoji that a variant belongs to, as a hexcode.

    Skin tone, gender, hair and direction are taken away, so every drawing of one idea, from any
    vendor, has one family. A family of people and a couple are one family each, whoever is in it.

    Args:
        hexcode: codepoints in hex joined by "-", such as "1F469-1F3FD-200D-1F680".
    """
    points = [point for point in _points(hexcode) if point not in SKIN_TONES]
    kept: list[int] = []
    for i, point in enumerate(points):
        is_detail = point in _DETAILS and i > 0 and points[i - 1] == _JOINER
        if point not in (_JOINER, _AS_EMOJI) and not is_detail:
            kept.append(_GENDERLESS.get(point, point))
    if len(kept) > 1 and all(point in (_PERSON, _CHILD, _BABY) for point in kept):
        kept = [_FAMILY]
    base = (_COUPLES[tuple(kept)],) if tuple(kept) in _COUPLES else kept
    return "-".join(f"{point:04X}" for point in base)


def variant(hexcode: str) -> str:
    """Return how an emoji differs from the plain one of its family, "" if it does not.

    "skin-tone:" and the tones shown, "form" for another gender, hair, direction or set of people,
    or both with a comma between.
    """
    points = _points(hexcode)
    tones = dict.fromkeys(SKIN_TONES[point] for point in points if point in SKIN_TONES)
    rest = [p for p in points if p not in SKIN_TONES and p not in (_AS_EMOJI, _JOINER)]
    parts = [f"skin-tone:{'+'.join(tones)}"] if tones else []
    if "-".join(f"{point:04X}" for point in rest) != family(hexcode):
        parts.append("form")
    return ",".join(parts)


@dataclass(frozen=True)
class Names:
    """What Emojibase calls each emoji; keys are hexcodes without the FE0F that vendors vary.

    Attributes:
        labels: for each language, each emoji's name.
        tags: for each language, each emoji's key words; a skin tone has those of its base.
    """

    labels: Mapping[str, Mapping[str, str]]
    tags: Mapping[str, Mapping[str, Sequence[str]]]

    def abroad(self, hexcode: str) -> Iterator[Caption]:
        """Yield an emoji's name, and its name with its tags, in every language but English."""
        plain = _plain(hexcode)
        for language, labels in self.labels.items():
            if language != "en" and (label := labels.get(plain)):
                yield from _captions(language, label, self.tags[language].get(plain, ()))


def read_names(folder: Path) -> Names:
    """Read the unpacked `emojibase-data`, leaving out regional forms of a language it has."""
    labels: dict[str, dict[str, str]] = {}
    tags: dict[str, dict[str, Sequence[str]]] = {}
    for file in sorted(folder.glob("package/*/data.json")):
        language = file.parent.name
        if language in ("en-gb", "es-mx"):
            continue
        language = {"zh-hant": "zh-Hant"}.get(language, language)
        labels[language], tags[language] = {}, {}
        for emoji in json.loads(file.read_text(encoding="utf-8")):
            for form in [emoji, *emoji.get("skins", [])]:
                labels[language][_plain(form["hexcode"])] = form["label"]
                tags[language][_plain(form["hexcode"])] = emoji.get("tags", [])
    return Names(labels, tags)


def read_openmoji(folder: Path, names: Names, source: str) -> list[Entry]:
    """Read the unpacked `openmoji`, its own extra symbols and brands included."""
    emoji = json.loads((folder / "package/data/openmoji.json").read_text(encoding="utf-8"))
    entries = []
    for row in emoji:
        hexcode = row["hexcode"]
        path = f"package/color/svg/{hexcode}.svg"
        # Skin-tone swatches, loose hair and single letters of flags mean nothing by themselves.
        if row["group"] == "component" or row["subgroups"] == "regional-indicator":
            continue
        tags = _split(row["tags"]) + _split(row["openmoji_tags"])
        tags = tuple(dict.fromkeys(tag for tag in tags if tag))
        entries.append(
            Entry(
                file=folder / path,
                path=path,
                id=f"openmoji/{hexcode}",
                concept=f"emoji/{family(hexcode)}",
                variant=variant(hexcode),
                caption=row["annotation"],
                captions=(*_captions("en", row["annotation"], tags), *names.abroad(hexcode)),
                tags=tags,
                group=row["group"],
                style="openmoji",
                source=source,
                licence="CC-BY-SA-4.0",
                author=row["openmoji_author"],
            )
        )
    return entries


def read_google(folder: Path, names: Names, source: str) -> list[Entry]:
    """Read the unpacked `emoji-datasource-google`."""
    entries = []
    for row in json.loads((folder / "package/emoji.json").read_text(encoding="utf-8")):
        if row["category"] == "Component":
            continue
        for form in [row, *row.get("skin_variations", {}).values()]:
            if form["has_img_google"]:
                entries.append(_google(form, row["category"], folder, names, source))
    return entries


def _google(form: Any, category: str, folder: Path, names: Names, source: str) -> Entry:
    hexcode = form["unified"]
    path = f"package/img/google/64/{form['image']}"
    english = names.labels["en"].get(_plain(hexcode)) or form.get("name", "").lower()
    tags = tuple(names.tags["en"].get(_plain(hexcode), ()))
    return Entry(
        file=folder / path,
        path=path,
        id=f"google/{hexcode}",
        concept=f"emoji/{family(hexcode)}",
        variant=variant(hexcode),
        caption=english,
        captions=(*_captions("en", english, tags), *names.abroad(hexcode)),
        tags=tags,
        group=category.lower().replace(" & ", "-").replace(" ", "-"),
        style="google",
        source=source,
        licence="Apache-2.0",
        author="Google",
    )


def _captions(language: str, name: str, tags: Sequence[str]) -> Iterator[Caption]:
    yield Caption(language, name, "name")
    if tags:
        yield Caption(language, ", ".join([name, *tags]), "tags")


def _points(hexcode: str) -> list[int]:
    return [int(point, 16) for point in hexcode.split("-")]


def _plain(hexcode: str) -> str:
    return "-".join(point for point in hexcode.upper().split("-") if point != "FE0F")


def _split(tags: str) -> tuple[str, ...]:
    return tuple(tag.strip() for tag in tags.split(","))
