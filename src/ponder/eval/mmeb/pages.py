"""Document pages: queries, a corpus of pages, and graded judgements between them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from ponder.eval.mmeb.retrieval import Content, MmebError, Query, Retrieval

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ponder.eval.mmeb.layout import Layout
    from ponder.eval.mmeb.rows import Rows
    from ponder.eval.mmeb.tasks import MmebTask


@dataclass(frozen=True)
class Page:
    """A page in the corpus, read when it is needed.

    Attributes:
        corpus: all of them.
        row: of this one.
    """

    corpus: Rows
    row: int

    def read(self) -> bytes:
        """Return the encoded picture."""
        data: bytes = self.corpus.value(self.row, "image")["bytes"]
        return data


def parse_pages(task: MmebTask, layout: Layout, limit: int | None) -> Retrieval:
    """Parse a task; arguments and errors as `ponder.eval.mmeb.parsers.parse`.

    Candidates come in the reference's order: what is right for the first query, and so on, then
    the rest of the corpus.
    """
    corpus = layout.rows(task, ("corpus-id", "image"), "corpus")
    judged = _judgements(_read(layout, task, "qrels", ("query-id", "corpus-id", "score")))
    pages: dict[Any, Content] = {}
    for number, row in enumerate(corpus.read(["corpus-id"])):
        key = row["corpus-id"]
        if key in pages:
            raise MmebError(f"{task.name}, corpus row {number}: the id {key!r} comes twice")
        pages[key] = Content("", (Page(corpus, number),), task.candidate_instruction)
    found = Retrieval(task.name)
    asked: list[Query] = []
    seen = set()
    for row in islice(_read(layout, task, "queries", ("query-id", "query")), limit):
        name = f"{task.name}, query {row['query-id']!r}"
        if row["query-id"] in seen:
            raise MmebError(f"{name} comes twice")
        seen.add(row["query-id"])
        right = judged.get(row["query-id"], {})
        if missing := [key for key in right if key not in pages]:
            raise MmebError(f"{name}: page {missing[0]!r} is not in the corpus")
        found.offer((key, pages[key]) for key in right)
        asked.append(Query(Content(row["query"], (), task.query_instruction), right))
    found.offer(pages.items())
    for query in asked:
        found.ask(query)
    return found


def _read(
    layout: Layout, task: MmebTask, subset: str, columns: tuple[str, ...]
) -> Iterator[dict[str, Any]]:
    return layout.rows(task, columns, subset).read(list(columns))


def _judgements(rows: Iterator[dict[str, Any]]) -> dict[Any, dict[Any, float]]:
    """Return the gain of each page for each query; what is not above 0 is not right."""
    found: dict[Any, dict[Any, float]] = {}
    for row in rows:
        if row["score"] > 0:
            gains = found.setdefault(row["query-id"], {})
            gains[row["corpus-id"]] = max(gains.get(row["corpus-id"], 0.0), float(row["score"]))
    return found
