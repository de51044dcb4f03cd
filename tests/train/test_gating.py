"""The gate: labels from the model's own gap, a threshold from held-out items."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from ponder.model.gate import calibrate
from ponder.train.gap import gap
from ponder.train.gating import GateConfig, auc, choose, fit, probabilities, routing
from ponder.train.log import Run
from ponder.train.trial import Tried, embed_plain, embed_thought, try_both
from tests.colour_task import tasks
from tests.thinkers import CONFIG, thinker

if TYPE_CHECKING:
    from pathlib import Path

RECIPE = GateConfig(steps=150, width=16, token_price=0.001)


def silent(stage: str, done: int, total: int) -> None:
    """Tell nobody."""


def test_the_gap_is_the_distance_to_a_soft_maximum() -> None:
    torch.manual_seed(0)
    e, p, n = (torch.nn.functional.normalize(torch.randn(k, 8), dim=1) for k in (3, 3, 40))
    alike = torch.rand(3, 40) < 0.2
    mean = gap(e, p, n, alike, temperature=100.0)
    largest = gap(e, p, n, alike, temperature=1e-4)
    for i in range(3):
        others = (n[~alike[i]] @ e[i]).double()
        assert mean[i].item() == pytest.approx(float(e[i] @ p[i] - others.mean()), abs=1e-2)
        assert largest[i].item() == pytest.approx(float(e[i] @ p[i] - others.max()), abs=1e-2)


def test_auc_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    for round_to in (None, 1):  # with ties as well
        scores = random.normal(size=300)
        scores = scores if round_to is None else scores.round(round_to)
        labels = random.random(300) < 0.3
        assert auc(scores, labels) == pytest.approx(roc_auc_score(labels, scores))
    assert np.isnan(auc(scores, np.ones(300, dtype=bool)))


def test_the_threshold_is_the_best_of_all() -> None:
    random = np.random.default_rng(1)
    for price in (0.0, 0.1, 5.0):
        scores = random.random(200).round(2)
        gains = random.normal(size=200) + scores - 0.5
        chosen = calibrate(scores, gains, price)
        totals = {t: (gains - price)[scores >= t].sum() for t in [*scores, 1.1]}
        assert (gains - price)[scores >= chosen].sum() == pytest.approx(max(totals.values()))
    assert calibrate(scores, -np.ones(200)) > 1


def made_up(count: int, seed: int) -> Tried:
    """Items whose first state says whether a thought pays, all but a tenth of them."""
    torch.manual_seed(seed)
    queries, last = torch.randn(count, 6), torch.randn(count, 6)
    pays = (queries[:, 0] > 0) ^ (torch.rand(count) < 0.1)
    gain = torch.where(pays, 0.2, -0.2)
    return Tried(["a"] * count, "query", queries, last, gain, gain, torch.full((count,), 10))


def test_a_gate_learns_when_thoughts_pay(tmp_path: Path) -> None:
    gate = fit(RECIPE, 6, [made_up(800, 0)], Run(tmp_path), silent)
    dev = made_up(400, 1)
    threshold = choose(gate, dev, RECIPE.token_price)
    [row] = routing(gate, dev, threshold)
    assert 0.8 < row["auc"] < 0.97
    assert row["gain_always"] < row["gain_auto"] <= row["gain_oracle"]
    assert row["trigger_rate"] == np.mean(probabilities(gate, dev) >= threshold)
    dear = choose(gate, dev, token_price=1.0)
    assert dear > 1  # no thought is worth that


def test_items_are_tried_both_ways() -> None:
    made = thinker("llava", replace(CONFIG, queries=2))
    [task] = tasks(made.backbone)
    queries, documents = try_both(made, [task, task], 5, 0.05, silent)
    assert (len(queries.task), queries.kind) == (10, "query")
    assert (len(documents.task), documents.kind) == (10, "document")
    assert torch.equal(queries.gain[:5], queries.gain[5:])
    plain, states, last = embed_plain(made, task.queries)
    thought, tokens = embed_thought(made, task.queries)
    assert torch.allclose(states[:5], queries.queries[:5], atol=1e-5)
    assert torch.allclose(last[:5], queries.last[:5], atol=1e-5)
    assert torch.equal(tokens[:5], queries.tokens[:5])
    others, _, _ = embed_plain(made, task.candidates)
    scores = [v @ others.T for v in (plain, thought)]
    for i in range(5):
        ranks = [int((s[i] >= s[i, i]).sum()) for s in scores]
        assert queries.rank_gain[i].item() == pytest.approx(1 / ranks[1] - 1 / ranks[0], abs=1e-6)
