"""One scheduler for every think mode.

Items are read in batches of a token budget. Those that need no thought are done then; the others
go on from the context they have, in one batch that rows leave as they finish and waiting rows join.
Finished thoughts are read out a few at a time; latent steps are taken by as many rows together as
there is room for, since a step has to fetch all weights however few they are.
"""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ponder.engine.trace import GATED, LATENT, ThinkMode, Trace
from ponder.errors import ItemError
from ponder.model.context import Context, join

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from ponder.engine.budget import Budget
    from ponder.engine.writing import Draft, Writer
    from ponder.model.backbone import Prepared
    from ponder.model.latent import Rollout
    from ponder.model.thinker import States, Thinker

    Result = tuple[NDArray[np.float32], Trace]

REFILL = 0.75  # rows join those being written once these take less of their room than this
READ_OUT_ROWS = 8  # finished thoughts that are read out together, at least


@dataclass
class _Row:
    """An item under way; its times are shares of its batches', in milliseconds."""

    number: int
    item: Prepared
    gate: float | None = None
    draft: Draft | None = None
    anchor: Tensor | None = None
    read_ms: float = 0.0
    think_ms: float = 0.0
    embed_ms: float = 0.0


@dataclass
class _Group:
    """Rows and what the backbone remembers of them."""

    rows: list[_Row]
    context: Context

    def take(self, chosen: Sequence[int]) -> _Group:
        if len(chosen) == len(self.rows):
            return self
        return _Group([self.rows[i] for i in chosen], self.context.select(chosen))

    def split(self, at: int) -> tuple[_Group, _Group]:
        every = range(len(self.rows))
        return self.take(every[:at]), self.take(every[at:])


