"""What bounds the memory of a run, and the batches that fit into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ponder.engine.batching import by_length, windows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ponder.model.backbone import Prepared

WINDOW_BATCHES = 8  # batches' worth of items among which lengths are matched
WINDOW_ITEMS = 512  # at most; the next window is prepared while one is in the model


@dataclass(frozen=True)
class Budget:
    """What bounds the memory.

    Attributes:
        batch_tokens: most tokens of one batch being read, padding included; a longer item is alone.
        context_tokens: most tokens whose keys and values thoughts being written may come to hold.
    """

    batch_tokens: int
    context_tokens: int

    def batches(self, items: Iterable[Prepared]) -> Iterator[list[tuple[int, Prepared]]]:
        """Yield batches of numbered items of similar length from an endless stream."""
        limit = WINDOW_BATCHES * self.batch_tokens
        least = limit // WINDOW_ITEMS
        for window in windows(enumerate(items), lambda pair: max(least, len(pair[1])), limit):
            for batch in by_length([len(item) for _, item in window], self.batch_tokens):
                yield [window[i] for i in batch]
