"""What a thought of the model's own does to an item: both embeddings, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from ponder.engine.batching import by_length
from ponder.engine.budget import Budget
from ponder.engine.scheduler import Scheduler
from ponder.engine.writing import GREEDY, Sampling, Writer
from ponder.train.gap import gap

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import Tensor

    from ponder.engine.trace import Trace
    from ponder.model.backbone import Prepared
    from ponder.model.thinker import Kind, Thinker
    from ponder.progress import Progress
    from ponder.train.task_pairs import Entry, TaskPairs

KINDS: tuple[Kind, Kind] = ("query", "document")


@dataclass(frozen=True)
class Tried:
    """Items embedded both ways.

    Attributes:
        task: of each item.
        kind: whether they are queries or documents.
        plain: (n, D), without a thought.
        thought: (n, D), with one.
        queries: (n, H), the queries' mean states without a thought.
        last: (n, H), the context's last state.
        gain: (n,), by how much the thought made the gap grow.
        rank_gain: (n,), by how much it made the reciprocal rank of what is right grow.
        tokens: (n,), of the thought.
    """

    task: list[str]
    kind: Kind
    plain: Tensor
    thought: Tensor
    queries: Tensor
    last: Tensor
    gain: Tensor
    rank_gain: Tensor
    tokens: Tensor

    def routed(self, thinks: Tensor, task: str) -> Tensor:
        """Return the vectors (n, D) of one task, with a thought where `thinks` (all,) says so."""
        own = torch.tensor([name == task for name in self.task])
        return torch.where(thinks[own, None], self.thought[own], self.plain[own])


@dataclass(frozen=True)
class Trial:
    """Queries and documents of some tasks, tried against each other.

    Attributes:
        queries: one kind.
        documents: the other; each is right for one of the queries at least.
        right: for each task which of its documents are right for its queries, (n, m).
    """

    queries: Tried
    documents: Tried
    right: dict[str, Tensor]

    def reciprocal_ranks(self, queries: Tensor, documents: Tensor) -> dict[str, Tensor]:
        """Return for each task 1 / rank (n,) of what is right, if these items think.

        Args:
            queries: of all tasks, True for those that think.
            documents: likewise.
        """
        return {
            task: _reciprocal_rank(
                self.queries.routed(queries, task) @ self.documents.routed(documents, task).T, right
            )
            for task, right in self.right.items()
        }


def try_both(
    thinker: Thinker,
    tasks: Sequence[TaskPairs],
    items: int,
    temperature: float,
    report: Progress,
) -> Trial:
    """Embed queries and documents without and with thoughts.

    Args:
        thinker: what embeds.
        tasks: of which.
        items: most queries, and most documents, of a task that are thought about.
        temperature: of the gap's soft maximum.
        report: told how far it is.
    """
    found: dict[Kind, list[Tried]] = {kind: [] for kind in KINDS}
    rights = {}
    for task in tasks:
        queries = task.queries[:items]
        right = task.relevance(range(len(queries)))
        documents = [i for i in range(len(task.candidates)) if right[:, i].any()][:items]
        rights[task.name] = right[:, documents]
        report(f"think about {task.name}", 0, 2)
        plain = {
            "query": embed_plain(thinker, queries),
            "document": embed_plain(thinker, task.candidates),
        }
        found["query"].append(
            _tried(
                thinker,
                task.name,
                "query",
                queries,
                plain["query"],
                plain["document"][0],
                right,
                temperature,
            )
        )
        report(f"think about {task.name}", 1, 2)
        own = tuple(part[documents] for part in plain["document"])
        found["document"].append(
            _tried(
                thinker,
                task.name,
                "document",
                [task.candidates[i] for i in documents],
                own,
                plain["query"][0],
                right.T[documents],
                temperature,
            )
        )
        report(f"think about {task.name}", 2, 2)
    return Trial(_join(found["query"]), _join(found["document"]), rights)


@torch.inference_mode()
def embed_plain(thinker: Thinker, entries: Sequence[Entry]) -> tuple[Tensor, Tensor, Tensor]:
    """Return vectors (n, D) without a thought, and the states (n, H) that the gate reads."""
    rows = [entry.row for entry in entries]
    vectors = torch.empty(len(rows), thinker.dim)
    queries, last = (torch.empty(len(rows), thinker.backbone.hidden_size) for _ in range(2))
    budget = Budget.of(thinker.backbone.device)
    for batch in by_length([len(row) for row in rows], budget.batch_tokens):
        some = [rows[i] for i in batch]
        states = thinker.read_out(thinker.read(some), some)
        vectors[batch] = thinker.embed(states).cpu()
        queries[batch], last[batch] = states.queries.cpu(), states.last.cpu()
    return vectors, queries, last


def embed_thought(thinker: Thinker, entries: Sequence[Entry]) -> tuple[Tensor, Tensor]:
    """Return vectors (n, D) with a thought of the model's own, and how long each is (n,)."""
    vectors, traces = think(thinker, [entry.row for entry in entries])
    return vectors, torch.tensor([trace.thought_tokens for trace in traces])


def think(
    thinker: Thinker, rows: Sequence[Prepared], sampling: Sampling = GREEDY
) -> tuple[Tensor, list[Trace]]:
    """Return vectors (n, D) of items all of which were thought about, and their traces."""
    tokenizer = thinker.backbone.processor.tokenizer
    writer = Writer(tokenizer, thinker.config.max_thought_tokens, sampling)
    budget = Budget.of(thinker.backbone.device)
    results = list(Scheduler(thinker, budget, "always", 0.0, writer).run(rows))
    vectors = torch.from_numpy(np.stack([vector for vector, _ in results]))
    return vectors, [trace for _, trace in results]


def _tried(
    thinker: Thinker,
    task: str,
    kind: Kind,
    entries: Sequence[Entry],
    plain: Iterable[Tensor],
    others: Tensor,
    right: Tensor,
    temperature: float,
) -> Tried:
    """Compare both embeddings of some items against all of the other side.

    Args:
        thinker: what thinks.
        task: the items' task.
        kind: the items' kind.
        entries: the n items.
        plain: what `embed_plain` returned for them.
        others: (M, D), the other side without thoughts.
        right: (n, M), which of it is right.
        temperature: of the gap's soft maximum.
    """
    vectors, queries, last = plain
    thought, tokens = embed_thought(thinker, entries)
    positives = others[right.int().argmax(dim=1)]
    gains = [gap(v, positives, others, right, temperature) for v in (vectors, thought)]
    ranks = [_reciprocal_rank(v @ others.T, right) for v in (vectors, thought)]
    return Tried(
        [task] * len(entries),
        kind,
        vectors,
        thought,
        queries,
        last,
        gains[1] - gains[0],
        ranks[1] - ranks[0],
        tokens,
    )


def _reciprocal_rank(scores: Tensor, right: Tensor) -> Tensor:
    """Return 1 / rank (n,) of the best right one among (n, M), ties counted against it."""
    best = scores.masked_fill(~right, -torch.inf).max(dim=1).values
    above = ((scores >= best[:, None]) & ~right).sum(dim=1)
    return 1 / (1 + above)


def _join(parts: Sequence[Tried]) -> Tried:
    names = [name for part in parts for name in part.task]
    tensors = [
        torch.cat([getattr(part, name) for part in parts])
        for name in ("plain", "thought", "queries", "last", "gain", "rank_gain", "tokens")
    ]
    return Tried(names, parts[0].kind, *tensors)
