"""The gap: how much nearer an embedding is to what is right than to what is not.

One routine labels the gate and rewards the writing of thoughts.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def gap(
    embeddings: Tensor, positives: Tensor, negatives: Tensor, alike: Tensor, temperature: float
) -> Tensor:
    """Return cos(e, positive) - soft maximum of cos(e, negative), (B,).

    The soft maximum is `temperature * log mean exp(cos / temperature)`: the mean of the negatives
    for a high temperature, their largest for a low one.

    Args:
        embeddings: (B, D) unit rows.
        positives: (B, D) unit rows.
        negatives: (M, D) unit rows, a queue shared by all.
        alike: (B, M), True where a negative is as right as the positive and does not count.
        temperature: of the soft maximum.
    """
    cosines = embeddings @ negatives.T / temperature  # (B, M)
    counted = (~alike).sum(dim=1).clamp(min=1).float().log()
    highest = torch.logsumexp(cosines.masked_fill(alike, -math.inf), dim=1) - counted
    return (embeddings * positives).sum(dim=1) - temperature * highest
