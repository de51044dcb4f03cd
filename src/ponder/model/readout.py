"""The read-out of the no-think pass: a context's hidden states become one embedding.

Text is read at three depths of the frozen language model at once: its input embeddings (which
words), its middle (what they mean together) and its last layer. Picture tokens are read where they
enter, since the frozen layers never learnt to carry what they say. Each is averaged over the item's
own tokens of its kind, mapped to one width and averaged, and one layer makes the embedding.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class ReadOutConfig:
    """Shape of a read-out.

    Attributes:
        hidden_size: H, width of the backbone's hidden states.
        layers: hidden states read at text tokens; 0 is the input embeddings, -1 the last layer.
        width: of what both kinds are mapped to.
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


@dataclass(frozen=True)
class Pooled:
    """What a read-out reads of a batch of B items, in float32.

    Attributes:
        text: (B, layers * H), each layer's mean over the item's text tokens.
        picture: (B, H), the mean of its picture tokens.
        has_text: (B, 1), 1 where the item has text, else 0.
        has_picture: (B, 1), likewise for pictures.
    """

    text: Tensor
    picture: Tensor
    has_text: Tensor
    has_picture: Tensor


class ReadOut(nn.Module):
    """Two linear maps into one width, averaged, and one layer out of it."""

    def __init__(self, config: ReadOutConfig, dropout: float = 0.0) -> None:
        super().__init__()
        self.config = config
        inputs = len(config.layers) * config.hidden_size
        self.register_buffer("center", torch.zeros(inputs))
        self.register_buffer("scale", torch.ones(inputs))
        self.from_text = nn.Sequential(
            nn.LayerNorm(inputs), nn.Dropout(dropout), nn.Linear(inputs, config.width)
        )
        self.from_picture = nn.Linear(config.hidden_size, config.width)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(config.width, config.dim)
        self.center: Tensor
        self.scale: Tensor

    @property
    def dim(self) -> int:
        """Dimensions of the embedding."""
        return self.config.dim

    def forward(self, pooled: Pooled) -> Tensor:
        """Return embeddings (B, D), not normalised; an item of both kinds is their mean."""
        text = self.from_text((pooled.text - self.center) / self.scale) * pooled.has_text
        picture = self.from_picture(pooled.picture) * pooled.has_picture
        kinds = (pooled.has_text + pooled.has_picture).clamp(min=1)
        embedding: Tensor = self.output(self.dropout(F.gelu((text + picture) / kinds)))
        return embedding

    def standardise(self, text: Tensor) -> None:
        """Set centre and scale from a sample of text means (N, layers * H)."""
        self.center.copy_(text.mean(dim=0))
        self.scale.copy_(text.std(dim=0).clamp(min=1e-6))
