"""Clocks and charts: what was drawn is read off the pixels again, and gives the same answers."""

from __future__ import annotations

import io
import math
import random
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageColor

from ponder.gallery.concepts import split
from ponder.gallery.tasks.chart import answer, chart, charts_of
from ponder.gallery.tasks.clock import SIDE, TIMES, Face, concept, draw_clock, random_face, words
from ponder.gallery.tasks.clock import clock as clock_task
from ponder.gallery.tasks.drawing import COLOURS, HEIGHT, WIDTH, Chart, draw_chart, printed
from ponder.gallery.tasks.tables import Series

if TYPE_CHECKING:
    from numpy.typing import NDArray


def pixels(png: bytes) -> NDArray[np.float64]:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=np.float64)


def hand_at(shown: NDArray[np.float64], ground: str, radius: float) -> list[float]:
    """Return the angles in degrees, from the top, at which something stands at a radius."""
    colour = np.array(ImageColor.getrgb(ground))
    found = []
    for half in range(720):
        angle = math.radians(half / 2)
        x = round(SIDE * (0.5 + radius * math.sin(angle)) - 0.5)
        y = round(SIDE * (0.5 - radius * math.cos(angle)) - 0.5)
        if np.abs(shown[y, x] - colour).sum() > 200:
            found.append(half / 2)
    return found


def middle(angles: list[float]) -> float:
    """Return the mean direction."""
    turns = [math.radians(angle) for angle in angles]
    x, y = sum(map(math.cos, turns)), sum(map(math.sin, turns))
    return math.degrees(math.atan2(y, x)) % 360


def apart(a: float, b: float) -> float:
    return abs((a - b + 180) % 360 - 180)


def read_clock(png: bytes, face: Face) -> tuple[int, int]:
    shown = pixels(png)
    long = middle(hand_at(shown, face.ground, 0.31))
    minute = round(long / 6) % 60
    both = hand_at(shown, face.ground, 0.19)
    rest = [angle for angle in both if apart(angle, long) > 9]
    short = middle(rest or both)
    if rest and apart(short, long) < 22:  # the hands overlap, and what is left is one edge
        short = middle(both)
    return round(short / 30 - minute / 60) % 12 or 12, minute


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_clock_shows_its_time(seed: int) -> None:
    for hour, minute in TIMES:
        face = random_face(random.Random(f"{seed} {hour} {minute}"))
        assert read_clock(draw_clock(hour, minute, face), face) == (hour, minute), face


def test_faces_differ() -> None:
    faces = {random_face(random.Random(seed)) for seed in range(200)}
    assert {face.marks for face in faces} == {"numbers", "roman", "quarters", "ticks"}
    assert len({face.ground for face in faces}) > 3
    assert {face.is_square for face in faces} == {True, False}


@pytest.mark.parametrize(
    ("hour", "minute", "said"),
    [
        (4, 0, "four o'clock"),
        (4, 5, "five past four"),
        (4, 15, "quarter past four"),
        (4, 25, "twenty-five past four"),
        (4, 30, "half past four"),
        (12, 35, "twenty-five to one"),
        (11, 45, "quarter to twelve"),
        (12, 55, "five to one"),
    ],
)
def test_times_are_said_as_people_say_them(hour: int, minute: int, said: str) -> None:
    assert words(hour, minute) == said


def test_each_time_has_its_own_words_and_split() -> None:
    assert len({words(*time) for time in TIMES}) == len(TIMES) == 144
    assert len({split(concept(*time)) for time in TIMES}) == 3


def test_the_answer_to_a_clock_is_the_time_in_its_id() -> None:
    task = clock_task({(3, 20): [], (9, 30): []})
    told = {candidate.id: candidate.text for candidate in task.candidates}
    for query in task.queries:
        shown = query.id.removeprefix("clock/").partition("@")[0]
        assert told[query.right] == {"03:20": "twenty past three", "09:30": "half past nine"}[shown]
        assert query.part == ("easy" if shown == "09:30" else "hard")


VALUES = {"one": 31.0, "two": 12.4, "three": 55.0, "four": 48.8667, "five": 20.0}


def near(shown: NDArray[np.float64], colour: str) -> NDArray[np.bool_]:
    return np.abs(shown - np.array(ImageColor.getrgb(colour))).sum(axis=2) < 45


def read_chart(chart: Chart) -> list[float]:
    """Return the length, height or area of each mark, in the order of the names."""
    shown, colours, number = pixels(draw_chart(chart, 0)), COLOURS[0], len(chart.values)
    if chart.kind == "pie":
        return [float(near(shown, colours[i])[:, : WIDTH // 2 + 40].sum()) for i in range(number)]
    if chart.kind == "bars":
        rows = near(shown, colours[0]).sum(axis=1)[36 : HEIGHT - 8]
        return [float(part.max()) for part in np.array_split(rows, number)]
    if chart.kind == "columns":
        columns = near(shown, colours[1]).sum(axis=0)[14 : WIDTH - 14]
        return [float(part.max()) for part in np.array_split(columns, number)]
    ink = near(shown, colours[3])
    step = (WIDTH - 28) / number
    return [float(-np.argmax(ink[:, round(14 + step * (i + 0.5))])) for i in range(number)]


@pytest.mark.parametrize("kind", ["bars", "columns", "line", "pie"])
def test_answers_are_what_the_chart_shows(kind: str) -> None:
    chart = Chart(kind, "things", VALUES)
    marks = dict(zip(VALUES, read_chart(chart), strict=True))
    ranked = sorted(marks, key=lambda name: -marks[name])
    assert ranked == ["three", "four", "one", "five", "two"]
    assert answer(chart, "highest", []) == ranked[0]
    assert answer(chart, "second", []) == ranked[1]
    assert answer(chart, "lowest", []) == ranked[-1]
    assert answer(chart, "value", ["four"]) == "48.9"
    assert answer(chart, "between", ["four", "two"]) == "36.5"
    if kind in ("bars", "columns"):
        ratio = marks["one"] / marks["three"]
        assert ratio == pytest.approx(31 / 55, abs=0.03)


def test_numbers_have_three_digits_that_count() -> None:
    assert [printed(value) for value in (135450.0, 48.8667, 0.25, 3.0, 9.996)] == [
        "135000",
        "48.9",
        "0.25",
        "3",
        "10",
    ]


def test_every_answer_follows_from_the_numbers_in_the_reasoning() -> None:
    years = {str(2000 + i): float((i * 37) % 101 + 1) for i in range(12)}
    task = chart([Series("a/b", "a b", "year", years, is_ordered=True)], 100)
    checked = 0
    for query in task.queries:
        if query.id.endswith(("highest", "lowest")):
            listed = query.reasoning.partition(". The")[0].replace(",", "").split()
            pairs = {y: float(v) for y, v in pairwise(listed) if y in years}
            best = max if query.id.endswith("highest") else min
            assert query.answer == best(pairs, key=lambda name: pairs[name])
            assert all(years[name] == value for name, value in pairs.items())
            checked += 1
    assert checked > 1


def test_no_chart_shows_two_equal_numbers() -> None:
    values = {f"n{i}": i // 2 + 0.001 * i for i in range(30)}
    for one in charts_of(Series("a", "a", "thing", values)):
        numbers = [printed(value) for value in one.values.values()]
        assert len(set(numbers)) == len(numbers)
