"""Keys and values that grow in place.

transformers' own dynamic cache copies all it holds for every token it takes, which for many rows
costs as much as the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicLayer

if TYPE_CHECKING:
    from collections.abc import Sequence

SPARE = 64  # columns kept free for what comes next


@dataclass
class _Room:
    """Memory of (B, heads, columns, width) for keys and as much for values.

    Attributes:
        used: columns that some cache counts on; only one that ends there may write behind it.
    """

    keys: Tensor
    values: Tensor
    used: int

    @classmethod
    def make(cls, keys: Tensor, values: Tensor, used: int) -> _Room:
        """Return a room with spare columns, empty, for tensors shaped like these."""
        *outer, _, width = keys.shape
        columns = used + SPARE
        return cls(
            keys.new_zeros(*outer, columns, width),
            values.new_zeros(*outer, columns, values.shape[-1]),
            used,
        )


class GrowingLayer(DynamicLayer):  # type: ignore[misc]
    """One layer's keys and values (B, heads, T, width).

    A layer made by `fork` shares the memory of the one it came from and may be grown without
    changing it. Where gradients are wanted everything is copied, as autograd needs.
    """

    keys: Tensor
    values: Tensor

    def __init__(self) -> None:
        super().__init__()
        self._room: _Room | None = None
        self._is_passing = False

    def fork(self, is_passing: bool = False) -> GrowingLayer:
        """Return a layer that goes on from here; a passing one is grown once and thrown away."""
        other = GrowingLayer()
        other.keys, other.values = self.keys, self.values
        other.dtype, other.device = self.dtype, self.device
        other.is_initialized = True
        other._room, other._is_passing = self._room, is_passing
        return other

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Add columns (B, heads, t, width); return all keys and values."""
        if torch.is_grad_enabled():
            self._room = None
            grown: tuple[Tensor, Tensor] = super().update(key_states, value_states)
            return grown
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start = self.get_seq_length()
        stop = start + key_states.shape[2]
        room = self._room
        if room is None or room.used != start or stop > room.keys.shape[2]:
            room = _Room.make(key_states, value_states, stop)
            if start:
                room.keys[:, :, :start], room.values[:, :, :start] = self.keys, self.values
        room.keys[:, :, start:stop], room.values[:, :, start:stop] = key_states, value_states
        if not self._is_passing:
            room.used = stop
        self._room = room
        self.keys, self.values = room.keys[:, :, :stop], room.values[:, :, :stop]
        return self.keys, self.values

    def select(self, index: Tensor, first: int) -> GrowingLayer:
        """Return the rows of an index (R,), from a column on."""
        return _stack([(self.keys[index, :, first:], self.values[index, :, first:])])

    def detach(self) -> GrowingLayer:
        """Return the same layer, through which no gradient flows back."""
        other = self.fork()
        other.keys, other.values = self.keys.detach(), self.values.detach()
        return other

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat each row; what is shared is copied, since each copy goes its own way."""
        super().batch_repeat_interleave(repeats)
        self._room = None


def join_layers(layers: Sequence[GrowingLayer]) -> GrowingLayer:
    """Put layers under one another; they end at the same column."""
    return _stack([(layer.keys, layer.values) for layer in layers])


def _stack(parts: Sequence[tuple[Tensor, Tensor]]) -> GrowingLayer:
    longest = max(keys.shape[2] for keys, _ in parts)
    rows = sum(len(keys) for keys, _ in parts)
    keys, values = parts[0]
    room = _Room.make(
        keys[:1].expand(rows, -1, -1, -1), values[:1].expand(rows, -1, -1, -1), longest
    )
    at = 0
    for keys, values in parts:
        start = longest - keys.shape[2]
        room.keys[at : at + len(keys), :, start:longest] = keys
        room.values[at : at + len(keys), :, start:longest] = values
        at += len(keys)
    layer = GrowingLayer()
    layer.lazy_initialization(keys, values)
    layer._room = room
    layer.keys, layer.values = room.keys[:, :, :longest], room.values[:, :, :longest]
    return layer
