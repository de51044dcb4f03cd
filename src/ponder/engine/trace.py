"""What happened to one item on its way to a vector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ThinkMode = Literal["never", "always", "auto"]
THINK_MODES: tuple[ThinkMode, ...] = ("never", "always", "auto")


@dataclass(frozen=True)
class Trace:
    """What happened to one item.

    Times are an item's share of its batches: a batch's time divided by its rows.

    Attributes:
        mode: what became of it: `never` or `always` a thought; `auto` is settled by then.
        gate: the gate's probability that a thought pays; None where it was not asked.
        thought: the thought with its tags; None without one.
        thought_ids: the tokens of the thought.
        closing_tokens: how many of them, at the end, were added to close it.
        context_tokens: tokens of the item as the backbone read it.
        read_ms: reading the item.
        think_ms: writing the thought.
        embed_ms: reading out, the gate included.
    """

    mode: Literal["never", "always"]
    gate: float | None = None
    thought: str | None = None
    thought_ids: tuple[int, ...] = ()
    closing_tokens: int = 0
    context_tokens: int = 0
    read_ms: float = 0.0
    think_ms: float = 0.0
    embed_ms: float = 0.0

    @property
    def thought_tokens(self) -> int:
        """Tokens of the thought, 0 without one."""
        return len(self.thought_ids)

    @property
    def was_cut(self) -> bool:
        """Whether the thought was too long, or broke off, and was closed for it."""
        return self.closing_tokens > 0
