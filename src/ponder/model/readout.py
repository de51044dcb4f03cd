"""The read-out of the no-think pass: a context's hidden states become one embedding.

Three depths of the frozen language model are read at once: its input embeddings (which words, what
was seen), its middle (what they mean together) and its last layer. Each is averaged over the item's
own tokens, standardised, and an MLP makes the embedding.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class ReadOutConfig:
    """Shape of a read-out.

    Attributes:
        hidden_size: H, width of the backbone's hidden states.
        layers: which hidden states are read; 0 is the input embeddings, -1 the last layer.
        width: of the MLP's hidden layer.
        dim: D, dimensions of the embedding.
        matryoshka: prefixes of the embedding that are trained to work alone.
    """

    hidden_size: int
    layers: tuple[int, ...] = (0, 15, -1)
    width: int = 1024
    dim: int = 512
    matryoshka: tuple[int, ...] = (512, 256, 128, 64)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ReadOutConfig:
        """Make one of what `to_dict` returned."""
        lists = {key: tuple(values[key]) for key in ("layers", "matryoshka")}
        return cls(**(values | lists))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


class ReadOut(nn.Module):
    """Mean of several layers over the item's tokens, standardised, then an MLP."""

    def __init__(self, config: ReadOutConfig, dropout: float = 0.0) -> None:
        super().__init__()
        self.config = config
        inputs = len(config.layers) * config.hidden_size
        self.register_buffer("center", torch.zeros(inputs))
        self.register_buffer("scale", torch.ones(inputs))
        self.mlp = nn.Sequential(
            nn.LayerNorm(inputs),
            nn.Dropout(dropout),
            nn.Linear(inputs, config.width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(config.width, config.dim),
        )
        self.center: Tensor
        self.scale: Tensor

    @property
    def dim(self) -> int:
        """Dimensions of the embedding."""
        return self.config.dim

    def forward(self, pooled: Tensor) -> Tensor:
        """Map pooled states (B, layers * H), float32, to embeddings (B, D), not normalised."""
        embedding: Tensor = self.mlp((pooled - self.center) / self.scale)
        return embedding

    def standardise(self, pooled: Tensor) -> None:
        """Set centre and scale from a sample of pooled states (N, layers * H)."""
        self.center.copy_(pooled.mean(dim=0))
        self.scale.copy_(pooled.std(dim=0).clamp(min=1e-6))


def pool(states: list[Tensor], content: Tensor) -> Tensor:
    """Average each layer's states over an item's own tokens.

    Args:
        states: of each layer read, (B, T, H).
        content: (B, T), true on the item's own tokens, false on the template's and on padding. The
            template must be left out: a causal model's first token is an attention sink whose
            states are larger than all others by orders of magnitude.

    Returns:
        (B, layers * H) in float32.
    """
    weights = content.float() / content.sum(dim=1, keepdim=True).clamp(min=1)  # (B, T)
    return torch.cat([torch.einsum("bt,bth->bh", weights, s.float()) for s in states], dim=-1)
