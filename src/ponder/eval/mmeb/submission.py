"""Group means, and the file the leaderboard takes."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ponder.eval.mmeb.tasks import MODALITIES, SUBMITTED, read_tasks

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ponder.engine.model import Model
    from ponder.eval.mmeb.run import TaskScore
    from ponder.eval.mmeb.tasks import MmebTask

OVERALL = {"image": "Image", "video": "Video", "visdoc": "VisDoc"}


@dataclass(frozen=True)
class Mean:
    """The mean of some tasks' main metric.

    Attributes:
        value: over those that were measured whole; None where there are none.
        measured: how many those are.
        tasks: how many there should be.
    """

    value: float | None
    measured: int
    tasks: int

    def __str__(self) -> str:
        shown = "-" if self.value is None else f"{100 * self.value:.1f} %"
        return (
            shown if self.measured == self.tasks else f"{shown} ({self.measured} of {self.tasks})"
        )


def means(scores: Mapping[str, TaskScore], is_reference: bool = True) -> dict[str, Mean]:
    """Return the mean of each group, of each modality and of all 78 tasks.

    Tasks count alike, however many queries they have; one that was not measured whole is left out,
    and a mean that lacks a task says so.

    Args:
        scores: by task.
        is_reference: whether the reference's values count, or the correct ones.
    """
    tasks = read_tasks()
    groups: dict[str, list[MmebTask]] = {}
    for task in tasks:
        groups.setdefault(task.group, []).append(task)
    for modality in MODALITIES:
        groups[OVERALL[modality]] = [task for task in tasks if task.modality == modality]
    groups["All"] = tasks
    return {name: _mean(some, scores, is_reference) for name, some in groups.items()}


def submission(model: Model, scores: Mapping[str, TaskScore]) -> dict[str, Any]:
    """Return what the leaderboard takes; a task that was not measured whole is "FILE_N/A"."""
    metrics: dict[str, dict[str, Any]] = {modality: {} for modality in MODALITIES}
    for task in read_tasks():
        result = scores.get(task.name)
        name = SUBMITTED.get(task.name, task.name)
        is_whole = result is not None and result.queries == task.queries
        metrics[task.modality][name] = result.official if result and is_whole else "FILE_N/A"
    metadata = {
        "model_name": model.name,
        "model_backbone": model.backbone_name,
        "model_size": None,
        "embedding_dimension": model.dim,
        "max_length_tokens": model.max_text_tokens,
        "model_release_date": None,
        "data_source": "Self-Reported",
        "url": None,
        "report_generated_date": datetime.datetime.now(datetime.UTC).isoformat(),
    }
    return {"metadata": metadata, "metrics": metrics}


def _mean(tasks: Iterable[MmebTask], scores: Mapping[str, TaskScore], is_reference: bool) -> Mean:
    tasks = list(tasks)
    values = []
    for task in tasks:
        result = scores.get(task.name)
        if result is not None and result.is_whole:
            values.append((result.reference if is_reference else result.correct)[task.metric])
    return Mean(sum(values) / len(values) if values else None, len(values), len(tasks))
