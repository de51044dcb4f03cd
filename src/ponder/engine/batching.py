"""Batches by token budget from an endless stream, results in the caller's order."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from queue import Full, Queue
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

T = TypeVar("T")
R = TypeVar("R")

# A batch that fills this much of its budget ends where an item's length falls below this share of
# the longest: a smaller batch costs less than the padding.
ENOUGH = 0.2
ALIKE = 0.85


@dataclass(frozen=True)
class _End:
    """Behind the last result: there are no more, because of `error` if there is one."""

    error: BaseException | None = None


def ahead(make: Callable[[T], R], values: Iterable[T], depth: int) -> Iterator[R]:
    """Pull values and apply `make` in a thread, at most `depth` results ahead of the consumer.

    What pulling or `make` raises is raised to the consumer in its turn.
    """
    results: Queue[R | _End] = Queue(maxsize=depth)
    is_wanted = threading.Event()
    is_wanted.set()

    def put(result: R | _End) -> None:
        while is_wanted.is_set():
            try:
                return results.put(result, timeout=0.1)
            except Full:
                continue

    def run() -> None:
        end = _End()
        try:
            for value in values:
                if not is_wanted.is_set():
                    return
                put(make(value))
        except BaseException as error:  # handed over: this thread has nobody to tell
            end = _End(error)
        put(end)

    thread = threading.Thread(target=run, name="ponder-prepare", daemon=True)
    thread.start()
    try:
        while not isinstance(result := results.get(), _End):
            yield result
        if result.error is not None:
            raise result.error
    finally:
        is_wanted.clear()
        thread.join()


def by_length(lengths: Sequence[int], budget: int, most: int | None = None) -> Iterator[list[int]]:
    """Group positions into batches of similar length.

    Args:
        lengths: tokens of each item.
        budget: most tokens of one batch, padding included; an item longer than that is alone.
        most: most items of one batch; None for as many as the tokens allow.

    Yields:
        Positions of one batch, the longest items first, so that running out of memory shows at
        the start.
    """
    batch: list[int] = []
    for position in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        # Sorted from the longest, the first item of a batch says how wide all its rows are.
        if batch:
            width = lengths[batch[0]]
            is_full = (len(batch) + 1) * width > budget or len(batch) == most
            is_enough = len(batch) * width >= ENOUGH * budget
            if is_full or (is_enough and lengths[position] < ALIKE * width):
                yield batch
                batch = []
        batch.append(position)
    if batch:
        yield batch


def windows(values: Iterable[T], size: Callable[[T], int], limit: int) -> Iterator[list[T]]:
    """Cut a stream into lists whose sizes add up to about `limit`, so that memory is bounded."""
    window: list[T] = []
    total = 0
    for value in values:
        window.append(value)
        total += size(value)
        if total >= limit:
            yield window
            window, total = [], 0
    if window:
        yield window
