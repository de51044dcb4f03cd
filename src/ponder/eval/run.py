"""Running tasks with a model, and the scores as JSON."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ponder.eval.metrics import hit, ndcg, ranks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ponder.engine.model import Model
    from ponder.engine.trace import ThinkMode
    from ponder.eval.gallery import Task

Scores = dict[str, float]


def evaluate(
    model: Model,
    tasks: Sequence[Task],
    report: Callable[[Task, Scores], None],
    think: ThinkMode = "never",
) -> Any:
    """Embed and score every task.

    Args:
        model: what to measure.
        tasks: on what.
        report: called with each task's scores as they come.
        think: which queries and candidates are thought about first.

    Returns:
        `{"tasks": {name: scores}, "mean": scores}`; rates are fractions, `thought_tokens` and
        `ms_per_item` are per item, queries and candidates counted alike.
    """
    scores = {}
    for task in tasks:
        scores[task.name] = _score(model, task, think)
        report(task, scores[task.name])
    names = next(iter(scores.values())).keys()
    mean = {name: sum(row[name] for row in scores.values()) / len(scores) for name in names}
    return {"tasks": scores, "mean": mean}


def _score(model: Model, task: Task, think: ThinkMode) -> Scores:
    began = time.perf_counter()
    queries, traces = model.encode_query(
        [_item(query) for query in task.queries], think=think, return_trace=True
    )
    candidates, others = model.encode_document(
        [_item(candidate) for candidate in task.candidates], think=think, return_trace=True
    )
    traces += others
    seconds = time.perf_counter() - began
    ranked = ranks(model.similarity(queries, candidates), task.right)
    return {
        "hit@1": hit(ranked, 1),
        "hit@5": hit(ranked, 5),
        "hit@10": hit(ranked, 10),
        "ndcg@5": ndcg(ranked, 5),
        "queries": len(task.queries),
        "candidates": len(task.candidates),
        "thought_tokens": sum(trace.thought_tokens for trace in traces) / len(traces),
        "ms_per_item": 1000 * seconds / len(traces),
    }


def _item(value: str | bytes) -> Any:
    """Say outright that a string is text: a caption may end like a file name."""
    return {"text": value} if isinstance(value, str) else value
