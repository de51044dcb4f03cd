"""The connector of `nano`: what a picture's regions hold becomes tokens of the language model.

The first token is of the whole picture, the others of its regions, row by row. Of each it takes the
mean of the vision tower's head, and means and maxima of the stages below (`ponder.model.vision`),
through one linear map, and adds what a thin layer makes of all regions together: a clock's hour
shows in no one region. Trained by a contrastive loss alone, anything deeper remembers the training
pictures and knows fewer new ones; that thin layer pays once tokens also learn to lie near words
(`ponder.train.words`). docs/log.md has the figures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from ponder.model.nano import NanoConfig


class Connector(nn.Module):
    """Maps regions to tokens; the head's features after LayerNorm, the others standardised.

    Of every region `config.together` values go into a layer that sees them all and adds to each
    token. With `config.loudness` a token is brought to that root mean square.
    """

    def __init__(self, config: NanoConfig, dropout: float = 0.0) -> None:
        super().__init__()
        hidden = config.text_config.hidden_size
        self.head_channels = config.head_channels
        self.loudness = config.loudness
        of_stages = config.region_features - config.head_channels
        self.norm = nn.LayerNorm(config.head_channels)
        self.register_buffer("center", torch.zeros(of_stages))
        self.register_buffer("scale", torch.ones(of_stages))
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(config.region_features, hidden)
        self.together: nn.Sequential | None = None
        if config.together:
            count, width = config.tokens_per_picture, config.together
            self.together = nn.Sequential(
                nn.Linear(config.region_features, width),
                nn.GELU(),
                nn.Flatten(),
                nn.Dropout(dropout),
                nn.Linear(count * width, count * hidden),
                nn.Unflatten(1, (count, hidden)),
            )
        self.center: Tensor
        self.scale: Tensor

    def forward(self, features: Tensor) -> Tensor:
        """Map what `ponder.model.vision.pool` returned, (B, K, F), to (B, K, text hidden)."""
        head, stages = features.tensor_split([self.head_channels], dim=-1)
        seen = torch.cat([self.norm(head), (stages - self.center) / self.scale], dim=-1)
        seen = self.dropout(seen)
        tokens: Tensor = self.output(seen)
        if self.together is not None:
            tokens = tokens + self.together(seen)
        if self.loudness:
            tokens = F.rms_norm(tokens, tokens.shape[-1:]) * self.loudness
        return tokens

    def standardise(self, features: Tensor) -> None:
        """Set centre and scale of the stages' features from a sample of pictures (N, K, F)."""
        stages = features[..., self.head_channels :].flatten(0, 1)
        self.center.copy_(stages.mean(dim=0))
        self.scale.copy_(stages.std(dim=0).clamp(min=1e-3))
