"""What a task is on disk, and reading it back.

A task's folder holds `queries.parquet`, `candidates.parquet` and `qrels.parquet`, each with every
split. One picture serves many tasks, so these hold a picture's sha256, and the bytes lie once in
`pictures/{split}.parquet` beside the tasks; `read_task` puts them together.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ponder.errors import PonderError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from ponder.gallery.concepts import Split

VERSION = 2
"""Version of the schema and of how tasks are made; raise it when either changes."""

TASKS = (
    "caption_to_picture",
    "picture_to_caption",
    "cross_style",
    "changed_picture",
    "foreign_caption",
    "category",
    "flag",
    "clock",
    "chart",
    "page",
    "relation",
)
"""Names of all tasks, in the order reports show them."""

Part = Literal["easy", "hard"]

_ITEM = [
    ("id", pa.string()),
    ("split", pa.string()),
    ("concept", pa.string()),
    ("text", pa.string()),
    ("picture", pa.binary()),
    ("reasoning", pa.string()),
    ("answer", pa.string()),
]
CANDIDATES = pa.schema(_ITEM)
QUERIES = pa.schema(
    [*_ITEM[:3], ("part", pa.string()), ("instruction", pa.string()), *_ITEM[3:]],
)
QRELS = pa.schema([("query", pa.string()), ("candidate", pa.string()), ("gain", pa.int32())])

_STORED = pa.field("picture", pa.string())  # on disk a picture is its sha256


@dataclass(frozen=True)
class Candidate:
    """One thing to be found.

    Attributes:
        id: stable within the task and split.
        concept: what it shows, as in the Gallery, several joined by " + "; that of an answer which
            stands for no one thing, such as a category, begins with "label/" and is not split.
        text: its words, "" if it has none.
        picture: encoded, None if it has none.
        reasoning: first half of its thought; empty where nothing needs thinking.
        answer: second half of its thought: what it is, in one phrase.
    """

    id: str
    concept: str
    text: str = ""
    picture: bytes | None = None
    reasoning: str = ""
    answer: str = ""


@dataclass(frozen=True, kw_only=True)
class Query(Candidate):
    """One thing to search with.

    Attributes:
        part: "easy" or "hard", by the task's rule.
        right: id of the one candidate that answers it.
        instruction: what the embedding is for; "" for the model's default.
    """

    part: Part
    right: str
    instruction: str = ""


def label(text: str, concept: str = "") -> Candidate:
    """Return a text that is its own answer as something to find.

    Args:
        text: the answer.
        concept: what it names; by default it stands for no one thing, and is in every split.
    """
    return Candidate(f"label:{text}", concept or f"label/{text}", text=text, answer=text)


@dataclass(frozen=True)
class Task:
    """One split of one task as it is made."""

    queries: Sequence[Query]
    candidates: Sequence[Candidate]


@dataclass(frozen=True)
class TaskData:
    """One split of one task as it is read; columns as in `QUERIES`, `CANDIDATES` and `QRELS`."""

    queries: pa.Table
    candidates: pa.Table
    qrels: pa.Table


@dataclass
class PictureStore:
    """Pictures by their sha256, each split's kept apart, each picture once."""

    found: dict[Split, dict[str, bytes]] = field(default_factory=dict)

    def add(self, split: Split, picture: bytes | None) -> str | None:
        """Keep a picture and return its name."""
        if picture is None:
            return None
        name = hashlib.sha256(picture).hexdigest()
        self.found.setdefault(split, {})[name] = picture
        return name

    def write(self, folder: Path) -> list[Path]:
        """Write each split's pictures in order of their names."""
        folder.mkdir(parents=True)
        files = []
        for split, pictures in self.found.items():
            names = sorted(pictures)
            table = pa.table(
                {"name": names, "picture": pa.array([pictures[name] for name in names])}
            )
            files.append(folder / f"{split}.parquet")
            pq.write_table(table, files[-1], compression="zstd", row_group_size=256)
        return files


