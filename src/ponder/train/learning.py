"""What of a thinker learns, and how what it learnt is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ponder.model.adapters import ADAPTERS

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ponder.model.thinker import Thinker


def learning_parameters(thinker: Thinker) -> dict[str, list[nn.Parameter]]:
    """Let the parts of a thinker learn, in float32, and return them by name."""
    thinker.adapters.train(*ADAPTERS)
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
            parts[name] = list(module.float().train().requires_grad_(True).parameters())
    return parts


def set_up_attention(thinker: Thinker) -> None:
    """Choose the attention that is fast with gradients: on a CPU the fused one is slow on them."""
    if thinker.backbone.device.type == "cpu":
        thinker.backbone.model.set_attn_implementation("eager")


def embedding_prefixes(thinker: Thinker) -> tuple[int, ...]:
    """Return the prefixes of an embedding that learn to work alone, down to an eighth."""
    if thinker.readout is not None:
        return thinker.readout.config.matryoshka
    return tuple(thinker.dim // 2**i for i in range(4))


def found_first(rows: Tensor) -> float:
    """Return how often a query finds its own positive first; (2 B, D) unit rows, queries first."""
    queries, positives = rows.chunk(2)
    scores = queries @ positives.T
    first = scores.diagonal() >= scores.max(dim=1).values
    return float(first.float().mean())
