"""Tasks between pictures and words, and between two styles: pictures as the Gallery has them."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import TYPE_CHECKING

from ponder.gallery.tasks.schema import Candidate, Query, Task
from ponder.gallery.tasks.wording import part, picture_thought, words_thought

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ponder.gallery.shards import Row

SEED = 0


def caption_to_picture(pairs: Sequence[Row]) -> Task:
    """Look for each row's picture with its caption. Hard: see `wording.part`."""
    queries = []
    for row in pairs:
        reasoning, answer = words_thought(row)
        queries.append(
            Query(
                id=row["id"],
                concept=row["concept"],
                part=part(row),
                right=row["id"],
                text=row["caption"],
                reasoning=reasoning,
                answer=answer,
            )
        )
    return Task(queries, [picture(row) for row in pairs])


def picture_to_caption(pairs: Sequence[Row]) -> Task:
    """Look for each row's caption with its picture. Hard: see `wording.part`."""
    captions = []
    for row in pairs:
        reasoning, answer = words_thought(row)
        captions.append(
            Candidate(row["id"], row["concept"], row["caption"], None, reasoning, answer)
        )
    return Task([_picture_query(row, row["id"]) for row in pairs], captions)


def cross_style(pairs: Sequence[tuple[Row, Row]]) -> Task:
    """Look for OpenMoji's picture of what Google's shows. Hard: see `wording.part`."""
    return Task(
        [_picture_query(google, openmoji["id"]) for google, openmoji in pairs],
        [picture(openmoji) for _, openmoji in pairs],
    )


def picture(row: Row) -> Candidate:
    """Return a row's picture as something to find."""
    reasoning, answer = picture_thought(row)
    return Candidate(row["id"], row["concept"], "", row["picture"], reasoning, answer)


def plain(rows: Iterable[Row]) -> list[Row]:
    """Return the rows of no variant."""
    return [row for row in rows if not row["variant"]]


def one_a_concept(rows: Sequence[Row]) -> list[Row]:
    """Choose one picture of each concept, in a fixed random order, no caption twice."""
    by_concept: dict[str, list[Row]] = defaultdict(list)
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


def twins(rows: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Pair the two emoji styles, one pair a concept, in a fixed random order."""
    by_code: dict[str, dict[str, Row]] = defaultdict(dict)
    for row in rows:
        style, _, code = row["id"].partition("/")
        if style in ("google", "openmoji"):
            by_code[code][style] = row
    pairs: dict[str, tuple[Row, Row]] = {}
    for code in sorted(by_code):
        if len(by_code[code]) == 2:
            twin = by_code[code]["google"], by_code[code]["openmoji"]
            pairs.setdefault(twin[0]["concept"], twin)
    ordered = list(pairs.values())
    random.Random(SEED).shuffle(ordered)
    return ordered


def _picture_query(row: Row, right: str) -> Query:
    reasoning, answer = picture_thought(row)
    return Query(
        id=row["id"],
        concept=row["concept"],
        part=part(row),
        right=right,
        picture=row["picture"],
        reasoning=reasoning,
        answer=answer,
    )
