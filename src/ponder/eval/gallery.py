"""The Gallery's retrieval tasks: which queries, which candidates, which of them is right."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ponder.errors import PonderError
from ponder.eval.embedded import embed
from ponder.gallery import read
from ponder.gallery.tasks import TASKS, read_task
from ponder.gallery.tasks.pictures import one_a_concept, plain, twins
from ponder.items import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ponder.engine.model import Model
    from ponder.engine.trace import ThinkMode
    from ponder.eval.embedded import Embedded
    from ponder.gallery.concepts import Split
    from ponder.items import Item
    from ponder.media import Limits
    from ponder.model.thinker import Kind

CANDIDATES = 500
COLUMNS = ("id", "concept", "variant", "picture", "caption", "style")


@dataclass(frozen=True)
class GalleryContent:
    """An item of a task, as `ponder.eval.embedded` takes it.

    Attributes:
        value: the item; a string is text, whatever it ends with.
    """

    value: str | bytes | dict[str, Any]

    def digest(self) -> str:
        """Return a hash of the item."""
        parts = self.value if isinstance(self.value, dict) else {"": self.value}
        found = hashlib.sha256()
        for name, part in parts.items():
            data = part.encode() if isinstance(part, str) else part
            found.update(f"{name} {type(part).__name__} {len(data)} ".encode() + data)
        return found.hexdigest()

    def to_item(self, name: str, limits: Limits) -> Item:
        """Parse it; errors call it `name`."""
        value = {"text": self.value} if isinstance(self.value, str) else self.value
        return parse(value, name, limits)


@dataclass(frozen=True)
class Task:
    """One retrieval task; items are whatever `encode` takes.

    Attributes:
        name: as in reports.
        queries: what is searched for.
        candidates: what is searched.
        right: (Q,) position of each query's one right candidate.
        ids: of the queries; of the Gallery's rows where each query is one.
    """

    name: str
    queries: list[Any]
    candidates: list[Any]
    right: NDArray[np.int64]
    ids: list[str]


def tasks(folder: Path, split: Split) -> list[Task]:
    """Return three tasks of one split of a built Gallery; the same folder gives the same tasks.

    `caption_to_picture` and `picture_to_caption` pair 500 concepts' pictures and English names, one
    picture a concept, no name twice. `cross_style` looks for Google's emoji of a concept among the
    OpenMoji pictures. None needs more than the Gallery itself.
    """
    rows = plain(read(folder, split, COLUMNS).to_pylist())
    pairs = one_a_concept(rows)[:CANDIDATES]
    captions = [row["caption"] for row in pairs]
    pictures = [row["picture"] for row in pairs]
    ids = [row["id"] for row in pairs]
    diagonal = np.arange(len(pairs))
    styles = twins(rows)[:CANDIDATES]
    return [
        Task("caption_to_picture", captions, pictures, diagonal, ids),
        Task("picture_to_caption", pictures, captions, diagonal, ids),
        Task(
            "cross_style",
            [google["picture"] for google, _ in styles],
            [openmoji["picture"] for _, openmoji in styles],
            np.arange(len(styles)),
            [google["id"] for google, _ in styles],
        ),
    ]


def embed_task(
    model: Model, task: Task, think: ThinkMode, cache: Path, advance: Callable[[int], None]
) -> tuple[Embedded, Embedded]:
    """Embed a task's queries and candidates, or read what an earlier run of the same model kept.

    Args:
        model: what embeds.
        task: what is embedded.
        think: which of them to think about.
        cache: the folder where blocks of vectors are kept.
        advance: told how many more are done.
    """

    def side(kind: Kind, items: Sequence[Any]) -> Embedded:
        name = f"{task.name} {kind}"
        return embed(model, list(map(GalleryContent, items)), kind, think, name, cache, advance)

    return side("query", task.queries), side("document", task.candidates)


def task_names(listed: str) -> tuple[str, ...]:
    """Return the names of tasks that are listed with commas between; `all` names every one.

    Raises:
        PonderError: there is no task of a name.
    """
    names = TASKS if listed == "all" else tuple(name for name in listed.split(",") if name)
    if unknown := sorted(set(names) - set(TASKS)):
        raise PonderError(f"no task {unknown[0]!r}; the tasks are {', '.join(TASKS)}")
    return names


def built_tasks(folder: Path, names: Sequence[str], split: Split) -> list[Task]:
    """Return tasks of one split as `ponder gallery --tasks` built them.

    Args:
        folder: what `build_tasks` returned.
        names: of the tasks.
        split: as for `tasks`, whose three are the same here.

    Raises:
        PonderError: there are no tasks of this version, or none of a name.
    """
    return [_built(folder, name, split) for name in names]


def _built(folder: Path, name: str, split: Split) -> Task:
    data = read_task(folder, name, split)
    candidates = data.candidates.to_pylist()
    place = {candidate["id"]: i for i, candidate in enumerate(candidates)}
    gains: dict[str, tuple[int, int]] = {}
    for row in data.qrels.to_pylist():
        found = row["gain"], place[row["candidate"]]
        gains[row["query"]] = max(found, gains.get(row["query"], found))
    queries = data.queries.to_pylist()
    ids = [query["id"] for query in queries]
    return Task(
        name,
        [_item(query) for query in queries],
        [_item(candidate) for candidate in candidates],
        np.array([gains[query][1] for query in ids], dtype=np.int64),
        ids,
    )


def _item(row: dict[str, Any]) -> str | bytes | dict[str, Any]:
    """Return a row as `encode` takes it, without what it lacks."""
    instruction = row.get("instruction")
    if not instruction and not (row["text"] and row["picture"]):
        found: str | bytes = row["picture"] or row["text"]
        return found
    item = {"image": row["picture"], "text": row["text"], "instruction": instruction}
    return {key: value for key, value in item.items() if value}
