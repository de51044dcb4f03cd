"""Running the Gallery's tasks with a model, and the scores as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ponder.eval.gallery import embed_task
from ponder.eval.metrics import hit, ndcg, ranks
from ponder.progress import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ponder.engine.model import Model
    from ponder.engine.trace import ThinkMode
    from ponder.eval.gallery import Task
    from ponder.progress import Progress

Scores = dict[str, float]


def evaluate(
    model: Model,
    tasks: Sequence[Task],
    think: ThinkMode,
    cache: Path,
    progress: Progress,
    report: Callable[[Task, Scores], None],
) -> Any:
    """Embed and score every task.

    Args:
        model: what to measure.
        tasks: on what.
        think: which queries and candidates are thought about first.
        cache: the folder where blocks of vectors are kept, so that a stopped run goes on.
        progress: told how many items of a task are embedded.
        report: called with each task's scores as they come.

    Returns:
        `{"tasks": {name: scores}, "mean": scores}`; rates are fractions, `thought_tokens` and
        `ms_per_item`, of the model, are per item, queries and candidates counted alike.
    """
    scores = {}
    for task in tasks:
        scores[task.name] = _score(model, task, think, cache, progress)
        report(task, scores[task.name])
    names = next(iter(scores.values())).keys()
    mean = {name: sum(row[name] for row in scores.values()) / len(scores) for name in names}
    return {"tasks": scores, "mean": mean}


def _score(model: Model, task: Task, think: ThinkMode, cache: Path, progress: Progress) -> Scores:
    total = len(task.queries) + len(task.candidates)
    advance = counted(progress, f"embed {task.name}", total)
    queries, candidates = embed_task(model, task, think, cache, advance)
    traces = queries.traces + candidates.traces
    ranked = ranks(model.similarity(queries.vectors, candidates.vectors), task.right)
    return {
        "hit@1": hit(ranked, 1),
        "hit@5": hit(ranked, 5),
        "hit@10": hit(ranked, 10),
        "ndcg@5": ndcg(ranked, 5),
        "queries": len(task.queries),
        "candidates": len(task.candidates),
        "thought_tokens": sum(trace.thought_tokens for trace in traces) / total,
        "ms_per_item": sum(trace.milliseconds for trace in traces) / total,
    }
