"""Sums over an item's own tokens, kept as the backbone reads them, for a read-out of means."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ponder.model.readout import Pooled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True)
class Tally:
    """Sums of B rows, in float32.

    Attributes:
        text: (B, layers * H), each layer's sum over text tokens, those of a thought included.
        texts: (B, 1), how many.
        picture: (B, H), the sum of the picture tokens where they enter.
        pictures: (B, 1), how many.
    """

    text: Tensor
    texts: Tensor
    picture: Tensor
    pictures: Tensor

    @classmethod
    def count(
        cls, states: Sequence[Tensor], entering: Tensor, text: Tensor, picture: Tensor
    ) -> Tally:
        """Sum the states of some tokens.

        Args:
            states: (B, T, H) of each layer the read-out reads.
            entering: (B, T, H), the input embeddings.
            text: (B, T), which tokens are text of the item's own.
            picture: (B, T), which stand for pictures.
        """
        texts, pictures = text.float(), picture.float()
        return cls(
            torch.cat([torch.einsum("bt,bth->bh", texts, part.float()) for part in states], dim=-1),
            texts.sum(dim=1, keepdim=True),
            torch.einsum("bt,bth->bh", pictures, entering.float()),
            pictures.sum(dim=1, keepdim=True),
        )

    def pooled(self) -> Pooled:
        """Return the means, zero where an item has nothing of a kind."""
        return Pooled(
            self.text / self.texts.clamp(min=1),
            self.picture / self.pictures.clamp(min=1),
            (self.texts > 0).float(),
            (self.pictures > 0).float(),
        )

    def add(self, other: Tally) -> Tally:
        """Return the sums of both, row by row."""
        pairs = [(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)]
        return Tally(*(a + b for a, b in pairs))

    def select(self, index: Tensor) -> Tally:
        """Return the rows of an index (R,)."""
        return self._each(lambda part: part[index])

    def detach(self) -> Tally:
        """Return the same sums, through which no gradient flows back."""
        return self._each(Tensor.detach)

    @classmethod
    def join(cls, tallies: Sequence[Tally]) -> Tally:
        """Put tallies under one another."""
        return cls(*(torch.cat([getattr(one, f.name) for one in tallies]) for f in fields(cls)))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Tally:
        return Tally(*(change(getattr(self, f.name)) for f in fields(self)))
