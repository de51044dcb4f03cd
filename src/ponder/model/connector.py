"""The connector of `nano`: what a picture's regions hold becomes tokens of the language model.

The first token is of the whole picture, the others of its regions, row by row. Of each it takes the
mean of the vision tower's head, and means and maxima of the stages below (`ponder.model.vision`),
through one linear map. With a few thousand captioned pictures to learn from, anything deeper
(attention over the grid, an MLP) remembers the training pictures and knows fewer new ones;
docs/log.md has the figures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from ponder.model.nano import NanoConfig


class Connector(nn.Module):
    """A linear map of a region's features, the head's after LayerNorm, the rest standardised."""

    def __init__(self, config: NanoConfig, dropout: float = 0.0) -> None:
        super().__init__()
        self.head_channels = config.head_channels
        of_stages = config.region_features - config.head_channels
        self.norm = nn.LayerNorm(config.head_channels)
        self.register_buffer("center", torch.zeros(of_stages))
        self.register_buffer("scale", torch.ones(of_stages))
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(config.region_features, config.text_config.hidden_size)
        self.center: Tensor
        self.scale: Tensor

    def forward(self, features: Tensor) -> Tensor:
        """Map what `ponder.model.vision.pool` returned, (B, K, F), to (B, K, text hidden)."""
        head, stages = features.tensor_split([self.head_channels], dim=-1)
        seen = torch.cat([self.norm(head), (stages - self.center) / self.scale], dim=-1)
        tokens: Tensor = self.output(self.dropout(seen))
        return tokens

    def standardise(self, features: Tensor) -> None:
        """Set centre and scale of the stages' features from a sample of pictures (N, K, F)."""
        stages = features[..., self.head_channels :].flatten(0, 1)
        self.center.copy_(stages.mean(dim=0))
        self.scale.copy_(stages.std(dim=0).clamp(min=1e-3))
