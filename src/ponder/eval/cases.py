"""Queries that a thought moved up or down, shown with their pictures and thoughts."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from ponder.eval.both_ways import BothWays
    from ponder.eval.gallery import Task

SHOWN = 3  # of each sort
THUMBNAIL = 112  # pixels


@dataclass(frozen=True)
class Case:
    """A query whose right candidate has another rank with thoughts than without.

    Attributes:
        task: number of its task.
        query: its number in the task.
        never: the rank without thoughts.
        always: the rank with.
    """

    task: int
    query: int
    never: int
    always: int

    @property
    def gain(self) -> float:
        """By how much thoughts raised the reciprocal rank."""
        return 1 / self.always - 1 / self.never


def cases(
    both: Sequence[BothWays],
    tasks: Sequence[Task],
    never: Sequence[NDArray[np.int64]],
    always: Sequence[NDArray[np.int64]],
    folder: Path,
) -> str:
    """Return Markdown with the queries that thoughts helped and hurt most, one a task.

    Args:
        both: the tasks, embedded.
        tasks: their items.
        never: for each task the ranks (Q,) without thoughts.
        always: the same with thoughts.
        folder: where pictures are put.
    """
    every = [
        Case(number, query, int(a), int(b))
        for number, ranks in enumerate(zip(never, always, strict=True))
        for query, (a, b) in enumerate(zip(*ranks, strict=True))
    ]
    every.sort(key=lambda case: case.gain)
    hurt = [case for case in every if case.gain < 0]
    helped = [case for case in reversed(every) if case.gain > 0]
    lines = []
    for name, found in (("helped", helped), ("hurt", hurt)):
        lines.append(f"## Where thinking {name}\n")
        for place, case in enumerate(_one_a_task(found), 1):
            task, source = both[case.task], tasks[case.task]
            right = int(task.right[case.query])
            query, answer = source.queries[case.query], source.candidates[right]
            lines += [
                f"**{task.task}**: rank {case.never} without thoughts, {case.always} with.\n",
                f"* query: {_shown(query, folder, f'{name}-{place}-query')}",
                f"  * thought: {_quoted(task.queries.thoughts[case.query])}",
                f"* right: {_shown(answer, folder, f'{name}-{place}-right')}",
                f"  * thought: {_quoted(task.candidates.thoughts[right])}\n",
            ]
    return "\n".join(lines)


def _one_a_task(ranked: Sequence[Case]) -> list[Case]:
    first: dict[int, Case] = {}
    for case in ranked:
        first.setdefault(case.task, case)
    return list(first.values())[:SHOWN]


def _shown(item: str | bytes | dict[str, Any], folder: Path, stem: str) -> str:
    """Return an item as Markdown, its picture written into the folder."""
    parts = item if isinstance(item, dict) else {}
    text = item if isinstance(item, str) else parts.get("text")
    picture = item if isinstance(item, bytes) else parts.get("image")
    words = " · ".join(part for part in (parts.get("instruction"), text) if part)
    if not picture:
        return words.replace("\n", " ")
    small = Image.open(io.BytesIO(picture)).convert("RGBA")
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    paper = Image.new("RGBA", small.size, "white")
    flat = Image.alpha_composite(paper, small).convert("RGB")
    flat.save(folder / f"{stem}.png", optimize=True)
    return f"![]({stem}.png) {words}".strip()


def _quoted(thought: str) -> str:
    plain = thought.replace("`", "'").replace("\n", " ")
    return f"`{plain}`" if plain else "none"