def write_task(folder: Path, splits: dict[Split, Task], pictures: PictureStore) -> list[Path]:
    """Write all splits of one task, in the order they are given; the same tasks, the same bytes.

    Raises:
        ValueError: an id comes twice, or a query has no right candidate.
    """
    folder.mkdir(parents=True)
    queries, candidates, qrels = [], [], []
    for split, task in splits.items():
        known = _ids(task.candidates, f"{folder.name}/{split}")
        _ids(task.queries, f"{folder.name}/{split}")
        for query in task.queries:
            if query.right not in known:
                raise ValueError(f"{folder.name}/{split}: {query.id} has no right candidate")
            queries.append(_stored(query, split, pictures, QUERIES))
            qrels.append({"query": query.id, "candidate": query.right, "gain": 1})
        candidates += [_stored(one, split, pictures, CANDIDATES) for one in task.candidates]
    files = []
    for name, rows, schema in (
        ("queries", queries, _on_disk(QUERIES)),
        ("candidates", candidates, _on_disk(CANDIDATES)),
        ("qrels", qrels, QRELS),
    ):
        files.append(folder / f"{name}.parquet")
        pq.write_table(pa.Table.from_pylist(rows, schema), files[-1], compression="zstd")
    return files


def read_task(folder: Path, name: str, split: Split) -> TaskData:
    """Read one split of one task.

    Args:
        folder: what `build_tasks` returned.
        name: one of `TASKS`.
        split: "train", "dev" or "test"; leave "test" to final evaluation.

    Raises:
        PonderError: there are no tasks of this version, or none of this name.
    """
    if name not in TASKS:
        raise PonderError(f"no task {name!r}; the tasks are {', '.join(TASKS)}")
    read_manifest(folder)
    queries = _of(split, pq.read_table(folder / name / "queries.parquet"))
    candidates = _of(split, pq.read_table(folder / name / "candidates.parquet"))
    qrels = pq.read_table(folder / name / "qrels.parquet")
    qrels = qrels.filter(
        pc.and_(
            pc.is_in(qrels["query"], queries["id"]), pc.is_in(qrels["candidate"], candidates["id"])
        )
    )
    wanted = {*queries["picture"].to_pylist(), *candidates["picture"].to_pylist()} - {None}
    stored = pq.read_table(
        folder / "pictures" / f"{split}.parquet",
        filters=pc.field("name").isin(pa.array(sorted(wanted), pa.string())),
    )
    pictures = dict(zip(stored["name"].to_pylist(), stored["picture"].to_pylist(), strict=True))
    return TaskData(
        _with_pictures(queries, pictures, QUERIES),
        _with_pictures(candidates, pictures, CANDIDATES),
        qrels,
    )


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of built tasks; errors as in `read_task`."""
    try:
        manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    except FileNotFoundError:
        raise PonderError(f"no tasks in {folder}; run `ponder gallery --tasks`") from None
    if manifest["version"] != VERSION:
        raise PonderError(
            f"the tasks in {folder} are of version {manifest['version']}, this ponder reads "
            f"{VERSION}; run `ponder gallery --tasks` again"
        )
    return manifest


def _ids(items: Iterable[Candidate], where: str) -> set[str]:
    known: set[str] = set()
    for item in items:
        if item.id in known:
            raise ValueError(f"{where}: two items are called {item.id}")
        known.add(item.id)
    return known


def _stored(
    item: Candidate, split: Split, pictures: PictureStore, schema: pa.Schema
) -> dict[str, Any]:
    own = {"split": split, "picture": pictures.add(split, item.picture)}
    return {name: own[name] if name in own else getattr(item, name) for name in schema.names}


def _on_disk(schema: pa.Schema) -> pa.Schema:
    return schema.set(schema.get_field_index("picture"), _STORED)


def _of(split: Split, table: pa.Table) -> pa.Table:
    return table.filter(pc.equal(table["split"], split))


def _with_pictures(table: pa.Table, pictures: dict[str, bytes], schema: pa.Schema) -> pa.Table:
    names = table["picture"].to_pylist()
    encoded = pa.array([pictures[name] if name else None for name in names], pa.binary())
    return table.set_column(schema.get_field_index("picture"), schema.field("picture"), encoded)
