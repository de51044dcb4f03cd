"""Who thinks, and what that does: choices at their ends are the modes that were run."""

from __future__ import annotations

import numpy as np
import pytest

from ponder.eval.both_ways import BothWays, Side
from ponder.eval.routing import Routing, Scored, interval, mean

THRESHOLD = 0.6


def unit(rows: np.ndarray) -> np.ndarray:
    found: np.ndarray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return found.astype(np.float32)


def side(truth: np.ndarray, noise: np.ndarray, chance: np.random.Generator) -> Side:
    """Items whose plain vectors are noisy, the more the surer the gate is that a thought pays."""
    never = unit(truth + noise[:, None] * chance.normal(size=truth.shape))
    always = unit(truth + 0.8 * chance.normal(size=truth.shape))
    gate = noise / noise.max()
    thinks = gate >= THRESHOLD
    tokens = chance.integers(10, 40, len(truth))
    return Side(
        {"never": never, "always": always, "auto": np.where(thinks[:, None], always, never)},
        {"never": 0 * tokens, "always": tokens, "auto": tokens * thinks},
        {"never": 1 + gate, "always": 9 + gate, "auto": 4 + gate},
        gate,
        [f"thought {i}" for i in range(len(truth))],
        np.zeros((len(truth), 0, 0), dtype=np.int64),
        np.zeros((len(truth), 0)),
    )


def make(name: str, count: int, seed: int) -> BothWays:
    chance = np.random.default_rng(seed)
    truth = chance.normal(size=(count, 16))
    right = np.arange(count)
    noise = [chance.uniform(0.1, 2.0, count) for _ in range(2)]
    return BothWays(name, side(truth, noise[0], chance), side(truth, noise[1], chance), right)


@pytest.fixture(scope="module")
def routing() -> Routing:
    return Routing([make("small", 60, 0), make("large", 150, 1)])


def test_the_ends_of_the_curves_are_never_and_always(routing: Routing) -> None:
    modes = routing.modes()
    for curve in (routing.curve(), routing.random_curve()):
        assert (curve[0].rate, curve[-1].rate) == (0, 1)
        for point, name in ((curve[0], "never"), (curve[-1], "always")):
            assert point.hit == pytest.approx(mean(modes[name].hits()))
            assert point.tokens == pytest.approx(np.mean(modes[name].tokens))


def test_a_gate_that_knows_beats_chance_at_the_same_rate(routing: Routing) -> None:
    auto = mean(routing.modes()["auto"].hits())
    drawn = [mean(draw.hits()) for draw in routing.random()]
    assert auto > np.quantile(drawn, 0.975)
    curve = {point.rate: point.hit for point in routing.curve()}
    random_curve = {point.rate: point.hit for point in routing.random_curve()}
    assert curve[0.5] > random_curve[0.5]


def test_random_thinks_as_often_as_auto(routing: Routing) -> None:
    auto = np.mean(routing.modes()["auto"].tokens)
    drawn = np.mean([draw.tokens for draw in routing.random()])
    assert drawn == pytest.approx(auto, rel=0.1)


def test_the_oracle_is_no_worse_on_any_query(routing: Routing) -> None:
    modes = routing.modes()
    for i, best in enumerate(modes["oracle"].ranks):
        assert (best <= modes["never"].ranks[i]).all()
        assert (best <= modes["always"].ranks[i]).all()


def test_costs_count_queries_and_candidates_alike(routing: Routing) -> None:
    modes = routing.modes()
    for task, took in zip(routing.tasks, modes["always"].ms, strict=True):
        every = np.concatenate([task.queries.gate, task.candidates.gate])
        assert took == pytest.approx(9 + every.mean())
    spent = routing.tasks[0].queries.tokens["auto"].sum()
    spent += routing.tasks[0].candidates.tokens["auto"].sum()
    assert modes["auto"].tokens[0] == pytest.approx(spent / 120)


def test_an_interval_is_that_of_the_normal_approximation(routing: Routing) -> None:
    hits = routing.modes()["always"].hits()
    low, high = interval(hits)
    error = np.sqrt(sum(part.var() / len(part) for part in hits)) / len(hits)
    assert low < mean(hits) < high
    assert (high - low) / 2 == pytest.approx(1.96 * error, rel=0.1)
    same = Scored.hits(routing.modes()["always"])
    assert interval(hits, same) == (0, 0)
