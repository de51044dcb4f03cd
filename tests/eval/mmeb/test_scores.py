"""The metrics against independent implementations, on random, tied and graded rankings."""

from __future__ import annotations

import numpy as np
import pytest
import pytrec_eval
from sklearn.metrics import ndcg_score

from ponder.eval.mmeb.run import TaskScore
from ponder.eval.mmeb.scores import CUTS, NAMES, as_paired, metrics, score
from ponder.eval.mmeb.submission import means
from ponder.eval.mmeb.tasks import read_tasks


def drawn(seed: int, ties: bool = False) -> tuple[np.ndarray, list[str], dict[str, float]]:
    chance = np.random.default_rng(seed)
    count = int(chance.integers(12, 60))
    scores = chance.random(count).astype(np.float32)
    if ties:
        scores = scores.round(1)
    keys = [f"d{i}" for i in range(count)]
    right = chance.choice(count, int(chance.integers(1, 8)), replace=False)
    return scores, keys, {keys[i]: float(chance.integers(1, 4)) for i in right}


@pytest.mark.parametrize("seed", range(20))
def test_they_agree_with_trec_eval(seed: int) -> None:
    scores, keys, right = drawn(seed)
    reference, correct, ranking = score(scores, keys, right)
    assert reference == correct
    assert set(correct) == {f"{name}@{k}" for name in NAMES for k in CUTS}
    measures = {"success.1,5,10", "ndcg_cut.1,5,10", "P.1,5,10", "recall.1,5,10", "recip_rank"}
    judge = pytrec_eval.RelevanceEvaluator({"q": {k: int(v) for k, v in right.items()}}, measures)
    (theirs,) = judge.evaluate(
        {"q": {key: float(value) for key, value in zip(keys, scores, strict=True)}}
    ).values()
    for k in CUTS:
        assert correct[f"hit@{k}"] == theirs[f"success_{k}"]
        assert correct[f"ndcg_linear@{k}"] == pytest.approx(theirs[f"ndcg_cut_{k}"], abs=1e-6)
        assert correct[f"precision@{k}"] == pytest.approx(theirs[f"P_{k}"])
        assert correct[f"recall@{k}"] == pytest.approx(theirs[f"recall_{k}"])
    if correct["mrr@10"]:
        assert correct["mrr@10"] == pytest.approx(theirs["recip_rank"])
    assert ranking == [keys[i] for i in np.argsort(-scores)[:10]]


@pytest.mark.parametrize("seed", range(10))
def test_gains_grow_as_scikit_learn_says(seed: int) -> None:
    scores, keys, right = drawn(seed)
    _, correct, _ = score(scores, keys, right)
    for name, gain in (("linear", lambda g: g), ("exponential", lambda g: 2**g - 1)):
        true = np.array([[gain(right.get(key, 0.0)) for key in keys]])
        for k in CUTS:
            wanted = ndcg_score(true, scores[None], k=k)
            assert correct[f"ndcg_{name}@{k}"] == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("seed", range(10))
def test_ties_count_against_the_model(seed: int) -> None:
    scores, keys, right = drawn(seed, ties=True)
    _, correct, _ = score(scores, keys, right)
    # What is right comes last among its equals: lower it by less than any other difference.
    lowered = scores - np.array([1e-3 if key in right else 0 for key in keys], dtype=np.float32)
    _, _, ranking = score(lowered, keys, right)
    assert correct == metrics(ranking, right)


def test_a_model_that_tells_nothing_apart_scores_nothing() -> None:
    keys = [f"d{i}" for i in range(20)]
    reference, correct, _ = score(np.zeros(20, np.float32), keys, {"d0": 1.0})
    assert correct["hit@10"] == 0.0
    assert reference["hit@10"] >= correct["hit@10"]


def test_the_reference_mixes_up_graded_gains() -> None:
    """Labels 900, 12, 455, 7 with gains 2, 1, 1, 1, ranked perfectly, score 0.840 there."""
    right = {900: 2.0, 12: 1.0, 455: 1.0, 7: 1.0}
    ranking = list(right)
    assert metrics(ranking, right)["ndcg_linear@5"] == 1.0
    assert metrics(ranking, as_paired(right))["ndcg_linear@5"] == pytest.approx(0.840, abs=1e-3)
    assert as_paired({"b": 2.0, "a": 1.0}) == {"b": 2.0, "a": 1.0}


def measured(name: str, value: float, queries: int) -> TaskScore:
    scores = dict.fromkeys([f"{metric}@{k}" for metric in NAMES for k in CUTS], value)
    known = {task.name: task.queries for task in read_tasks()}
    return TaskScore(
        name, "tiny", "f", "never", scores, scores, queries, known[name], 1, 0.0, 0.0, 0.0
    )


def test_a_mean_says_how_many_tasks_it_lacks() -> None:
    whole = {task.name: measured(task.name, 0.5, task.queries) for task in read_tasks()}
    assert str(means(whole)["All"]) == "50.0 %"
    some = {name: whole[name] for name in ("HMDB51", "UCF101")}
    some["Breakfast"] = measured("Breakfast", 1.0, 7)  # of a trial
    assert str(means(some)["V-CLS"]) == "50.0 % (2 of 5)"
    assert str(means(some)["I-QA"]) == "- (0 of 10)"
    assert means(some)["All"].tasks == 78
