"""The learnable queries that read a context and give the embedding."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Queries(nn.Module):
    """The N learnable query vectors, and a map of their mean to another read-out's space.

    Args:
        count: N.
        hidden_size: H, width of the backbone's states.
        dim: of the space they are mapped to; None where their mean is the embedding.
    """

    def __init__(self, count: int, hidden_size: int, dim: int | None = None) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.zeros(count, hidden_size))
        self.projection = nn.Linear(hidden_size, dim, bias=False) if dim else None

    def start(self, embeddings: Tensor) -> None:
        """Draw the vectors as spread as token embeddings (V, H); let the map start at zero."""
        with torch.no_grad():
            drawn = torch.randn(self.vectors.shape)
            self.vectors.copy_(drawn.to(self.vectors) * embeddings.float().std())
            if self.projection is not None:
                self.projection.weight.zero_()
