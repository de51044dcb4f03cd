"""Training pairs of annotated records, prepared as they are drawn."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import torch

from ponder.errors import ItemError, PonderError
from ponder.model.thoughts import thought_ids
from ponder.train.joint import PairBatch, Side
from ponder.train.records import BadRow, read_records

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from ponder.model.backbone import Backbone, Prepared
    from ponder.train.records import Record
    from ponder.train.records import Side as WrittenSide

NEGATIVES = 1  # drawn for each query, where it has any


class RecordPairs:
    """The records of one data set; a batch is of one data set.

    Args:
        name: of the data set.
        records: with a thought on both sides.
        backbone: what will read them.

    Attributes:
        bad: why items could not be read, by name; others were drawn in their place.
    """

    def __init__(self, name: str, records: Sequence[Record], backbone: Backbone) -> None:
        self.name = name
        self.bad: dict[str, str] = {}
        self._records = records
        self._backbone = backbone
        self._groups: dict[tuple[object, ...], int] = {}
        for record in records:
            for side in (record.positive, *record.negatives):
                self._groups.setdefault(_content(side), len(self._groups))

    def __len__(self) -> int:
        return len(self._records)

    def draw(self, count: int, thought_dropout: float, seed: int) -> PairBatch:
        """Return so many pairs, at most as many as can be read; the same seed draws the same.

        Args:
            count: of pairs.
            thought_dropout: how often a thought has no reasoning.
            seed: of the draw.

        Raises:
            PonderError: none of the data set can be read.
        """
        chance = random.Random(seed)
        queries: list[tuple[Prepared, list[int]]] = []
        positives: list[tuple[Prepared, list[int]]] = []
        group: list[int] = []
        negatives: list[Prepared] = []
        negative_group: list[int] = []
        for number in _shuffled(len(self), chance):
            record = self._records[number]
            chosen = chance.sample(record.negatives, min(NEGATIVES, len(record.negatives)))
            name = f"{self.name}, {record.id}"
            try:
                read = [self._prepare(side, name) for side in (record.query, record.positive)]
                wrong = [self._prepare(side, name) for side in chosen]
            except ItemError as error:
                self.bad[name] = str(error)
                continue
            briefly = [chance.random() < thought_dropout for _ in read]
            queries.append((read[0], self._thought(record.query, briefly[0])))
            positives.append((read[1], self._thought(record.positive, briefly[1])))
            group.append(self._groups[_content(record.positive)])
            negatives += wrong
            negative_group += [self._groups[_content(side)] for side in chosen]
            if len(group) == count:
                break
        if not group:
            raise PonderError(f"nothing of {self.name} can be read: {self.bad}")
        return PairBatch(
            Side(*zip(*queries, strict=True)),
            Side(*zip(*positives, strict=True)),
            torch.tensor(group),
            negatives,
            torch.tensor(negative_group, dtype=torch.long),
        )

    def _prepare(self, side: WrittenSide, name: str) -> Prepared:
        return self._backbone.prepare(side.to_item(), name)

    def _thought(self, side: WrittenSide, is_brief: bool) -> list[int]:
        assert side.thought is not None  # those without one are left out when they are read
        reasoning = "" if is_brief else side.thought.reasoning
        return thought_ids(self._backbone.processor.tokenizer, reasoning, side.thought.answer)


def _shuffled(count: int, chance: random.Random) -> Iterator[int]:
    """Yield the numbers below `count`, each once, at the cost of those that are taken alone."""
    seen: set[int] = set()
    while len(seen) < count:
        number = chance.randrange(count)
        if number not in seen:
            seen.add(number)
            yield number


def _content(side: WrittenSide) -> tuple[object, ...]:
    """Return what makes two sides the same thing, whatever was thought about them."""
    return side.text, side.images, side.videos


def load_records(
    files: Iterable[Path], roots: Mapping[str, Path], backbone: Backbone
) -> tuple[list[RecordPairs], list[BadRow]]:
    """Read files of annotated records, and sort them by data set.

    Args:
        files: each a JSON list or one object a line.
        roots: folders of media, as for `read_records`.
        backbone: what will read them.

    Returns:
        A source for each data set, and the rows that cannot be learnt from: broken ones, and those
        without a thought on both sides.
    """
    found: dict[str, list[Record]] = {}
    bad: list[BadRow] = []
    for path in files:
        for number, record in enumerate(read_records(path, roots), 1):
            if isinstance(record, BadRow):
                bad.append(BadRow(record.number, f"{path}: {record.reason}"))
            elif record.query.thought is None or record.positive.thought is None:
                reason = "no thought on both sides; run `ponder annotate` first"
                bad.append(BadRow(number, f"{path}, {record.id}: {reason}"))
            else:
                found.setdefault(record.dataset or path.stem, []).append(record)
    return [RecordPairs(name, rows, backbone) for name, rows in found.items()], bad
