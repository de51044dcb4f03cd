"""Exact shortlists, whatever the block and the precision they are sifted in."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ponder.eval import ranking


def unit(count: int, dim: int, seed: int, spread: float = 1.0) -> np.ndarray:
    """Draw unit rows; with a small spread they are nearly alike."""
    chance = np.random.default_rng(seed)
    rows = 1 + spread * chance.standard_normal((count, dim))
    if spread == 1:
        rows -= 1
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("spread", [1.0, 0.05])
def test_they_hold_all_that_is_among_the_best(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, spread: float
) -> None:
    monkeypatch.setattr(ranking, "QUERIES", 7)
    monkeypatch.setattr(ranking, "CANDIDATES", 53)
    monkeypatch.setattr(ranking, "fastest_dtype", lambda device: dtype)
    queries, candidates = unit(20, 32, 0, spread), unit(500, 32, 1, spread)
    candidates[400] = candidates[3]  # ties, in different blocks
    for query, (positions, scores) in zip(
        queries, ranking.shortlists(queries, candidates, 10), strict=True
    ):
        own = candidates @ query
        least = np.sort(own)[-10]
        wanted = np.flatnonzero(own >= least + 1e-6)
        assert set(wanted) <= set(positions)
        assert 10 <= len(positions) <= 12
        assert (np.diff(positions) > 0).all()
        assert np.allclose(scores, own[positions], atol=1e-6)


def test_a_model_that_tells_nothing_apart_has_everything_on_its_list() -> None:
    rows = np.ones((30, 16), np.float32) / 4
    lists = list(ranking.shortlists(rows[:2], rows, 5))
    assert [len(positions) for positions, _ in lists] == [30, 30]


def test_fewer_candidates_than_are_wanted() -> None:
    ((positions, _),) = ranking.shortlists(unit(1, 8, 0), unit(3, 8, 1), 10)
    assert positions.tolist() == [0, 1, 2]
