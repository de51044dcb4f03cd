"""What a backbone remembers of a batch of rows it has read: the *context* thoughts continue."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import Cache
from transformers.cache_utils import DynamicLayer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ponder.model.tally import Tally


@dataclass(frozen=True)
class Context:
    """The KV cache of B rows and where each goes on.

    Rows end at the same column; a shorter one has columns it does not use, which `mask` leaves out.

    Attributes:
        keys: for each layer (B, heads, T, width).
        values: for each layer (B, heads, T, width).
        mask: (B, T), True where a column holds a token of the row.
        position: (B,), the position of the row's next token, on every axis.
        last: (B, H), the last layer's state of the row's last token.
        tally: sums over the row's own tokens, for a read-out that wants them.
    """

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
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

    def cache(self) -> Cache:
        """Return the keys and values as transformers takes them; running it changes not this."""
        cache = Cache(layers=[DynamicLayer() for _ in self.keys])
        for layer, keys, values in zip(cache.layers, self.keys, self.values, strict=True):
            layer.update(keys, values)
        return cache

    def select(self, rows: Sequence[int]) -> Context:
        """Return the context of some rows, in the order given, without columns none uses."""
        index = torch.tensor(rows, dtype=torch.long, device=self.mask.device)
        mask = self.mask[index]
        used = mask.any(dim=0)
        first = int(used.int().argmax()) if len(rows) else 0
        return Context(
            tuple(part[index, :, first:] for part in self.keys),
            tuple(part[index, :, first:] for part in self.values),
            mask[:, first:],
            self.position[index],
            self.last[index],
            self.tally.select(index) if self.tally else None,
        )

    def detach(self) -> Context:
        """Return the same context, through which no gradient flows back."""
        return replace(
            self,
            keys=tuple(part.detach() for part in self.keys),
            values=tuple(part.detach() for part in self.values),
            last=self.last.detach(),
            tally=self.tally.detach() if self.tally else None,
        )


def join(contexts: Sequence[Context]) -> Context:
    """Put contexts under one another."""
    if len(contexts) == 1:
        return contexts[0]
    longest = max(context.columns for context in contexts)

    def stack(parts: Sequence[Tensor]) -> Tensor:
        # Missing columns go in front: (heads, T, width) is padded on the left of T.
        return torch.cat([F.pad(part, (0, 0, longest - part.shape[2], 0)) for part in parts])

    by_layer = range(len(contexts[0].keys))
    tallies = [context.tally for context in contexts if context.tally is not None]
    return Context(
        tuple(stack([context.keys[i] for context in contexts]) for i in by_layer),
        tuple(stack([context.values[i] for context in contexts]) for i in by_layer),
        torch.cat([F.pad(context.mask, (longest - context.columns, 0)) for context in contexts]),
        torch.cat([context.position for context in contexts]),
        torch.cat([context.last for context in contexts]),
        type(tallies[0]).join(tallies) if tallies else None,
    )
