"""How an emoji of a person differs from others of its family, read from its codepoints."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ponder.gallery.emoji import SKIN_TONES, family

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ponder.gallery.shards import Row

_WOMEN = {0x2640, 0x1F469, 0x1F467, 0x1F475, 0x1F478, 0x1F936, 0x1F483, 0x1F930}
_MEN = {0x2642, 0x1F468, 0x1F466, 0x1F474, 0x1F934, 0x1F385, 0x1F57A, 0x1FAC3}
_PEOPLE = {0x1F468, 0x1F469, 0x1F9D1}
_HAIR = {0x1F9B0: "red", 0x1F9B1: "curly", 0x1F9B2: "no", 0x1F9B3: "white"}
_RIGHT = 0x27A1
_SEXED = {"man", "woman", "person", "men", "women", "people", "boy", "girl", "child"}


@dataclass(frozen=True)
class Look:
    """What may vary within a family of emoji.

    Attributes:
        gender: "woman", "man" or "person", the last where none is given.
        hair: "plain", "red", "curly", "no" or "white".
        skin: "yellow", or one of the five tones.
        direction: "left", where emoji look unless told otherwise, or "right".
    """

    gender: str = "person"
    hair: str = "plain"
    skin: str = "yellow"
    direction: str = "left"

    def changes(self, other: Look) -> dict[str, tuple[str, str]]:
        """Return what differs in another look, from and to."""
        return {
            key: (was, becomes)
            for key, was in vars(self).items()
            if was != (becomes := getattr(other, key))
        }


@dataclass(frozen=True)
class Variant:
    """A row and how it looks among its family."""

    row: Row
    look: Look

    @property
    def thing(self) -> str:
        """What all of the family show, from the row's own caption; "" for a mere person."""
        words = self.row["caption"].partition(":")[0].split()
        return " ".join(word for word in words if word.lower() not in _SEXED)

    def words(self, look: Look | None = None) -> str:
        """Say what is shown, as this row looks or as it would with another look."""
        shown = look or self.look
        parts = [f"{shown.gender} {self.thing}".strip(), f"{shown.skin} skin"]
        if shown.hair != "plain":
            parts.append(f"{shown.hair} hair")
        if shown.direction == "right":
            parts.append("facing right")
        return ", ".join(parts)


def families(rows: Iterable[Row]) -> list[list[Variant]]:
    """Return the families, of one style each, whose members differ in nothing but their looks.

    Couples, and whatever else two people or two tones of skin are in, are left out; so is a member
    that is drawn like another of its family, and a family then left with one member.
    """
    found: dict[tuple[str, str], list[Variant]] = defaultdict(list)
    for row in rows:
        style, _, hexcode = row["id"].partition("/")
        if style in ("google", "openmoji") and row["group"] == "people-body":
            points = [int(point, 16) for point in hexcode.split("-")]
            if look := look_of(points):
                found[family(hexcode), style].append(Variant(row, look))
    kept = []
    for _, members in sorted(found.items()):
        looks = Counter(member.look for member in members)
        drawn = Counter(member.row["picture"] for member in members)
        distinct = [one for one in members if looks[one.look] == drawn[one.row["picture"]] == 1]
        if len(distinct) > 1:
            kept.append(distinct)
    return kept


def look_of(points: list[int]) -> Look | None:
    """Return the look that codepoints spell, None if they show two people."""
    tones = [SKIN_TONES[point] for point in points if point in SKIN_TONES]
    if len(tones) > 1 or sum(point in _PEOPLE for point in points) > 1:
        return None
    gender = next(
        ("woman" if p in _WOMEN else "man" for p in reversed(points) if p in _WOMEN | _MEN),
        "person",
    )
    return Look(
        gender=gender,
        hair=next((_HAIR[point] for point in points if point in _HAIR), "plain"),
        skin=tones[0] if tones else "yellow",
        direction="right" if _RIGHT in points else "left",
    )
