"""Contrastive losses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


def info_nce(a: Tensor, b: Tensor, group: Tensor, temperature: float) -> Tensor:
    """Return the symmetric InfoNCE of paired rows (van den Oord et al. 2018, equation 4).

    Args:
        a: (B, D), normalised here.
        b: (B, D), its row i belongs to row i of `a`.
        group: (B,) rows of one group are not each other's negatives: they may be as right as the
            positive itself.
        temperature: divides the cosines.
    """
    logits = F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T / temperature  # (B, B)
    alike = group[:, None] == group[None, :]
    alike.fill_diagonal_(False)
    logits = logits.masked_fill(alike, -torch.inf)
    target = torch.arange(len(a), device=a.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def matryoshka(
    a: Tensor, b: Tensor, group: Tensor, temperature: float, dims: Sequence[int]
) -> Tensor:
    """Average InfoNCE over prefixes of the embedding (Kusupati et al. 2022, equation 1).

    Arguments as in `info_nce`; `dims` are the prefixes' lengths.
    """
    losses = [info_nce(a[:, :dim], b[:, :dim], group, temperature) for dim in dims]
    return torch.stack(losses).mean()
