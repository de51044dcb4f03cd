"""Metrics against scikit-learn, and where they could flatter."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import ndcg_score, top_k_accuracy_score

from ponder.eval.metrics import hit, ndcg, ranks


def test_metrics_equal_scikit_learn() -> None:
    random = np.random.default_rng(0)
    scores = random.normal(size=(60, 40)).astype(np.float32)
    right = random.integers(0, 40, 60)
    ranked = ranks(scores, right)
    for k in (1, 5, 10):
        assert hit(ranked, k) == pytest.approx(
            top_k_accuracy_score(right, scores, k=k, labels=range(40))
        )
        assert ndcg(ranked, k) == pytest.approx(ndcg_score(np.eye(40)[right], scores, k=k))


def test_a_model_that_cannot_tell_gains_nothing() -> None:
    ranked = ranks(np.zeros((5, 20), dtype=np.float32), np.arange(5))
    assert ranked.tolist() == [20] * 5


def test_scores_that_are_no_numbers_are_refused() -> None:
    scores = np.zeros((3, 3), dtype=np.float32)
    scores[1, 2] = np.nan
    with pytest.raises(ValueError, match="query 1"):
        ranks(scores, np.arange(3))
