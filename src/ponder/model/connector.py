"""The connector of `nano`: a picture's grid of features becomes a few tokens of the language model.

K - 1 learned queries read the grid by cross-attention (a resampler as in Flamingo, section 3.1.1).
The last token says in words what the tower's own classifier sees: the mean of the word embeddings
of the ImageNet classes, weighted by their probabilities. It gives the language model a thousand
concepts before anything is trained. Few tokens make every later step cheap: the language model
costs more per token than the tower.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from ponder.model.nano import NanoConfig


class Connector(nn.Module):
    """Cross-attention from queries to the grid, an MLP, and the token of the classes."""

    def __init__(self, config: NanoConfig) -> None:
        super().__init__()
        width, cells = config.connector_width, config.grid_side**2
        self.heads = config.connector_heads
        self.project = nn.Linear(config.vision_channels, width)
        self.position = nn.Parameter(torch.empty(cells, width))
        self.queries = nn.Parameter(torch.empty(config.tokens_per_picture - 1, width))
        self.grid_norm = nn.LayerNorm(width)
        self.query_norm = nn.LayerNorm(width)
        self.key_value = nn.Linear(width, 2 * width)
        self.query = nn.Linear(width, width)
        self.merge = nn.Linear(width, width)
        self.mlp_norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)
        self.output_norm = nn.LayerNorm(width)
        hidden = config.text_config.hidden_size
        self.output = nn.Linear(width, hidden)
        self.class_words = nn.Parameter(torch.empty(config.vision_classes, hidden))

    def forward(self, grid: Tensor, classes: Tensor) -> Tensor:
        """Return a picture's tokens.

        Args:
            grid: (B, channels, S, S), the tower's features.
            classes: (B, classes), the probabilities its classifier gives.

        Returns:
            (B, K, text hidden).
        """
        cells = self.project(grid.flatten(2).transpose(1, 2))  # (B, S*S, width)
        cells = self.grid_norm(cells + self.position)
        x = self.queries.expand(len(grid), -1, -1)  # (B, K, width)
        x = x + self._attend(self.query_norm(x), cells)
        x = x + self.contract(F.gelu(self.expand(self.mlp_norm(x))))
        seen = self.output(self.output_norm(x))  # (B, K - 1, hidden)
        named = (classes @ self.class_words).unsqueeze(1)  # (B, 1, hidden)
        return torch.cat([seen, named], dim=1)

    def _attend(self, x: Tensor, cells: Tensor) -> Tensor:
        key, value = self.key_value(cells).chunk(2, dim=-1)
        query, key, value = (
            t.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, heads, tokens, width/heads)
            for t in (self.query(x), key, value)
        )
        y = F.scaled_dot_product_attention(query, key, value)
        merged: Tensor = self.merge(y.transpose(1, 2).flatten(2))
        return merged
