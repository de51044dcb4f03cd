"""Running tasks of MMEB-V2: embed, rank, score, and write it down."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ponder.errors import PonderError
from ponder.eval.embedded import embed
from ponder.eval.mmeb.parsers import parse
from ponder.eval.mmeb.scores import MOST, score
from ponder.eval.mmeb.tasks import read_tasks
from ponder.eval.ranking import shortlists
from ponder.progress import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ponder.engine.model import Model
    from ponder.engine.trace import ThinkMode
    from ponder.eval.embedded import Embedded
    from ponder.eval.mmeb.layout import Layout
    from ponder.eval.mmeb.retrieval import Retrieval
    from ponder.eval.mmeb.tasks import MmebTask
    from ponder.progress import Progress


@dataclass(frozen=True)
class TaskScore:
    """What was measured of one task.

    Attributes:
        task: its name.
        model: what was measured.
        fingerprint: of the model.
        think: which items it was to think about.
        reference: "NAME@K" as the reference computes it.
        correct: the same with ties against the model and every gain at its page.
        queries: how many were asked.
        protocol_queries: how many the protocol has.
        candidates: how many there were.
        thought_tokens: an item, queries and candidates counted alike.
        thought_share: the share of items that were thought about.
        ms_per_item: of the model, reading of files not counted.
    """

    task: str
    model: str
    fingerprint: str
    think: ThinkMode
    reference: dict[str, float]
    correct: dict[str, float]
    queries: int
    protocol_queries: int
    candidates: int
    thought_tokens: float
    thought_share: float
    ms_per_item: float

    @property
    def is_whole(self) -> bool:
        """Whether every query of the protocol was asked."""
        return self.queries == self.protocol_queries

    @property
    def official(self) -> dict[str, float]:
        """What the reference's score file holds."""
        return self.reference | {"num_pred": self.queries, "num_data": self.protocol_queries}


def run_tasks(
    model: Model,
    tasks: Sequence[MmebTask],
    layout: Layout,
    folder: Path,
    think: ThinkMode,
    limit: int | None,
    progress: Progress,
    report: Callable[[MmebTask, TaskScore | PonderError], None],
) -> dict[str, TaskScore]:
    """Measure tasks one after another; one that fails is reported and the others go on.

    Args:
        model: what embeds.
        tasks: on what.
        layout: where their data lies.
        folder: where scores, rankings and vectors are kept. What an earlier run of the same model
            embedded there is not embedded again.
        think: which items to think about.
        limit: most queries of a task, for a trial.
        progress: told how far a task is.
        report: told what became of each task.

    Raises:
        PonderError: the folder holds tasks of another model or think mode.
    """
    for kept in _kept(folder).values():
        if (kept.fingerprint, kept.think) != (model.fingerprint, think):
            raise PonderError(
                f"{folder} holds {kept.task} of {kept.model} ({kept.fingerprint}), "
                f"think={kept.think}; give this run a folder of its own"
            )
    found = {}
    for task in tasks:
        try:
            result = _run(model, task, layout, folder, think, limit, progress)
        except PonderError as error:
            report(task, error)
            continue
        found[task.name] = result
        report(task, result)
    return found


def read_scores(folder: Path) -> dict[str, TaskScore]:
    """Return what runs into a folder have measured, by task in the benchmark's order.

    Raises:
        PonderError: nothing was, a file is damaged, or its tasks are of different models.
    """
    found = _kept(folder)
    if not found:
        raise PonderError(f"{folder}: no task of MMEB-V2 was measured here")
    if len({(score.fingerprint, score.think) for score in found.values()}) > 1:
        raise PonderError(
            f"{folder} holds tasks of several models or think modes; give each its own"
        )
    return found


def _kept(folder: Path) -> dict[str, TaskScore]:
    found: dict[str, TaskScore] = {}
    for task in read_tasks():
        path = folder / task.modality / f"{task.name}_ponder.json"
        if path.is_file():
            try:
                found[task.name] = TaskScore(**json.loads(path.read_text(encoding="utf-8")))
            except (ValueError, TypeError) as error:
                raise PonderError(f"{path} is damaged: {error}") from error
    return found


def _run(
    model: Model,
    task: MmebTask,
    layout: Layout,
    folder: Path,
    think: ThinkMode,
    limit: int | None,
    progress: Progress,
) -> TaskScore:
    data = parse(task, layout, limit)
    total = len(data.queries) + len(data.candidates)
    advance = counted(progress, task.name, total)
    cache = folder / "vectors" / task.name
    contents = [query.content for query in data.queries]
    queries = embed(model, contents, "query", think, f"{task.name}, query", cache, advance)
    others = list(data.candidates.values())
    candidates = embed(model, others, "document", think, f"{task.name}, candidate", cache, advance)
    rows = _rank(data, queries, candidates)
    traces = [*queries.traces, *candidates.traces]
    result = TaskScore(
        task.name,
        model.name,
        model.fingerprint,
        think,
        _mean([row["reference"] for row in rows]),
        _mean([row["correct"] for row in rows]),
        len(rows),
        task.queries,
        len(data.candidates),
        sum(trace.thought_tokens for trace in traces) / len(traces),
        sum(trace.mode != "never" for trace in traces) / len(traces),
        sum(trace.milliseconds for trace in traces) / len(traces),
    )
    place = folder / task.modality
    place.mkdir(parents=True, exist_ok=True)
    _write_lines(place / f"{task.name}_pred.jsonl", rows)
    for ending, values in (("score", result.official), ("ponder", asdict(result))):
        path = place / f"{task.name}_{ending}.json"
        path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    return result


def _rank(data: Retrieval, queries: Embedded, candidates: Embedded) -> list[dict[str, Any]]:
    """Return for each query its scores, its ranking and what happened to it."""
    keys = list(data.candidates)
    place = {key: i for i, key in enumerate(keys)}
    best = shortlists(queries.vectors, candidates.vectors, MOST)
    rows = []
    for query, vector, trace in zip(data.queries, queries.vectors, queries.traces, strict=True):
        if query.among is None:
            positions, found = next(best)
            among = [keys[i] for i in positions]
        else:
            among = list(query.among)
            found = candidates.vectors[[place[key] for key in among]] @ vector
        reference, correct, ranking = score(found, among, query.right)
        rows.append(
            {
                "prediction": ranking,
                "label": list(query.right),
                "rel_scores": list(query.right.values()),
                "reference": reference,
                "correct": correct,
                "text": query.content.text,
                "pictures": [
                    str(path) for path in query.content.pictures if isinstance(path, Path)
                ],
                "thought": trace.thought,
                "gate": trace.gate,
                "thought_tokens": trace.thought_tokens,
                "ms": trace.milliseconds,
            }
        )
    return rows


def _mean(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def _write_lines(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text("".join(lines), encoding="utf-8")
