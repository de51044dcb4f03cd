"""What a backbone remembers of a batch of rows it has read: the *context* thoughts continue."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import Cache

from ponder.model.cache import GrowingLayer, join_layers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ponder.model.tally import Tally


@dataclass(frozen=True)
class Context:
    """The KV cache of B rows and where each goes on.

    Rows end at the same column; a shorter one has columns it does not use, which `mask` leaves out.

    Attributes:
        layers: the keys and values of each.
        mask: (B, T), True where a column holds a token of the row.
        position: (B,), the position of the row's next token, on every axis.
        last: (B, H), the last layer's state of the row's last token.
        tally: sums over the row's own tokens, for a read-out that wants them.
    """

    layers: tuple[GrowingLayer, ...]
    mask: Tensor
    position: Tensor
    last: Tensor
    tally: Tally | None = None

    def __len__(self) -> int:
        return len(self.position)

    @property
    def columns(self) -> int:
        """T, the columns of the cache."""
        return self.mask.shape[1]

    def cache(self, is_passing: bool = False) -> Cache:
        """Return the layers as transformers takes them; running them does not change this context.

        Args:
            is_passing: whether the longer cache is thrown away afterwards.
        """
        return Cache(layers=[layer.fork(is_passing) for layer in self.layers])

    def select(self, rows: Sequence[int]) -> Context:
        """Return the context of some rows, in the order given, without columns none uses."""
        index = torch.tensor(rows, dtype=torch.long, device=self.mask.device)
        mask = self.mask[index]
        used = mask.any(dim=0)
        first = int(used.int().argmax()) if len(rows) else 0
        return Context(
            tuple(layer.select(index, first) for layer in self.layers),
            mask[:, first:],
            self.position[index],
            self.last[index],
            self.tally.select(index) if self.tally else None,
        )

    def detach(self) -> Context:
        """Return the same context, through which no gradient flows back."""
        return replace(
            self,
            layers=tuple(layer.detach() for layer in self.layers),
            last=self.last.detach(),
            tally=self.tally.detach() if self.tally else None,
        )


def join(contexts: Sequence[Context]) -> Context:
    """Put contexts under one another."""
    if len(contexts) == 1:
        return contexts[0]
    longest = max(context.columns for context in contexts)
    tallies = [context.tally for context in contexts if context.tally is not None]
    return Context(
        tuple(map(join_layers, zip(*(context.layers for context in contexts), strict=True))),
        torch.cat([F.pad(context.mask, (longest - context.columns, 0)) for context in contexts]),
        torch.cat([context.position for context in contexts]),
        torch.cat([context.last for context in contexts]),
        type(tallies[0]).join(tallies) if tallies else None,
    )
