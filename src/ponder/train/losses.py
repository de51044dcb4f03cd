"""Contrastive losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


@dataclass(frozen=True)
class Others:
    """Hard negatives: rows of the same side as `b` that belong to no row of `a`.

    Attributes:
        rows: (M, D).
        group: (M,) numbered as the pairs are; below 0 for rows that only fill up.
    """

    rows: Tensor
    group: Tensor


def info_nce(
    a: Tensor, b: Tensor, group: Tensor, temperature: float, others: Others | None = None
) -> Tensor:
    """Return the symmetric InfoNCE of paired rows (van den Oord et al. 2018, equation 4).

    Args:
        a: (B, D), normalised here.
        b: (B, D), its row i belongs to row i of `a`.
        group: (B,) rows of one group are not each other's negatives: they may be as right as the
            positive itself.
        temperature: divides the cosines.
        others: more that is wrong for `a`.
    """
    a, b = F.normalize(a, dim=-1), F.normalize(b, dim=-1)
    logits = a @ b.T / temperature  # (B, B)
    alike = group[:, None] == group[None, :]
    alike.fill_diagonal_(False)
    logits = logits.masked_fill(alike, -torch.inf)
    target = torch.arange(len(a), device=a.device)
    forth = logits
    if others is not None:
        more = a @ F.normalize(others.rows, dim=-1).T / temperature  # (B, M)
        alike = (group[:, None] == others.group) | (others.group < 0)
        forth = torch.cat([logits, more.masked_fill(alike, -torch.inf)], dim=1)
    return (F.cross_entropy(forth, target) + F.cross_entropy(logits.T, target)) / 2


def matryoshka(
    a: Tensor,
    b: Tensor,
    group: Tensor,
    temperature: float,
    dims: Sequence[int],
    others: Others | None = None,
) -> Tensor:
    """Average InfoNCE over prefixes of the embedding (Kusupati et al. 2022, equation 1).

    Arguments as in `info_nce`; `dims` are the prefixes' lengths.
    """

    def prefix(dim: int) -> Tensor:
        shorter = others and Others(others.rows[:, :dim], others.group)
        return info_nce(a[:, :dim], b[:, :dim], group, temperature, shorter)

    return torch.stack([prefix(dim) for dim in dims]).mean()
