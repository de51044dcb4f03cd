"""Drawing small charts with large words, and keeping drawn pictures small."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

WIDTH, HEIGHT = 320, 240
_TOP, _BOTTOM, _SIDE = 36, 26, 14  # room for title, names, and at the sides
_TITLE, _TEXT = 15, 13  # sizes of type
COLOURS = (
    ("#2f6db5", "#f2a541", "#4aa96c", "#c8553d", "#7a5ea8", "#5bb5c5"),
    ("#264653", "#2a9d8f", "#e9c46a", "#f4a261", "#e76f51", "#8ab17d"),
    ("#6b2737", "#e08e45", "#bdc667", "#77966d", "#3c6e91", "#b388a2"),
)


@dataclass(frozen=True)
class Chart:
    """A chart before it is drawn.

    Attributes:
        kind: "bars" (lying), "columns", "line" or "pie".
        title: what it shows.
        values: each name's number, in the order drawn.
    """

    kind: str
    title: str
    values: Mapping[str, float]


def printed(value: float) -> str:
    """Return a number as charts print it: three digits that count.

    Example:
        >>> printed(48.8667), printed(135450.0)
        ('48.9', '135000')
    """
    return f"{float(f'{value:.3g}'):.10g}"


def draw_chart(chart: Chart, palette: int) -> bytes:
    """Return a chart as PNG, each mark with its name and its number beside it."""
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("RGB", (WIDTH, HEIGHT), "white")
    pen = ImageDraw.Draw(picture)
    pen.font = ImageFont.load_default(_TEXT)
    title = chart.title
    size = _TITLE
    while pen.textlength(title, ImageFont.load_default(size)) > WIDTH - 8:
        size -= 1
    pen.text((WIDTH / 2, 16), title, "black", ImageFont.load_default(size), anchor="mm")
    colours = COLOURS[palette % len(COLOURS)]
    {"bars": _bars, "columns": _columns, "line": _line, "pie": _pie}[chart.kind](
        pen, chart.values, colours
    )
    return to_png(picture)


def to_png(picture: Image) -> bytes:
    """Encode a flat RGB picture as PNG of 64 colours, a half to a fifth of what all would take."""
    from PIL.Image import Dither, Quantize

    encoded = io.BytesIO()
    picture.quantize(64, Quantize.FASTOCTREE, dither=Dither.NONE).save(encoded, "PNG")
    return encoded.getvalue()


def _bars(pen: ImageDraw, values: Mapping[str, float], colours: tuple[str, ...]) -> None:
    left = max(pen.textlength(name) for name in values) + 12
    room = WIDTH - left - _SIDE - max(pen.textlength(printed(v)) for v in values.values()) - 6
    step = (HEIGHT - _TOP - 8) / len(values)
    top = max(values.values())
    for i, (name, value) in enumerate(values.items()):
        y = _TOP + step * (i + 0.5)
        end = left + room * max(0.0, value) / top
        pen.rectangle((left, y - step * 0.35, end, y + step * 0.35), colours[0])
        pen.text((left - 6, y), name, "black", anchor="rm")
        pen.text((end + 6, y), printed(value), "black", anchor="lm")


def _columns(pen: ImageDraw, values: Mapping[str, float], colours: tuple[str, ...]) -> None:
    step = (WIDTH - 2 * _SIDE) / len(values)
    top, ground = max(values.values()), HEIGHT - _BOTTOM
    for i, (name, value) in enumerate(values.items()):
        x = _SIDE + step * (i + 0.5)
        y = ground - (ground - _TOP - 18) * max(0.0, value) / top
        pen.rectangle((x - step * 0.35, y, x + step * 0.35, ground), colours[1])
        pen.text((x, y - 9), printed(value), "black", anchor="mm")
        pen.text((x, ground + 13), name, "black", anchor="mm")


def _line(pen: ImageDraw, values: Mapping[str, float], colours: tuple[str, ...]) -> None:
    step = (WIDTH - 2 * _SIDE) / len(values)
    low, top, ground = min(values.values()), max(values.values()), HEIGHT - _BOTTOM - 24
    heights = [(value - low) / (top - low) for value in values.values()]
    xs = [_SIDE + step * (i + 0.5) for i in range(len(values))]
    ys = [ground - (ground - _TOP - 24) * height for height in heights]
    pen.line(list(zip(xs, ys, strict=True)), colours[3], 3, joint="curve")
    for i, (name, value) in enumerate(values.items()):
        x, y = xs[i], ys[i]
        pen.ellipse((x - 4, y - 4, x + 4, y + 4), colours[3])
        beside = ys[max(0, i - 1) : i + 2]
        at = (x, y - 14) if y <= sum(beside) / len(beside) else (x, y + 15)  # off the line
        pen.rectangle(pen.textbbox(at, printed(value), anchor="mm"), "white")
        pen.text(at, printed(value), "black", anchor="mm")
        pen.text((x, HEIGHT - 13), name, "black", anchor="mm")


def _pie(pen: ImageDraw, values: Mapping[str, float], colours: tuple[str, ...]) -> None:
    total, turn = sum(values.values()), -90.0
    radius = (HEIGHT - _TOP) / 2 - 8
    middle = (radius + 12, _TOP + radius)
    box = (middle[0] - radius, middle[1] - radius, middle[0] + radius, middle[1] + radius)
    for i, (name, value) in enumerate(values.items()):
        end = turn + 360 * value / total
        pen.pieslice(box, turn, end, colours[i], "white")
        turn = end
        x, y = 2 * radius + 34, _TOP + 10 + i * 27
        pen.rectangle((x, y, x + 14, y + 14), colours[i])
        pen.text((x + 20, y + 7), f"{name}: {printed(value)}", "black", anchor="lm")