class Scheduler:
    """Runs items through a thinker, once.

    Args:
        thinker: what reads, writes and reads out.
        budget: what bounds the memory.
        think: which items think.
        threshold: the gate's probability from which an item thinks, where the gate is asked.
        writer: chooses the tokens of thoughts and ends them.
    """

    def __init__(
        self,
        thinker: Thinker,
        budget: Budget,
        think: ThinkMode,
        threshold: float,
        writer: Writer,
    ) -> None:
        self._thinker = thinker
        self._budget = budget
        self._think = think
        self._threshold = threshold
        self._writer = writer
        self._room = budget.context_tokens
        self._most_items = budget.most_items or sys.maxsize
        self._rolling: list[_Group] = []  # wait for others to take latent steps with
        self._waiting: list[_Group] = []
        self._writing: _Group | None = None
        self._written: list[_Group] = []
        self._results: dict[int, Result] = {}  # by number, until it is their turn

    @torch.inference_mode()
    def run(self, items: Iterable[Prepared]) -> Iterator[Result]:
        """Yield the unit vector (D,) and the trace of each item, in the order given.

        Raises:
            ItemError: an item does not fit into memory even alone.
        """
        batches = self._budget.batches(items)
        is_open, turn = True, 0
        while True:
            if is_open and not self._waiting and self._takes_more():
                if batch := next(batches, None):
                    self._read([_Row(number, item) for number, item in batch])
                else:
                    is_open = False
            elif self._waiting or self._writing:
                self._write()
            elif self._rolling:
                self._roll_out_waiting()
            elif self._written:
                self._read_out_written()
            else:
                return
            while turn in self._results:
                yield self._results.pop(turn)
                turn += 1

    def _read(self, rows: list[_Row]) -> None:
        """Read a batch; finish what needs no thought, let the rest wait for its turn to write."""
        if not _fits(lambda: self._read_all(rows)):
            if len(rows) == 1:
                tokens = len(rows[0].item)
                raise ItemError(rows[0].item.name, f"no memory for its {tokens} tokens")
            half = len(rows) // 2
            self._read(rows[:half])
            self._read(rows[half:])

    def _read_all(self, rows: list[_Row]) -> None:
        thinker = self._thinker
        items = [row.item for row in rows]
        context: Context | None = None
        if self._think == "always" or thinker.config.interface == "kv":
            with _timed(rows, "read_ms"):
                context = thinker.read(items)
        if self._think == "always" and context is not None:
            self._waiting.append(_Group(rows, context))
            return
        with _timed(rows, "embed_ms"):
            states = thinker.read_out(context, items)
            vectors = self._vectors(states)
            hard = self._hard(rows, states)
        if hard and context is not None and self._think in LATENT:
            for i in hard:
                rows[i].anchor = states.queries[i]
            self._rolling.append(_Group(rows, context).take(hard))
            held = sum(len(group.rows) * group.context.columns for group in self._rolling)
            if held >= self._room:
                self._roll_out_waiting()
        elif hard and context is not None:
            self._waiting.append(_Group(rows, context).take(hard))
        elif hard:
            chosen = [rows[i] for i in hard]
            with _timed(chosen, "read_ms"):
                self._waiting.append(_Group(chosen, thinker.read([items[i] for i in hard])))
        easy = sorted(set(range(len(rows))).difference(hard))
        self._finish([rows[i] for i in easy], vectors[easy])

    def _hard(self, rows: list[_Row], states: States) -> list[int]:
        """Return which rows the gate wants a thought for."""
        if self._think not in GATED:
            return list(range(len(rows))) if self._think == "latent" else []
        probabilities = self._thinker.decide(states).tolist()
        for row, probability in zip(rows, probabilities, strict=True):
            row.gate = probability
        return [i for i, p in enumerate(probabilities) if p >= self._threshold]

    def _write(self) -> None:
        """Write one token of each thought under way; let others join and finished ones leave."""
        if self._waiting and self._takes_more():
            group = self._waiting.pop(0)
            fitting = self._fitting(group)
            if fitting < len(group.rows):
                group, rest = group.split(fitting)
                self._waiting.insert(0, rest)
            for row in group.rows:
                row.draft = row.draft or self._writer.start(row.number)
            self._go_on(group)
        elif (group_now := self._writing) is not None:
            self._writing = None
            self._go_on(group_now)
        if sum(len(group.rows) for group in self._written) >= READ_OUT_ROWS:
            self._read_out_written()

    def _go_on(self, group: _Group) -> None:
        """Let a group read what it wrote last and write a token; it joins those being written."""
        drafts = [row.draft for row in group.rows if row.draft]
        unread = [self._writer.unread(draft) for draft in drafts]
        read: list[tuple[Context, Tensor]] = []
        with _timed(group.rows, "think_ms"):
            if not _fits(lambda: read.append(self._thinker.extend(group.context, unread))):
                self._make_way(group)
                return
            [(context, states)] = read
            self._writer.write(drafts, self._thinker.logits(states[:, -1]))
        after = _Group(group.rows, context)
        done = [i for i, draft in enumerate(drafts) if draft.is_done]
        left = [i for i, draft in enumerate(drafts) if not draft.is_done]
        if done:
            self._written.append(after.take(done))
        if left:
            staying = after.take(left)
            if self._writing is not None:
                both = join([self._writing.context, staying.context])
                staying = _Group(self._writing.rows + staying.rows, both)
            self._writing = staying

    def _make_way(self, group: _Group) -> None:
        """Let half of a group wait, and from here on write fewer rows at a time."""
        if len(group.rows) == 1:
            raise ItemError(group.rows[0].item.name, "no memory for its thought")
        self._room = max(1, self._taken(group) // 2)
        self._waiting[:0] = group.split(len(group.rows) // 2)

    def _roll_out_waiting(self) -> None:
        together, self._rolling = _merged(self._rolling), []
        self._roll_out(together)

    def _roll_out(self, group: _Group) -> None:
        """Let rows take their latent steps, and embed them."""
        if len(group.rows) > self._most_items or not _fits(lambda: self._roll_out_all(group)):
            if len(group.rows) == 1:
                raise ItemError(group.rows[0].item.name, "no memory for its latent steps")
            for half in group.split(len(group.rows) // 2):
                self._roll_out(half)

    def _roll_out_all(self, group: _Group) -> None:
        anchors = torch.stack([row.anchor for row in group.rows if row.anchor is not None])
        with _timed(group.rows, "think_ms"):
            context, rollout = self._thinker.roll_out(group.context, anchors)
        with _timed(group.rows, "embed_ms"):
            items = [row.item for row in group.rows]
            vectors = self._vectors(self._thinker.read_out(context, items))
        self._finish(group.rows, vectors, rollout)

    def _read_out_written(self) -> None:
        written, self._written = _merged(self._written), []
        self._read_out(written)

    def _read_out(self, group: _Group) -> None:
        """Embed rows whose thoughts are done."""
        if len(group.rows) > self._most_items or not _fits(lambda: self._read_out_all(group)):
            if len(group.rows) == 1:
                raise ItemError(group.rows[0].item.name, "no memory to read its thought out")
            for half in group.split(len(group.rows) // 2):
                self._read_out(half)

    def _read_out_all(self, group: _Group) -> None:
        drafts = [row.draft for row in group.rows if row.draft]
        context: Context | None = None
        if self._thinker.config.interface == "kv":
            with _timed(group.rows, "think_ms"):
                unread = [self._writer.unread(draft) for draft in drafts]
                context, _ = self._thinker.extend(group.context, unread)
        with _timed(group.rows, "embed_ms"):
            items, thoughts = [row.item for row in group.rows], [draft.tokens for draft in drafts]
            vectors = self._vectors(self._thinker.read_out(context, items, thoughts))
        self._finish(group.rows, vectors)

    def _vectors(self, states: States) -> NDArray[np.float32]:
        vectors: NDArray[np.float32] = self._thinker.embed(states).cpu().numpy()
        return vectors

    def _finish(
        self, rows: Sequence[_Row], vectors: NDArray[np.float32], rollout: Rollout | None = None
    ) -> None:
        experts: list[list[list[int]]] = rollout.experts.tolist() if rollout else [[]] * len(rows)
        cosines: list[list[float]] = rollout.cosines.tolist() if rollout else [[]] * len(rows)
        for i, (row, vector) in enumerate(zip(rows, vectors, strict=True)):
            draft = row.draft
            trace = Trace(
                mode="latent" if rollout else "always" if draft else "never",
                gate=row.gate,
                thought=self._writer.text(draft) if draft else None,
                thought_ids=tuple(draft.tokens) if draft else (),
                closing_tokens=draft.closing if draft else 0,
                experts=tuple(map(tuple, experts[i])),
                cosines=tuple(cosines[i]),
                context_tokens=len(row.item),
                cut_tokens=row.item.cut_tokens,
                read_ms=row.read_ms,
                think_ms=row.think_ms,
                embed_ms=row.embed_ms,
            )
            self._results[row.number] = vector, trace

    def _takes_more(self) -> bool:
        """Tell whether rows may join those being written."""
        rows = len(self._writing.rows) if self._writing else 0
        return rows < self._most_items and self._taken() < REFILL * self._room

    def _taken(self, group: _Group | None = None) -> int:
        """Return the tokens that the rows being written may come to hold."""
        of = group or self._writing
        return sum(self._most(row) for row in of.rows) if of else 0

    def _most(self, row: _Row) -> int:
        return len(row.item) + self._writer.most_tokens

    def _fitting(self, group: _Group) -> int:
        """Return how many rows of a group there is room for, one at least if none is written."""
        left, count = self._room - self._taken(), 0
        places = self._most_items - (len(self._writing.rows) if self._writing else 0)
        for row in group.rows[:places]:
            left -= self._most(row)
            if left < 0:
                break
            count += 1
        return max(count, 1)


def _merged(groups: Sequence[_Group]) -> _Group:
    return _Group(
        [row for group in groups for row in group.rows], join([group.context for group in groups])
    )


def _fits(work: Callable[[], None]) -> bool:
    """Do work that may need more memory than there is; tell whether it was done."""
    try:
        work()
    except torch.OutOfMemoryError:
        pass
    except RuntimeError as error:  # what a CPU's allocator raises has no class of its own
        if "can't allocate memory" not in str(error):
            raise
    else:
        return True
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return False


@contextmanager
def _timed(rows: Sequence[_Row], phase: str) -> Iterator[None]:
    """Share out the time that some work on rows takes."""
    start = time.perf_counter()
    yield
    share = 1000 * (time.perf_counter() - start) / len(rows)
    for row in rows:
        setattr(row, phase, getattr(row, phase) + share)
