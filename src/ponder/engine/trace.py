"""What happened to one item on its way to a vector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ThinkMode = Literal["never", "always", "auto", "latent", "auto-latent"]
THINK_MODES: tuple[ThinkMode, ...] = ("never", "always", "auto", "latent", "auto-latent")
WRITTEN: tuple[ThinkMode, ...] = ("always", "auto")
GATED: tuple[ThinkMode, ...] = ("auto", "auto-latent")
LATENT: tuple[ThinkMode, ...] = ("latent", "auto-latent")


@dataclass(frozen=True)
class Trace:
    """What happened to one item.

    Times are an item's share of its batches: a batch's time divided by its rows.

    Attributes:
        mode: what became of it: `never` a thought, `always` a written one, or `latent` steps; what
            the gate decides is settled by then.
        gate: the gate's probability that a thought pays; None where it was not asked.
        thought: the thought with its tags; None without one.
        thought_ids: the tokens of the thought.
        closing_tokens: how many of them, at the end, were added to close it.
        experts: for each latent step the experts that took part, the likeliest first.
        cosines: between the states before and after each latent step.
        context_tokens: tokens of the item as the backbone read it.
        cut_tokens: tokens of the item's text that were left out, since it was longer than the model
            reads.
        read_ms: reading the item.
        think_ms: writing the thought, or taking the latent steps.
        embed_ms: reading out, the gate included.
    """

    mode: Literal["never", "always", "latent"]
    gate: float | None = None
    thought: str | None = None
    thought_ids: tuple[int, ...] = ()
    closing_tokens: int = 0
    experts: tuple[tuple[int, ...], ...] = ()
    cosines: tuple[float, ...] = ()
    context_tokens: int = 0
    cut_tokens: int = 0
    read_ms: float = 0.0
    think_ms: float = 0.0
    embed_ms: float = 0.0

    @property
    def thought_tokens(self) -> int:
        """Tokens of the thought, 0 without one."""
        return len(self.thought_ids)

    @property
    def latent_steps(self) -> int:
        """Latent steps, 0 without them."""
        return len(self.cosines)

    @property
    def milliseconds(self) -> float:
        """All of its times together."""
        return self.read_ms + self.think_ms + self.embed_ms

    @property
    def was_cut(self) -> bool:
        """Whether the thought was too long, or broke off, and was closed for it."""
        return self.closing_tokens > 0
