"""Training pairs of the Gallery's tasks, prepared once."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from ponder.engine.batching import ahead
from ponder.gallery.tasks import default_folder, read_task
from ponder.items import parse
from ponder.model.saved import PREPROCESSING
from ponder.model.thoughts import thought_ids
from ponder.train.cached import cached
from ponder.train.joint import PairBatch, Side
from ponder.train.packed import pack, unpack

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from torch import Tensor

    from ponder.gallery.concepts import Split
    from ponder.model.backbone import Backbone, Prepared
    from ponder.progress import Progress

VISION_BATCH = 16  # items whose pictures are seen at a time


@dataclass(frozen=True)
class Entry:
    """One query or candidate.

    Attributes:
        row: as the backbone reads it, its pictures seen already where it can keep that.
        thought: tokens of the thought its metadata gives.
        brief: tokens of the thought without its reasoning.
    """

    row: Prepared
    thought: list[int]
    brief: list[int]


@dataclass(frozen=True)
class TaskPairs:
    """One task's queries and what is right for them.

    Attributes:
        name: of the task.
        queries: each one's entry.
        candidates: each one's entry.
        right: for each query the numbers of the candidates that are right.
    """

    name: str
    queries: list[Entry]
    candidates: list[Entry]
    right: list[list[int]]

    def relevance(self, numbers: Sequence[int]) -> Tensor:
        """Return which candidates are right for some queries, (n, candidates) booleans."""
        found = torch.zeros(len(numbers), len(self.candidates), dtype=torch.bool)
        for place, number in enumerate(numbers):
            found[place, self.right[number]] = True
        return found

    def __len__(self) -> int:
        return len(self.queries)

    def draw(self, count: int, thought_dropout: float, seed: int) -> PairBatch:
        """Return so many pairs, at most as many as there are; the same seed draws the same.

        Args:
            count: of pairs.
            thought_dropout: how often a thought has no reasoning.
            seed: of the draw.
        """
        chance = random.Random(seed)
        numbers = chance.sample(range(len(self.queries)), min(count, len(self.queries)))
        positives = [chance.choice(self.right[number]) for number in numbers]

        def side(entries: Sequence[Entry]) -> Side:
            thoughts = [
                entry.brief if chance.random() < thought_dropout else entry.thought
                for entry in entries
            ]
            return Side([entry.row for entry in entries], thoughts)

        return PairBatch(
            side([self.queries[i] for i in numbers]),
            side([self.candidates[i] for i in positives]),
            torch.tensor(positives),
        )


def tasks_manifest() -> Path:
    """Return the file that says what the built tasks are made of."""
    return default_folder() / "manifest.json"


def load_pairs(
    names: Sequence[str],
    split: Split,
    backbone: Backbone,
    progress: Progress,
    most_queries: int | None = None,
) -> list[TaskPairs]:
    """Read tasks that `ponder gallery --tasks` built, and prepare their items.

    Args:
        names: of the tasks.
        split: which split.
        backbone: what will read them.
        progress: told how many items are prepared.
        most_queries: of each task, the first of them; None for all.

    Raises:
        PonderError: the tasks were not built.
    """
    found = []
    for name in names:
        data = read_task(default_folder(), name, split)
        queries = data.queries.to_pylist()[:most_queries]
        candidates = data.candidates.to_pylist()
        numbers = {row["id"]: number for number, row in enumerate(candidates)}
        right: dict[str, list[int]] = {row["id"]: [] for row in queries}
        for row in data.qrels.to_pylist():
            if row["query"] in right:
                right[row["query"]].append(numbers[row["candidate"]])
        stage = f"prepare {name}"
        found.append(
            TaskPairs(
                name,
                _entries(queries, backbone, stage, progress),
                _entries(candidates, backbone, stage, progress),
                [right[row["id"]] for row in queries],
            )
        )
    return found


def _entries(
    rows: Sequence[dict[str, Any]], backbone: Backbone, stage: str, progress: Progress
) -> list[Entry]:
    def thought(reasoning: str, answer: str) -> list[int]:
        return thought_ids(backbone.processor.tokenizer, reasoning, answer)

    return [
        Entry(prepared, thought(row["reasoning"] or "", row["answer"]), thought("", row["answer"]))
        for row, prepared in zip(rows, _seen(rows, backbone, stage, progress), strict=True)
    ]


def _seen(
    rows: Sequence[dict[str, Any]], backbone: Backbone, stage: str, progress: Progress
) -> list[Prepared]:
    """Return the items as the backbone reads them, from the cache if their pictures are seen."""

    def see() -> Iterator[Prepared]:
        def prepare(start: int) -> list[Prepared]:
            return [_prepare(row, backbone) for row in rows[start : start + VISION_BATCH]]

        done = 0
        for some in ahead(prepare, range(0, len(rows), VISION_BATCH), depth=4):
            yield from backbone.see_ahead(some)
            done += len(some)
            progress(stage, done, len(rows))

    if not backbone.sees_ahead:
        return list(see())
    return unpack(cached(_key(rows, backbone), lambda: pack(list(see()))), [r["id"] for r in rows])


def _key(rows: Sequence[dict[str, Any]], backbone: Backbone) -> dict[str, Any]:
    """Return all that the items depend on once their pictures are seen."""
    items = hashlib.sha256()
    for row in rows:
        for part in (row["text"], row.get("instruction"), row["picture"]):
            data = part.encode() if isinstance(part, str) else part or b""
            items.update(len(data).to_bytes(8) + data)
    sight = hashlib.sha256()
    for module in (backbone.model.model.vision_tower, backbone.model.model.connector):
        for tensor in module.state_dict().values():
            sight.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    tokenizer = backbone.processor.tokenizer.backend_tokenizer.to_str()
    return {
        "items": items.hexdigest(),
        "sight": sight.hexdigest(),
        "loudness": backbone.model.config.loudness,
        "tokenizer": hashlib.sha256(tokenizer.encode()).hexdigest(),
        "chat_template": backbone.processor.chat_template,
        "pictures": backbone.processor.image_processor.to_json_string(),
        "max_text_tokens": backbone.max_text_tokens,
        "dtype": str(backbone.model.dtype),
        "preprocessing": PREPROCESSING,
    }


def _prepare(row: dict[str, Any], backbone: Backbone) -> Prepared:
    value = {"image": row["picture"], "text": row["text"]}
    item = parse({key: part for key, part in value.items() if part}, row["id"])
    chosen = replace(item, instruction=row.get("instruction") or None)
    return backbone.prepare(chosen, row["id"])
