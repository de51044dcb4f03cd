"""Real tables to draw charts of, from the data that the package `vega_datasets` carries."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from ponder.packages import Wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

TABLES = Wheel(
    "vega-datasets", "0.9.0", "3d7c63917be6ca9b154b565f4779a31fedce57b01b5b9d99d8a34a7608062a1d"
)

_MONTHS = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)
_SECTORS = (
    "mining_and_logging",
    "construction",
    "durable_goods",
    "nondurable_goods",
    "wholesale_trade",
    "retail_trade",
    "transportation_and_warehousing",
    "utilities",
    "information",
    "financial_activities",
    "professional_and_business_services",
    "education_and_health_services",
    "leisure_and_hospitality",
    "government",
)
_CARS = {
    "Miles_per_Gallon": "miles per gallon",
    "Displacement": "engine displacement",
    "Horsepower": "horsepower",
    "Weight_in_lbs": "weight in pounds",
    "Acceleration": "seconds to 60 mph",
}
_WEATHER = {
    "precipitation": "rain a day in mm",
    "temp_max": "daily high in °C",
    "temp_min": "daily low in °C",
    "wind": "wind in m/s",
}
_IRIS = {
    "sepalLength": "sepal length",
    "sepalWidth": "sepal width",
    "petalLength": "petal length",
    "petalWidth": "petal width",
}


@dataclass(frozen=True)
class Series:
    """Named numbers of one column of a table.

    Attributes:
        source: the table and column they are from; what charts are split by.
        title: what they are.
        noun: what a name stands for: "year", "variety".
        values: each name's number.
        is_ordered: whether the names are in an order, as years are.
        is_share: whether the numbers are parts of a whole.
    """

    source: str
    title: str
    noun: str
    values: dict[str, float]
    is_ordered: bool = False
    is_share: bool = False

    @property
    def concept(self) -> str:
        """What charts of it are split by."""
        return f"chart/{self.source}"


def read_series(folder: Path) -> list[Series]:
    """Return everything there is to draw, from the unpacked package's data folder."""
    return [*_nature(folder), *_people(folder), *_money(folder)]


def _nature(folder: Path) -> Iterator[Series]:
    barley = _json(folder / "barley.json")
    for site in sorted({row["site"] for row in barley}):
        for year in (1931, 1932):
            here = [row for row in barley if row["site"] == site and row["year"] == year]
            values = {row["variety"]: row["yield"] for row in here}
            yield Series(f"barley/{site}", f"barley yield, {site} {year}", "variety", values)
    weather = _csv(folder / "seattle-weather.csv")
    for column, measure in _WEATHER.items():
        for year in range(2012, 2016):
            days = [row for row in weather if row["date"].startswith(str(year))]
            values = _means(days, lambda row: _month(row["date"]), column)
            title = f"Seattle {year}: {measure}"
            yield Series(f"seattle/{column}", title, "month", values, is_ordered=True)
    for place, name in (("San Francisco", "sf-temps"), ("Seattle", "seattle-temps")):
        values = _means(_csv(folder / f"{name}.csv"), lambda row: _month(row["date"]), "temp")
        title = f"{place} 2010: temperature in °F"
        yield Series(name, title, "month", values, is_ordered=True)
    iris = _json(folder / "iris.json")
    for column, measure in _IRIS.items():
        values = _means(iris, lambda row: row["species"], column)
        yield Series(f"iris/{column}", f"iris {measure} in cm", "species", values)


def _people(folder: Path) -> Iterator[Series]:
    cars = _json(folder / "cars.json")
    for column, measure in _CARS.items():
        known = [row for row in cars if row[column] is not None]
        by_year = _means(known, lambda row: row["Year"][:4], column)
        title = f"cars: {measure}"
        yield Series(f"cars/{column}", f"{title}, by year", "year", by_year, is_ordered=True)
        by_origin = _means(known, lambda row: row["Origin"], column)
        yield Series(f"cars/{column}", f"{title}, by origin", "origin", by_origin)
    jobs = _csv(folder / "us-employment.csv")
    for column in _SECTORS:
        values = _means(jobs, lambda row: row["month"][:4], column)
        title = f"thousand US jobs: {column.replace('_', ' ')}"
        yield Series(f"jobs/{column}", title, "year", values, is_ordered=True)
    crimea = _json(folder / "crimea.json")
    for cause in ("wounds", "disease", "other"):
        values = {f"{_month(row['date'])} {row['date'][:4]}": row[cause] for row in crimea}
        title = f"Crimean War deaths: {cause}"
        yield Series(f"crimea/{cause}", title, "month", values, is_share=True)
    airports: dict[str, float] = defaultdict(float)
    for row in _csv(folder / "airports.csv"):
        airports[row["state"]] += 1
    many = {state: number for state, number in airports.items() if number > 20}
    yield Series("airports", "airports in US states", "state", many, is_share=True)


def _money(folder: Path) -> Iterator[Series]:
    stocks = _csv(folder / "stocks.csv")
    for symbol in sorted({row["symbol"] for row in stocks}):
        own = [row for row in stocks if row["symbol"] == symbol]
        values = _means(own, lambda row: row["date"][-4:], "price")
        title = f"{symbol} stock price in dollars"
        yield Series(f"stocks/{symbol}", title, "year", values, is_ordered=True)
    power = _csv(folder / "iowa-electricity.csv")
    for source in sorted({row["source"] for row in power}):
        own = [row for row in power if row["source"] == source]
        values = _means(own, lambda row: row["year"][:4], "net_generation")
        title = f"Iowa power: {source.lower()}, GWh"
        yield Series(f"iowa/{source}", title, "year", values, is_ordered=True)
    for table, columns in (
        ("driving", {"miles": "US miles driven a head", "gas": "US petrol price in dollars"}),
        ("wheat", {"wheat": "price of wheat, shillings", "wages": "weekly wages, shillings"}),
    ):
        rows = _json(folder / f"{table}.json")
        for column, title in columns.items():
            values = {str(row["year"]): float(row[column]) for row in rows if column in row}
            yield Series(f"{table}/{column}", title, "year", values, is_ordered=True)


def _means(
    rows: Iterable[dict[str, Any]], name: Callable[[dict[str, Any]], str], column: str
) -> dict[str, float]:
    groups: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        groups[name(row)].append(float(row[column]))
    return {key: fmean(values) for key, values in groups.items()}


def _month(date: str) -> str:
    return _MONTHS[int(date[5:7]) - 1]


def _json(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def _csv(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))
