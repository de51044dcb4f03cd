"""Running tasks with a model, and the scores as JSON."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ponder.eval.metrics import hit, ndcg, ranks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ponder.engine.model import Model
    from ponder.eval.gallery import Task

Scores = dict[str, float]


def evaluate(model: Model, tasks: Sequence[Task], report: Callable[[Task, Scores], None]) -> Any:
    """Embed and score every task.

    Args:
        model: what to measure.
        tasks: on what.
        report: called with each task's scores as they come.

    Returns:
        `{"tasks": {name: scores}, "mean": scores}`; rates are fractions, `thought_tokens` and
        `ms_per_item` are per item, queries and candidates counted alike.
    """
    scores = {}
    for task in tasks:
        scores[task.name] = _score(model, task)
        report(task, scores[task.name])
    names = next(iter(scores.values())).keys()
    mean = {name: sum(row[name] for row in scores.values()) / len(scores) for name in names}
    return {"tasks": scores, "mean": mean}


def _score(model: Model, task: Task) -> Scores:
    began = time.perf_counter()
    queries = model.encode_query([_item(query) for query in task.queries])
    candidates = model.encode_document([_item(candidate) for candidate in task.candidates])
    seconds = time.perf_counter() - began
    ranked = ranks(model.similarity(queries, candidates), task.right)
    return {
        "hit@1": hit(ranked, 1),
        "hit@5": hit(ranked, 5),
        "hit@10": hit(ranked, 10),
        "ndcg@5": ndcg(ranked, 5),
        "queries": len(task.queries),
        "candidates": len(task.candidates),
        "thought_tokens": 0.0,
        "ms_per_item": 1000 * seconds / (len(task.queries) + len(task.candidates)),
    }


def _item(value: str | bytes) -> Any:
    """Say outright that a string is text: a caption may end like a file name."""
    return {"text": value} if isinstance(value, str) else value
