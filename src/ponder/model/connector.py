"""The connector of `nano`: a picture's grid of features becomes a few tokens of the language model.

The first token is of the whole grid, the others of its regions, row by row. Of a region it takes
the mean of the head's channels, and the mean and the maximum of the last block's, through one
linear map. With a few thousand captioned pictures to learn from, anything deeper (attention over
the grid, an MLP) remembers the training pictures and knows fewer new ones; docs/log.md has the
figures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from ponder.model.nano import NanoConfig


class Connector(nn.Module):
    """A linear map of what the grid's regions hold."""

    def __init__(self, config: NanoConfig, dropout: float = 0.0) -> None:
        super().__init__()
        self.regions_side = config.regions_side
        self.head_channels = config.head_channels
        self.norm = nn.LayerNorm(config.head_channels)
        self.register_buffer("center", torch.zeros(2 * config.block_channels))
        self.register_buffer("scale", torch.ones(2 * config.block_channels))
        self.dropout = nn.Dropout(dropout)
        inputs = config.head_channels + 2 * config.block_channels
        self.output = nn.Linear(inputs, config.text_config.hidden_size)
        self.center: Tensor
        self.scale: Tensor

    def forward(self, grid: Tensor) -> Tensor:
        """Map (B, head + block channels, S, S) to (B, 1 + regions, text hidden)."""
        head, block = self._regions(grid)
        seen = torch.cat([self.norm(head), (block - self.center) / self.scale], dim=-1)
        tokens: Tensor = self.output(self.dropout(seen))
        return tokens

    def standardise(self, grid: Tensor) -> None:
        """Set centre and scale of the last block's features from a sample of grids (N, ...)."""
        _, block = self._regions(grid)
        self.center.copy_(block.mean(dim=(0, 1)))
        self.scale.copy_(block.flatten(0, 1).std(dim=0).clamp(min=1e-3))

    def _regions(self, grid: Tensor) -> tuple[Tensor, Tensor]:
        """Return (B, 1 + regions, head channels) and (B, 1 + regions, 2 * block channels)."""
        heads, blocks = [], []
        for side in (1, self.regions_side):
            head, block = F.adaptive_avg_pool2d(grid, side).split(
                [self.head_channels, grid.shape[1] - self.head_channels], dim=1
            )
            most = F.adaptive_max_pool2d(grid[:, self.head_channels :], side)
            heads.append(head.flatten(2).transpose(1, 2))
            blocks.append(torch.cat([block, most], dim=1).flatten(2).transpose(1, 2))
        return torch.cat(heads, dim=1), torch.cat(blocks, dim=1)
