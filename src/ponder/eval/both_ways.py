"""A task's items embedded in every think mode a model has, kept on disk so that a run goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ponder.eval.gallery import embed_task

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from ponder.engine.model import Model
    from ponder.engine.trace import ThinkMode
    from ponder.eval.embedded import Embedded
    from ponder.eval.gallery import Task


@dataclass(frozen=True)
class Side:
    """n queries, or n candidates, of one task.

    Attributes:
        vectors: for each mode (n, D).
        tokens: for each mode (n,), of the thoughts.
        milliseconds: for each mode (n,), of the model.
        gate: (n,), the probability that a thought pays.
        thoughts: what `always` wrote.
        experts: (n, K, chosen), those of `latent` steps; K is 0 without that mode.
        cosines: (n, K), between the states before and after each of them.
    """

    vectors: dict[ThinkMode, NDArray[np.float32]]
    tokens: dict[ThinkMode, NDArray[np.int64]]
    milliseconds: dict[ThinkMode, NDArray[np.float64]]
    gate: NDArray[np.float64]
    thoughts: list[str]
    experts: NDArray[np.int64]
    cosines: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.thoughts)


@dataclass(frozen=True)
class BothWays:
    """One task in every mode.

    Attributes:
        task: its name.
        queries: one side.
        candidates: the other.
        right: (Q,) the candidate that answers each query.
    """

    task: str
    queries: Side
    candidates: Side
    right: NDArray[np.int64]


def embed_both_ways(
    model: Model, task: Task, cache: Path, advance: Callable[[int], None]
) -> BothWays:
    """Embed a task in every mode, or read what an earlier run of the same model kept of it.

    Args:
        model: what embeds; it has a gate.
        task: what is embedded.
        cache: the folder where blocks of vectors are kept.
        advance: told how many more embeddings are done.
    """
    embedded = {mode: embed_task(model, task, mode, cache, advance) for mode in model.think_modes}
    queries, candidates = (
        _side({mode: sides[i] for mode, sides in embedded.items()}) for i in range(2)
    )
    return BothWays(task.name, queries, candidates, task.right)


def _side(modes: dict[ThinkMode, Embedded]) -> Side:
    latent = modes["latent"].traces if "latent" in modes else []
    return Side(
        {mode: found.vectors for mode, found in modes.items()},
        {mode: np.array([t.thought_tokens for t in e.traces]) for mode, e in modes.items()},
        {mode: np.array([t.milliseconds for t in e.traces]) for mode, e in modes.items()},
        np.array([trace.gate for trace in modes["auto"].traces], dtype=np.float64),
        [trace.thought or "" for trace in modes["always"].traces],
        np.array([trace.experts for trace in latent], dtype=np.int64),
        np.array([trace.cosines for trace in latent]),
    )
