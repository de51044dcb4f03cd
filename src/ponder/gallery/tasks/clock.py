"""Clock face -> time: drawn faces of all five-minute times, and the clocks among the emoji."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ponder.gallery.concepts import split as split_of
from ponder.gallery.tasks.drawing import to_png
from ponder.gallery.tasks.schema import Query, Task, label
from ponder.gallery.tasks.wording import draw

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from random import Random

    from PIL.ImageDraw import ImageDraw

    from ponder.gallery.concepts import Split
    from ponder.gallery.shards import Row

SIDE = 224
FACES = 12
"""Drawn faces of each time."""

TIMES = tuple((hour, minute) for hour in range(1, 13) for minute in range(0, 60, 5))

_SCALE = 2  # drawn larger and scaled down, for smooth edges
_NUMBERS = (
    *("twelve", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
    *("nineteen", "twenty"),
)
_ROMAN = ("XII", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI")
_PALETTES = (
    ("white", "black", "black"),
    ("#fdf6e3", "#333333", "#7a2e1d"),
    ("#e8f1fa", "#123a63", "#123a63"),
    ("#f3f3f3", "#555555", "#005f56"),
    ("#222222", "#eeeeee", "#ffffff"),
    ("#fff0f3", "#6b1d3a", "#6b1d3a"),
)
_ASKED = (
    "What time is it?",
    "Read the clock.",
    "Which time do the hands show?",
    "The time, please.",
)


@dataclass(frozen=True)
class Face:
    """How a clock is drawn.

    Attributes:
        marks: "numbers", "roman", "quarters" or "ticks".
        ground, ink, hands: colours.
        is_square: whether its rim is.
        width: of the minute hand, as a part of the side.
    """

    marks: str
    ground: str
    ink: str
    hands: str
    is_square: bool
    width: float


def clock(times: Mapping[tuple[int, int], Sequence[Row]]) -> Task:
    """Look for the time that a clock shows, in words, among the times of the split.

    Easy: full and half hours.

    Args:
        times: for each time of the split, the emoji that show it.
    """
    queries = []
    for (hour, minute), rows in sorted(times.items()):
        name = f"{hour:02}:{minute:02}"
        for i in range(FACES):
            picture = draw_clock(hour, minute, random_face(draw("clock", name, i)))
            queries.append(_query(f"clock/{name}@{i}", hour, minute, picture))
        queries += [_query(row["id"], hour, minute, row["picture"]) for row in rows]
    return Task(queries, [label(words(*time), concept(*time)) for time in sorted(times)])


def times_of(rows: Iterable[Row]) -> dict[Split, dict[tuple[int, int], list[Row]]]:
    """Share the times among the splits: by the emoji that show them, else by hash.

    Args:
        rows: of the whole Gallery.
    """
    emoji: dict[tuple[int, int], list[Row]] = {}
    for row in rows:
        if time := _shown(row):
            emoji.setdefault(time, []).append(row)
    found: dict[Split, dict[tuple[int, int], list[Row]]] = {"train": {}, "dev": {}, "test": {}}
    for time in TIMES:
        rows_of = emoji.get(time, [])
        place: Split = rows_of[0]["split"] if rows_of else split_of(concept(*time))
        found[place][time] = rows_of
    return found


def concept(hour: int, minute: int) -> str:
    """Return the concept of all that shows or names a time."""
    return f"clock/{hour:02}:{minute:02}"


def words(hour: int, minute: int) -> str:
    """Return a time as it is said.

    Example:
        >>> words(4, 40)
        'twenty to five'
    """
    if minute == 0:
        return f"{_NUMBERS[hour]} o'clock"
    past = minute <= 30
    amount = minute if past else 60 - minute
    said = {15: "quarter", 30: "half"}.get(amount) or (
        "twenty-five" if amount == 25 else _NUMBERS[amount]
    )
    return f"{said} {'past' if past else 'to'} {_NUMBERS[hour if past else hour % 12 + 1]}"


def random_face(chosen: Random) -> Face:
    """Draw how a clock looks."""
    ground, ink, hands = chosen.choice(_PALETTES)
    marks = chosen.choice(["numbers", "numbers", "roman", "quarters", "ticks"])
    is_square = chosen.random() < 0.25
    return Face(marks, ground, ink, hands, is_square, chosen.choice([0.018, 0.024, 0.03]))


def draw_clock(hour: int, minute: int, face: Face) -> bytes:
    """Return an analogue clock as PNG: a short thick hand for the hour, a long one for minutes."""
    from PIL import Image, ImageDraw

    side = SIDE * _SCALE
    picture = Image.new("RGB", (side, side), "white")
    pen = ImageDraw.Draw(picture)
    margin, rim = side * 0.03, round(side * 0.02)
    outline = pen.rectangle if face.is_square else pen.ellipse
    outline((margin, margin, side - margin, side - margin), face.ground, face.ink, rim)
    _mark(pen, side, face)
    turns = ((hour % 12 + minute / 60) / 12, minute / 60)
    for turn, length, width in zip(turns, (0.24, 0.36), (2, 1), strict=True):
        tip = _at(side, turn, length)
        pen.line([_at(side, turn, -0.04), tip], face.hands, round(side * face.width * width))
    hub = side * 0.03
    pen.ellipse((side / 2 - hub, side / 2 - hub, side / 2 + hub, side / 2 + hub), face.hands)
    return to_png(picture.resize((SIDE, SIDE), Image.Resampling.BOX))


def _mark(pen: ImageDraw, side: int, face: Face) -> None:
    from PIL import ImageFont

    font = ImageFont.load_default(side * 0.075)
    for i in range(12):
        is_quarter = i % 3 == 0
        if face.marks in ("numbers", "roman") or (face.marks == "quarters" and is_quarter):
            text = _ROMAN[i] if face.marks == "roman" else str(i or 12)
            pen.text(_at(side, i / 12, 0.405), text, face.ink, font, anchor="mm")
        else:
            inner = _at(side, i / 12, 0.39 if is_quarter else 0.415)
            width = round(side * (0.016 if is_quarter else 0.008))
            pen.line([inner, _at(side, i / 12, 0.44)], face.ink, width)


def _at(side: int, turn: float, radius: float) -> tuple[float, float]:
    """Return the point at a part of a full turn from the top, and a part of the side out."""
    angle = 2 * math.pi * turn
    return side * (0.5 + radius * math.sin(angle)), side * (0.5 - radius * math.cos(angle))


def _shown(row: Row) -> tuple[int, int] | None:
    """Return the time that an emoji's codepoint stands for."""
    style, _, code = row["id"].partition("/")
    if style not in ("google", "openmoji"):
        return None
    point = int(code.split("-")[0], 16)
    if 0x1F550 <= point <= 0x1F55B:
        return point - 0x1F54F, 0
    if 0x1F55C <= point <= 0x1F567:
        return point - 0x1F55B, 30
    return None


def _query(name: str, hour: int, minute: int, picture: bytes) -> Query:
    is_easy = minute in (0, 30)
    # One wording, and each number said once: what a thought may get wrong is only what it reads.
    after, before = _NUMBERS[hour], _NUMBERS[hour % 12 + 1]
    read = f"Hours: between {after} and {before}. Minutes: {minute}."
    return Query(
        id=name,
        concept=concept(hour, minute),
        part="easy" if is_easy else "hard",
        right=label(words(hour, minute)).id,
        instruction="Find the time that the clock shows.",
        text=draw("clock", name, "words").choice(_ASKED),
        picture=picture,
        reasoning="" if is_easy else read,
        answer=words(hour, minute),
    )
