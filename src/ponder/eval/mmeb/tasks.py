"""The 78 tasks of MMEB-V2 as a table."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal, cast, get_args

from ponder.errors import PonderError

Modality = Literal["image", "video", "visdoc"]
Scope = Literal["local", "global"]
MODALITIES: tuple[Modality, ...] = get_args(Modality)
METRICS: dict[Modality, str] = {"image": "hit@1", "video": "hit@1", "visdoc": "ndcg_linear@5"}
# The leaderboard renamed two tasks when their relevance judgements were mended.
SUBMITTED = {
    "ViDoSeek-page": "ViDoSeek-page-fixed",
    "MMLongBench-page": "MMLongBench-page-fixed",
}


@dataclass(frozen=True)
class MmebTask:
    """One task, and where the bundle keeps it.

    Attributes:
        name: as in the official configuration.
        modality: what its queries or candidates show.
        group: of tasks that are averaged together.
        parser: what reads its rows, a key of `ponder.eval.mmeb.parsers.PARSERS`.
        repo: of the annotations on the Hub.
        subset: of the repository; empty where there is one only.
        split: of the repository.
        media: folders, relative to the bundle's, that may hold its pictures or frames.
        scope: whether a query ranks candidates of its own or those of the whole task.
        queries: how many there are.
        query_instruction: for every query; empty where the rows bring their own.
        candidate_instruction: for every candidate, likewise.
    """

    name: str
    modality: Modality
    group: str
    parser: str
    repo: str
    subset: str
    split: str
    media: tuple[str, ...]
    scope: Scope
    queries: int
    query_instruction: str
    candidate_instruction: str

    @property
    def metric(self) -> str:
        """What the benchmark reports of it."""
        return METRICS[self.modality]


def read_tasks() -> list[MmebTask]:
    """Return all tasks, in the benchmark's order."""
    with files(__package__).joinpath("tasks.csv").open(encoding="utf-8") as file:
        return [_task(row) for row in csv.DictReader(file)]


def chosen_tasks(listed: str) -> list[MmebTask]:
    """Return the tasks that are listed, with commas between, by name, group or modality.

    Raises:
        PonderError: nothing is called so.
    """
    tasks = read_tasks()
    if not listed:
        return tasks
    wanted = [name for name in listed.split(",") if name]
    for name in wanted:
        if not any(name in _called(task) for task in tasks):
            raise PonderError(
                f"no task, group or modality {name!r}; `ponder eval mmeb --list` lists them"
            )
    return [task for task in tasks if _called(task) & set(wanted)]


def _called(task: MmebTask) -> set[str]:
    return {task.name, task.group, task.modality}


def _task(row: dict[str, str]) -> MmebTask:
    return MmebTask(
        row["name"],
        cast("Modality", row["modality"]),
        row["group"],
        row["parser"],
        row["repo"],
        row["subset"],
        row["split"],
        tuple(name for name in row["media"].split("|") if name),
        cast("Scope", row["scope"]),
        int(row["queries"]),
        row["query_instruction"],
        row["candidate_instruction"],
    )
