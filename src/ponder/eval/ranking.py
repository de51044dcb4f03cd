"""Exact ranking of many queries among many candidates in bounded memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from ponder.model.saved import fastest_dtype

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

QUERIES = 2048  # scored at once,
CANDIDATES = 32_768  # against so many: 256 MiB in float32
# How far the product of two unit vectors may be off: each factor and the result are rounded to 8
# bits in bfloat16; in float32 only the order of the sum differs.
ERROR = {torch.bfloat16: 2**-8 + 2**-9 + 2**-12, torch.float32: 1e-5}


def shortlists(
    queries: NDArray[np.float32], candidates: NDArray[np.float32], k: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Yield for each query every candidate that is no worse than its k-th best, ties included.

    Candidates are sifted in the precision the machine multiplies fastest; those that may be among
    the best by its worst error are scored again in float32. So nothing is lost, and no more than a
    block of scores is kept.

    Args:
        queries: (Q, D) unit rows.
        candidates: (C, D) unit rows.
        k: at least 1.

    Yields:
        Positions of candidates, ascending, and their scores.
    """
    dtype = fastest_dtype(torch.device("cpu"))
    sifted = torch.from_numpy(candidates).to(dtype)
    for start in range(0, len(queries), QUERIES):
        block = queries[start : start + QUERIES]
        rows, columns = _sift(torch.from_numpy(block).to(dtype), sifted, min(k, len(candidates)))
        ends = np.searchsorted(rows, np.arange(len(block) + 1))
        for i, query in enumerate(block):
            positions = columns[ends[i] : ends[i + 1]]
            scores = candidates[positions] @ query
            least = np.partition(scores, -min(k, len(scores)))[-min(k, len(scores))]
            kept = scores >= least
            yield positions[kept], scores[kept]


def _sift(
    queries: Tensor, candidates: Tensor, k: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return all pairs that may be among a query's k best, in order, as rows and columns."""
    margin = 2 * ERROR[queries.dtype]
    best = torch.full((len(queries), k), -torch.inf)
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    for start in range(0, len(candidates), CANDIDATES):
        scores = queries @ candidates[start : start + CANDIDATES].T
        if not start:
            best = scores.float().topk(min(k, scores.shape[1]), dim=1).values
        # Compared in the scores' own type, which must not round the bound up.
        bound = (best[:, -1:] - margin).to(scores.dtype) - ERROR[scores.dtype]
        rows, columns = (scores >= bound).nonzero(as_tuple=True)
        values = scores[rows, columns].float()
        if start:
            best = _better(best, rows, values)
        found.append((rows, columns + start, values))
    rows, columns, values = (torch.cat(parts) for parts in zip(*found, strict=True))
    kept = values >= best[rows, -1] - margin
    rows, columns = rows[kept], columns[kept]
    order = np.lexsort((columns.numpy(), rows.numpy()))
    return rows.numpy()[order], columns.numpy()[order]


def _better(best: Tensor, rows: Tensor, values: Tensor) -> Tensor:
    """Return the k best values of each row among those so far, (B, k), and new ones, (n,)."""
    counts = torch.bincount(rows, minlength=len(best))
    place = torch.arange(len(rows)) - (counts.cumsum(0) - counts)[rows]  # within its row
    padded = torch.full((len(best), int(counts.max())), -torch.inf)
    padded[rows, place] = values
    return torch.cat([best, padded], dim=1).topk(best.shape[1], dim=1).values
