"""Batches by token budget from an endless stream, results in the caller's order."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

T = TypeVar("T")
R = TypeVar("R")


def ahead(make: Callable[[T], R], values: Iterable[T], depth: int) -> Iterator[R]:
    """Apply `make` to each value in a thread, up to `depth` values ahead of the consumer."""
    pending: deque[Future[R]] = deque()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="ponder-prepare") as pool:
        try:
            for value in values:
                pending.append(pool.submit(make, value))
                if len(pending) > depth:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def by_length(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Group positions into batches of similar length.

    Args:
        lengths: tokens of each item.
        budget: most tokens of one batch, padding included; an item longer than that is alone.

    Yields:
        Positions of one batch, the longest items first, so that running out of memory shows at
        the start.
    """
    batch: list[int] = []
    for position in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        # Sorted from the longest, the first item of a batch says how wide all its rows are.
        if batch and (len(batch) + 1) * lengths[batch[0]] > budget:
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
