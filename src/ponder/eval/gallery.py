"""The Gallery's retrieval tasks: which queries, which candidates, which of them is right."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ponder.gallery import read

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ponder.gallery.concepts import Split

CANDIDATES = 500
SEED = 0
COLUMNS = ("id", "concept", "variant", "picture", "caption", "style")


@dataclass(frozen=True)
class Task:
    """One retrieval task; items are whatever `encode` takes.

    Attributes:
        name: as in reports.
        queries: what is searched for.
        candidates: what is searched.
        right: (Q,) position of each query's one right candidate.
        ids: of the Gallery's rows behind the queries.
    """

    name: str
    queries: list[Any]
    candidates: list[Any]
    right: NDArray[np.int64]
    ids: list[str]


def tasks(folder: Path, split: Split) -> list[Task]:
    """Return the tasks of one split of a built Gallery; the same folder gives the same tasks.

    `caption_to_picture` and `picture_to_caption` pair 500 concepts' pictures and English names, one
    picture a concept, no name twice. `cross_style` looks for Google's emoji of a concept among the
    OpenMoji pictures.
    """
    rows = [row for row in read(folder, split, COLUMNS).to_pylist() if not row["variant"]]
    pairs = _one_a_concept(rows)[:CANDIDATES]
    captions = [row["caption"] for row in pairs]
    pictures = [row["picture"] for row in pairs]
    ids = [row["id"] for row in pairs]
    diagonal = np.arange(len(pairs))
    twins = _twins(rows)[:CANDIDATES]
    return [
        Task("caption_to_picture", captions, pictures, diagonal, ids),
        Task("picture_to_caption", pictures, captions, diagonal, ids),
        Task(
            "cross_style",
            [google["picture"] for google, _ in twins],
            [openmoji["picture"] for _, openmoji in twins],
            np.arange(len(twins)),
            [google["id"] for google, _ in twins],
        ),
    ]


def _one_a_concept(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Choose one picture of each concept, in a fixed random order, no caption twice."""
    by_concept: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_concept[row["concept"]].append(row)
    draw = random.Random(SEED)
    chosen = [draw.choice(by_concept[concept]) for concept in sorted(by_concept)]
    draw.shuffle(chosen)
    names: set[str] = set()
    distinct = []
    for row in chosen:
        if row["caption"].casefold() not in names:
            names.add(row["caption"].casefold())
            distinct.append(row)
    return distinct


def _twins(rows: list[dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Pair the two emoji styles, one pair a concept, in a fixed random order."""
    by_code: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for row in rows:
        style, _, code = row["id"].partition("/")
        if style in ("google", "openmoji"):
            by_code[code][style] = row
    pairs: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    for code in sorted(by_code):
        if len(by_code[code]) == 2:
            twin = by_code[code]["google"], by_code[code]["openmoji"]
            pairs.setdefault(twin[0]["concept"], twin)
    ordered = list(pairs.values())
    random.Random(SEED).shuffle(ordered)
    return ordered
