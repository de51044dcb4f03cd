"""Chart + question -> answer: charts of real numbers, with answers that must be read off them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ponder.gallery.tasks.drawing import Chart, draw_chart, printed
from ponder.gallery.tasks.schema import Query, Task, label
from ponder.gallery.tasks.wording import draw, sample

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from random import Random

    from ponder.gallery.tasks.tables import Series

CHARTS = 6
"""Charts of one series, each of other names."""

_TOPIC = ("What does this chart show?", "What are these numbers?", "Name the chart's subject.")
_ASKED = {
    "highest": ("Which {noun} is highest?", "Where is the value greatest?", "Which {noun} leads?"),
    "lowest": ("Which {noun} is lowest?", "Where is the value smallest?", "Which {noun} is last?"),
    "second": ("Which {noun} is second highest?", "Which {noun} comes right after the highest?"),
    "value": ("What is the value for {name}?", "Which number belongs to {name}?"),
    "between": ("By how much do {name} and {other} differ?", "How far is {name} from {other}?"),
}


def chart(series: Sequence[Series], limit: int) -> Task:
    """Ask what a chart shows (easy), or what only reading its marks tells (hard).

    Args:
        series: of one split.
        limit: queries at most.
    """
    queries = [query for one in series for query in _queries(one)]
    queries = sample(queries, limit, "chart", *(one.title for one in series))
    titles = {one.title: one.concept for one in series}
    told = dict.fromkeys(query.right.removeprefix("label:") for query in queries)
    return Task(queries, [label(text, titles.get(text, "")) for text in told])


def charts_of(series: Series) -> list[Chart]:
    """Return the charts of a series: each of four to six of its names, drawn one way or another.

    Names whose printed numbers are equal are not drawn together.
    """
    charts: dict[tuple[str, ...], Chart] = {}
    for i in range(CHARTS):
        chosen = draw("chart", series.title, i)
        values: dict[str, str] = {}
        for name in chosen.sample(list(series.values), len(series.values)):
            number = printed(series.values[name])
            if number not in values.values() and len(values) < 4 + i % 3:
                values[name] = number
        order = [name for name in series.values if name in values]
        if len(order) > 2:
            shown = {name: series.values[name] for name in order}
            charts.setdefault(
                tuple(order), Chart(_kind(series, order, chosen), series.title, shown)
            )
    return list(charts.values())


def answer(chart: Chart, asked: str, names: Sequence[str]) -> str:
    """Return the answer to a question, from the numbers as they are printed on the chart."""
    numbers = {name: float(printed(value)) for name, value in chart.values.items()}
    ranked = sorted(numbers, key=lambda name: -numbers[name])
    if asked in ("highest", "lowest", "second"):
        return ranked[{"highest": 0, "second": 1, "lowest": -1}[asked]]
    if asked == "value":
        return printed(numbers[names[0]])
    return printed(abs(numbers[names[0]] - numbers[names[1]]))


def _kind(series: Series, names: Sequence[str], chosen: Random) -> str:
    kinds = ["bars"]
    if max(map(len, names)) <= 5:
        kinds.append("columns")
        if series.is_ordered:
            kinds += ["line", "line"]
    if series.is_share and all(series.values[name] > 0 for name in names):
        kinds += ["pie", "pie"]
    return chosen.choice(kinds)


def _queries(series: Series) -> Iterator[Query]:
    for i, chart in enumerate(charts_of(series)):
        picture = draw_chart(chart, i)
        chosen = draw("chart", series.title, i, "questions")
        yield _query(series, i, picture, "topic", chosen.choice(_TOPIC), "", series.title)
        for asked in chosen.sample(list(_ASKED), 2):
            names = chosen.sample(list(chart.values), 2)
            question = chosen.choice(_ASKED[asked])
            question = question.format(noun=series.noun, name=names[0], other=names[1])
            told = answer(chart, asked, names)
            yield _query(series, i, picture, asked, question, _reading(chart, asked, names), told)


def _reading(chart: Chart, asked: str, names: Sequence[str]) -> str:
    chosen = draw("reading", chart.title, asked, *names)
    needed = (
        names[: 1 if asked == "value" else 2] if asked in ("value", "between") else chart.values
    )
    read = ", ".join(f"{name} {printed(chart.values[name])}" for name in needed)
    begun = chosen.choice(["I read {}.", "The chart says {}.", "Its marks: {}."]).format(read)
    told = answer(chart, asked, names)
    ends = {
        "highest": f"The greatest is at {told}.",
        "lowest": f"The smallest is at {told}.",
        "second": f"One is above {told}, the others below.",
        "value": f"That is for {names[0]}.",
        "between": f"The difference is {told}.",
    }
    return f"{begun} {ends[asked]}"


def _query(
    series: Series, i: int, picture: bytes, asked: str, question: str, reasoning: str, told: str
) -> Query:
    return Query(
        id=f"{series.title}/{i}@{asked}",
        concept=series.concept,
        part="easy" if asked == "topic" else "hard",
        right=label(told).id,
        instruction="Find the answer to the question about the chart.",
        text=question,
        picture=picture,
        reasoning=reasoning,
        answer=told,
    )
