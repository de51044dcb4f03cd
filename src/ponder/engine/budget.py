"""What bounds the memory of a run, and the batches that fit into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ponder.engine.batching import by_length, windows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import torch

    from ponder.model.backbone import Prepared

WINDOW_BATCHES = 8  # batches' worth of items among which lengths are matched
WINDOW_ITEMS = 512  # at most; the next window is prepared while one is in the model


@dataclass(frozen=True)
class Budget:
    """What bounds the memory.

    Attributes:
        batch_tokens: most tokens of one batch being read, padding included; a longer item is alone.
        context_tokens: most tokens whose keys and values thoughts being written may come to hold;
            rows that wait for latent steps take them together at so many.
        most_items: most items that the model runs together; None for as many as the tokens allow.
    """

    batch_tokens: int
    context_tokens: int
    most_items: int | None = None

    @classmethod
    def of(cls, device: torch.device) -> Budget:
        """Return what suits a device.

        Enough tokens a batch to fill its matrix units, no more on a CPU, which slows down once a
        layer's activations leave its cache; and rows enough of thoughts to share each step's
        weights.
        """
        if device.type == "cpu":
            return cls(batch_tokens=2048, context_tokens=16384)
        return cls(batch_tokens=32768, context_tokens=131072)

    def batches(self, items: Iterable[Prepared]) -> Iterator[list[tuple[int, Prepared]]]:
        """Yield batches of numbered items of similar length from an endless stream."""
        limit = WINDOW_BATCHES * self.batch_tokens
        least = limit // WINDOW_ITEMS
        for window in windows(enumerate(items), lambda pair: max(least, len(pair[1])), limit):
            lengths = [len(item) for _, item in window]
            for batch in by_length(lengths, self.batch_tokens, self.most_items):
                yield [window[i] for i in batch]
