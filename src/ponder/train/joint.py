"""The joint loss of Think When Needed over one batch of pairs, at any batch size.

Language loss on the thoughts teaches the reasoning adapter; contrastive losses between embeddings
with and without a thought teach the embedding adapter, the queries and the read-out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from ponder.engine.batching import by_length
from ponder.train.gradcache import chunks, shared_gradients
from ponder.train.likelihood import surprises
from ponder.train.losses import Others, matryoshka

if TYPE_CHECKING:
    from collections.abc import Sequence

    from accelerate import Accelerator

    from ponder.model.backbone import Prepared
    from ponder.model.thinker import Thinker


@dataclass(frozen=True)
class Side:
    """Queries, or what is right for them.

    Attributes:
        rows: B items.
        thoughts: the tokens of each one's thought.
    """

    rows: Sequence[Prepared]
    thoughts: Sequence[Sequence[int]]


@dataclass(frozen=True)
class PairBatch:
    """B queries and B positives.

    Attributes:
        queries: one side.
        positives: the other, row by row.
        group: (B,), rows of one group are not each other's negatives.
        negatives: M more items that are wrong for the queries; they are embedded without a thought.
        negative_group: (M,), a query's negatives leave out those of its own group.
        own_thoughts: the tokens of thoughts the model wrote itself, of the queries and then of the
            positives. They are embedded in place of the others, which are still taught.
    """

    queries: Side
    positives: Side
    group: Tensor
    negatives: Sequence[Prepared] = ()
    negative_group: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.long))
    own_thoughts: Sequence[Sequence[int]] = ()

    @property
    def rows(self) -> list[Prepared]:
        """All queries, then all positives."""
        return [*self.queries.rows, *self.positives.rows]

    @property
    def thoughts(self) -> list[Sequence[int]]:
        """The thoughts they are taught."""
        return [*self.queries.thoughts, *self.positives.thoughts]

    def take(self, rows: Sequence[int]) -> Examples:
        """Return some of the rows."""
        embedded = self.own_thoughts or self.thoughts
        return Examples(
            [self.rows[i] for i in rows],
            [self.thoughts[i] for i in rows],
            [embedded[i] for i in rows],
        )


@dataclass(frozen=True)
class Examples:
    """Rows that are run at once.

    Attributes:
        rows: n items.
        taught: the tokens of the thought that each is to write.
        embedded: of the one it is embedded with.
    """

    rows: Sequence[Prepared]
    taught: Sequence[Sequence[int]]
    embedded: Sequence[Sequence[int]]


class Pairs(Protocol):
    """What pairs are drawn from."""

    @property
    def name(self) -> str:
        """Of the task or data set."""

    def __len__(self) -> int:
        """Return how many pairs there are."""

    def draw(self, count: int, thought_dropout: float, seed: int) -> PairBatch:
        """Return so many pairs, at most as many as there are; the same seed draws the same.

        Args:
            count: of pairs.
            thought_dropout: how often a thought has no reasoning.
            seed: of the draw.
        """


@dataclass(frozen=True)
class Weights:
    """What each part of the loss counts.

    Attributes:
        language: of the thoughts' tokens.
        think: between embeddings with a thought.
        no_think: between embeddings without one.
        mixed: between a query that thought and a positive that did not.
    """

    language: float = 1.0
    think: float = 1.0
    no_think: float = 1.0
    mixed: float = 0.5

    @property
    def contrasts(self) -> bool:
        """Whether embeddings learn at all, or the writing of thoughts alone."""
        return any((self.think, self.no_think, self.mixed))


class JointLoss:
    """Computes the loss and leaves its gradients in the parameters.

    Args:
        thinker: what learns.
        accelerator: the processes that share a batch.
        temperature: of the contrastive losses.
        dims: prefixes of the embedding that learn to work alone.
        weights: of the parts.
        chunk_tokens: most tokens of the rows that are run at once with gradients.
    """

    def __init__(
        self,
        thinker: Thinker,
        accelerator: Accelerator,
        temperature: float,
        dims: Sequence[int],
        weights: Weights,
        chunk_tokens: int,
    ) -> None:
        self._thinker = thinker
        self._accelerator = accelerator
        self._temperature = temperature
        self._dims = dims
        self._weights = weights
        self._chunk_tokens = chunk_tokens

    def backward(self, batch: PairBatch, seed: int) -> dict[str, float]:
        """Add the gradients of one batch; return its losses.

        Every process adds its own rows' share of the joint batch's gradient, so the shares must be
        summed over the processes, not averaged.

        Args:
            batch: this process's pairs.
            seed: of the dropout, which both passes must share.
        """
        chunks = self._chunks(batch)
        if not self._weights.contrasts:
            return {"language": self._language_alone(batch, chunks, seed)}
        if len(chunks) == 1:  # it fits into memory, so nothing has to be run again
            torch.manual_seed(seed)
            whole = self._run(batch.take(chunks[0]))
            plain, thought = whole[0].detach(), whole[1].detach()
        else:
            whole = None
            plain, thought = self._embed_all(batch, chunks, seed)
        wrong = list(by_length([len(row) for row in batch.negatives], self._chunk_tokens))
        negatives = self._embed_negatives(batch, wrong, seed)
        losses, by_plain, by_thought, by_negative = self._contrast(plain, thought, negatives, batch)
        written, total = self._written(batch)
        language = 0.0
        for number, chunk in enumerate(chunks):
            torch.manual_seed(seed + number)
            no_think, with_think, tokens = whole or self._run(batch.take(chunk))
            carried = (no_think * by_plain[chunk]).sum() + (with_think * by_thought[chunk]).sum()
            (self._weights.language * tokens / total + carried).backward()
            language += float(tokens.detach())
        for number, chunk in enumerate(wrong):
            torch.manual_seed(seed - 1 - number)
            (self._plain([batch.negatives[i] for i in chunk]) * by_negative[chunk]).sum().backward()
        return losses | ({"language": language / written} if self._weights.language else {})

    def embed(self, batch: PairBatch) -> tuple[Tensor, Tensor]:
        """Return unit embeddings (2 B, D) of the pairs without and with thoughts, queries first."""
        return self._embed_all(batch, self._chunks(batch), seed=0)

    def _language_alone(self, batch: PairBatch, chunks: Sequence[list[int]], seed: int) -> float:
        """Add the gradients of the loss on thoughts, without reading out; return that loss."""
        written, total = self._written(batch)
        language = 0.0
        for number, chunk in enumerate(chunks):
            torch.manual_seed(seed + number)
            some = batch.take(chunk)
            read = self._thinker.read(some.rows)
            _, states = self._thinker.extend(read, some.taught)
            tokens = surprises(self._thinker, read.last, states, some.taught).sum()
            (self._weights.language * tokens / total).backward()
            language += float(tokens.detach())
        return language / written

    def _written(self, batch: PairBatch) -> tuple[int, Tensor]:
        """Return how many tokens of thoughts this process has, and how many all have."""
        own = sum(map(len, batch.thoughts))
        device = self._thinker.backbone.device
        return own, self._accelerator.reduce(torch.tensor(float(own), device=device), "sum")

    def _embed_all(
        self, batch: PairBatch, chunks: Sequence[list[int]], seed: int
    ) -> tuple[Tensor, Tensor]:
        device = self._thinker.backbone.device
        plain = torch.empty(2 * len(batch.group), self._thinker.dim, device=device)
        thought = torch.empty_like(plain)
        with torch.no_grad():
            for number, chunk in enumerate(chunks):
                torch.manual_seed(seed + number)
                plain[chunk], thought[chunk], _ = self._run(batch.take(chunk), with_language=False)
        return plain, thought

    @torch.no_grad()
    def _embed_negatives(self, batch: PairBatch, chunks: Sequence[list[int]], seed: int) -> Tensor:
        found = torch.empty(len(batch.negatives), self._thinker.dim)
        found = found.to(self._thinker.backbone.device)
        for number, chunk in enumerate(chunks):
            torch.manual_seed(seed - 1 - number)
            found[chunk] = self._plain([batch.negatives[i] for i in chunk])
        return found

    def _plain(self, rows: Sequence[Prepared]) -> Tensor:
        with self._reached():
            read = self._thinker.read(rows)
        return self._thinker.embed(self._thinker.read_out(read, rows))

    def _reached(self, teaches: bool = False) -> torch.set_grad_enabled:
        """Within, what is read keeps gradients only where a loss will reach it."""
        reaches = teaches or not self._thinker.config.detach
        return torch.set_grad_enabled(torch.is_grad_enabled() and reaches)

    def _run(self, some: Examples, with_language: bool = True) -> tuple[Tensor, Tensor, Tensor]:
        """Return embeddings without and with thoughts, and the summed loss of the taught tokens."""
        thinker = self._thinker
        teaches = with_language and self._weights.language > 0
        with self._reached(teaches):
            read = thinker.read(some.rows)
        plain = thinker.embed(thinker.read_out(read, some.rows))
        loss = torch.zeros((), device=plain.device)
        if teaches:
            longer, states = thinker.extend(read, some.taught)
            loss = surprises(thinker, read.last, states, some.taught).sum()
        if not teaches or some.embedded != some.taught:
            with self._reached():
                longer, _ = thinker.extend(read, some.embedded)
        thought = thinker.embed(thinker.read_out(longer, some.rows, some.embedded))
        return plain, thought, loss

    def _contrast(
        self, plain: Tensor, thought: Tensor, negatives: Tensor, batch: PairBatch
    ) -> tuple[dict[str, float], Tensor, Tensor, Tensor]:
        """Return the losses over the joint batch, and their gradients on this process's rows."""
        accelerator = self._accelerator
        # (queries, positives) without a thought, then with one
        parts = [part for rows in (plain, thought) for part in rows.chunk(2)]
        parts.append(accelerator.pad_across_processes(negatives))  # as many as any process has
        groups = accelerator.gather(batch.group.to(plain.device))
        wrong = batch.negative_group.to(plain.device)
        wrong = accelerator.gather(accelerator.pad_across_processes(wrong, pad_index=-1))

        def losses(joint: Sequence[Tensor]) -> dict[str, Tensor]:
            queries, positives, thinking, thought_of, others = joint

            def contrast(a: Tensor, b: Tensor) -> Tensor:
                more = Others(others, wrong)
                return matryoshka(a, b, groups, self._temperature, self._dims, more)

            return {
                "think": contrast(thinking, thought_of),
                "no_think": contrast(queries, positives),
                "mixed": contrast(thinking, positives),
            }

        values, own = shared_gradients(accelerator, parts, losses, vars(self._weights))
        return values, torch.cat(own[:2]), torch.cat(own[2:4]), own[4][: len(negatives)]

    def _chunks(self, batch: PairBatch) -> list[list[int]]:
        """Divide the rows into those that are run at once."""
        every = batch.take(range(len(batch.rows)))
        longest = [max(map(len, pair)) for pair in zip(every.taught, every.embedded, strict=True)]
        lengths = [len(row) + more for row, more in zip(every.rows, longest, strict=True)]
        return chunks(lengths, self._chunk_tokens)
