"""The gate: labels from the model's own gap, a threshold from held-out items."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from ponder.model.gate import cut
from ponder.train.gap import gap
from ponder.train.gating import GateConfig, auc, choose, fit, probabilities, routing
from ponder.train.log import Run
from ponder.train.trial import Trial, Tried, embed_plain, embed_thought, try_both
from tests.colour_task import tasks
from tests.thinkers import CONFIG, thinker

if TYPE_CHECKING:
    from pathlib import Path

    from ponder.model.thinker import Kind

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


def made_up(count: int, seed: int, kind: Kind = "query") -> Tried:
    """Items whose first state says whether a thought pays, all but a tenth of them."""
    torch.manual_seed(seed)
    queries, last = torch.randn(count, 6), torch.randn(count, 6)
    pays = (queries[:, 0] > 0) ^ (torch.rand(count) < 0.1)
    gain = torch.where(pays, 0.2, -0.2)
    truth = torch.nn.functional.normalize(torch.randn(count, 32), dim=1)
    noise = [torch.where(good, 0.05, 0.6)[:, None] for good in (~pays, pays)]
    vectors = [truth + amount * torch.randn(count, 32) for amount in noise]
    if kind == "document":
        vectors = [truth, truth]
    tokens = torch.full((count,), 10)
    return Tried(["a"] * count, kind, *vectors, queries, last, gain, gain, tokens)


def made_up_trial(count: int, seed: int) -> Trial:
    documents = made_up(count, seed, "document")
    return Trial(made_up(count, seed), documents, {"a": torch.eye(count, dtype=torch.bool)})


def test_a_gate_learns_when_thoughts_pay(tmp_path: Path) -> None:
    gate = fit(RECIPE, 6, [made_up(800, 0)], Run(tmp_path, RECIPE), silent)
    trial = made_up_trial(400, 1)
    thresholds = choose(gate, trial, RECIPE.token_price)
    [row] = routing(gate, trial.queries, thresholds["query"])
    assert 0.8 < row["auc"] < 0.97
    assert 0.3 < row["trigger_rate"] < 0.7
    asked = torch.from_numpy(probabilities(gate, trial.queries))
    nobody = torch.zeros(400, dtype=torch.bool)
    ranks = [
        float(trial.reciprocal_ranks(thinks, nobody)["a"].mean())
        for thinks in (nobody, ~nobody, asked >= thresholds["query"])
    ]
    assert ranks[2] > max(ranks[:2]) + 0.1
    dear = choose(gate, trial, token_price=1.0)
    assert min(dear.values()) > 1  # no thought is worth that


def test_where_the_gain_may_be_luck_nothing_thinks(tmp_path: Path) -> None:
    """Thoughts that only shake the vectors, and a gate that cannot know which of them helped."""
    gate = fit(RECIPE, 6, [made_up(100, 0)], Run(tmp_path, RECIPE), silent)
    luck = 0
    for seed in range(8):
        trial = made_up_trial(60, seed)
        torch.manual_seed(seed)
        shaken = [trial.queries.plain + 0.3 * torch.randn(60, 32) for _ in range(2)]
        queries = replace(
            trial.queries, plain=shaken[0], thought=shaken[1], queries=torch.randn(60, 6)
        )
        chosen = choose(gate, replace(trial, queries=queries), token_price=0.002)
        luck += chosen["query"] <= 1
    assert luck <= 2


def test_a_share_of_none_lets_nothing_think_however_sure_the_gate_is() -> None:
    sure = np.ones(4, dtype=np.float32)
    assert not (sure >= cut(sure, 0.0)).any()
    asked = np.array([0.1, 0.7, 0.4, 0.9], dtype=np.float32)
    assert (asked >= cut(asked, 0.5)).tolist() == [False, True, False, True]


def test_thinking_is_ranked_among_those_that_do_not() -> None:
    trial = made_up_trial(20, 3)
    thinks = [torch.rand(20) < 0.5 for _ in range(2)]
    found = trial.reciprocal_ranks(*thinks)["a"]
    for i in range(20):
        query = (trial.queries.thought if thinks[0][i] else trial.queries.plain)[i]
        scores = [
            float(query @ (trial.documents.thought if thinks[1][j] else trial.documents.plain)[j])
            for j in range(20)
        ]
        rank = 1 + sum(scores[j] >= scores[i] for j in range(20) if j != i)
        assert float(found[i]) == pytest.approx(1 / rank)


def test_items_are_tried_both_ways() -> None:
    made = thinker("llava", replace(CONFIG, queries=2))
    [task] = tasks(made.backbone)
    again = replace(task, name="again")
    trial = try_both(made, [task, again], 5, 0.05, silent)
    queries, documents = trial.queries, trial.documents
    assert {name: tuple(right.shape) for name, right in trial.right.items()} == {
        "colours": (5, 5),
        "again": (5, 5),
    }
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
