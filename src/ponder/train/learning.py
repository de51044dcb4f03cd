"""What of a thinker learns, and how what it learnt is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ponder.model.adapters import ADAPTERS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from torch import Tensor, nn

    from ponder.model.thinker import Thinker
    from ponder.train.joint import PairBatch
    from ponder.train.task_pairs import TaskPairs

LOOKED_AT = 24  # items of each task that are measured on dev
PARTS = (*ADAPTERS, "queries", "readout", "latent")


def learning_parameters(
    thinker: Thinker, names: Collection[str] = PARTS
) -> dict[str, list[nn.Parameter]]:
    """Let some parts of a thinker learn and no others; return those it has, by name, in float32."""
    thinker.adapters.train(*(name for name in ADAPTERS if name in names))
    parts: dict[str, list[nn.Parameter]] = {
        name: thinker.adapters.parameters(name) for name in ADAPTERS
    }
    for part in parts.values():
        for parameter in part:
            parameter.data = parameter.data.float()
    modules: dict[str, nn.Module | None] = {
        "queries": thinker.queries,
        "readout": thinker.readout,
        "latent": thinker.latent,
    }
    for name, module in modules.items():
        if module is not None:
            parts[name] = list(module.float().requires_grad_(name in names).parameters())
    return {name: part for name, part in parts.items() if name in names}


def set_up_attention(thinker: Thinker) -> None:
    """Choose the attention that is fast with gradients: on a CPU the fused one is slow on them."""
    if thinker.backbone.device.type == "cpu":
        thinker.backbone.model.set_attn_implementation("eager")


def embedding_prefixes(thinker: Thinker) -> tuple[int, ...]:
    """Return the prefixes of an embedding that learn to work alone, down to an eighth."""
    if thinker.readout is not None:
        return thinker.readout.config.matryoshka
    return tuple(thinker.dim // 2**i for i in range(4))


@torch.no_grad()
def look_at(
    dev: Sequence[TaskPairs], embed: Callable[[PairBatch], dict[str, Tensor]]
) -> dict[str, float]:
    """Return how often a dev query finds its own positive first among a batch, on average.

    Args:
        dev: tasks that are not learnt from.
        embed: returns, for each way of embedding, unit rows (2 B, D) of a batch, queries first.
    """
    found: dict[str, list[float]] = {}
    for task in dev:
        for name, rows in embed(task.draw(LOOKED_AT, 0.0, seed=0)).items():
            queries, positives = rows.chunk(2)
            scores = queries @ positives.T
            first = scores.diagonal() >= scores.max(dim=1).values
            found.setdefault(name, []).append(float(first.float().mean()))
    return {name: sum(shares) / len(shares) for name, shares in found.items()}
