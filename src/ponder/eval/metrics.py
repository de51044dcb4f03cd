"""Retrieval metrics of queries with one right answer each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def ranks(scores: NDArray[np.float32], right: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rank, from 1, of each query's right candidate.

    A candidate with the same score as the right one counts as before it, so that a model which
    cannot tell candidates apart gains nothing by it.

    Args:
        scores: (Q, C), higher is better.
        right: (Q,) column of each query's right candidate.

    Raises:
        ValueError: a score is not a number.
    """
    if not np.isfinite(scores).all():
        row = int(np.argwhere(~np.isfinite(scores))[0, 0])
        raise ValueError(f"query {row} has a score that is not a number")
    own = np.take_along_axis(scores, right[:, None], axis=1)
    ranked: NDArray[np.int64] = (scores >= own).sum(axis=1)
    return ranked


def hit(ranked: NDArray[np.int64], k: int) -> float:
    """Return the share of queries whose right candidate is among the first `k`."""
    return float((ranked <= k).mean())


def ndcg(ranked: NDArray[np.int64], k: int) -> float:
    """Return the mean nDCG@k: with one right candidate, 1 / log2(1 + rank) within the first `k`.

    Järvelin and Kekäläinen 2002, section 2.2; the ideal gain is 1.
    """
    return float(gains(ranked, k).mean())


def gains(ranked: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """Return the nDCG@k (Q,) of each query by itself."""
    return np.where(ranked <= k, 1.0 / np.log2(1.0 + ranked), 0.0)
