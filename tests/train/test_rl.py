"""Stage 2: only the reasoning adapter moves, by how much better a thought is than its group."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from accelerate import Accelerator

from ponder.errors import PonderError
from ponder.train.log import Run, read_metrics
from ponder.train.rl import Grpo, RlConfig
from ponder.train.stage import run_steps
from tests.colour_task import tasks
from tests.thinkers import CONFIG, thinker

if TYPE_CHECKING:
    from pathlib import Path

RECIPE = RlConfig(steps=6, queries=3, group=4, learning_rate=1e-2, checkpoint_every=2)


def trainer(config: RlConfig = RECIPE, family: str = "llava") -> Grpo:
    made = thinker(family, replace(CONFIG, queries=2))
    learnt = tasks(made.backbone)
    return Grpo(config, made, Accelerator(cpu=True), learnt, learnt)


def gradients(made: Grpo) -> list[torch.Tensor]:
    return [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in made.learning]


def clear(made: Grpo) -> None:
    for parameter in made.learning:
        parameter.grad = None


def test_at_first_the_gradient_is_that_of_the_weighted_likelihood() -> None:
    made = trainer()
    samples, _ = made.sample(0)
    values = made.backward(samples)
    assert values["divergence"] == pytest.approx(0, abs=1e-9)
    got = gradients(made)
    clear(made)
    total = sum(samples.chosen)
    for i in range(len(samples.rows)):
        (-samples.advantage[i] * made._log_probabilities(samples, [i]).sum() / total).backward()
    for one, other in zip(got, gradients(made), strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-6)
    assert max(g.abs().max() for g in got) > 0


def test_a_group_of_equals_teaches_nothing() -> None:
    made = trainer()
    samples, _ = made.sample(0)
    made.backward(replace(samples, advantage=torch.zeros_like(samples.advantage)))
    assert max(g.abs().max() for g in gradients(made)) < 1e-8


def test_advantages_are_within_groups() -> None:
    made = trainer()
    samples, values = made.sample(0)
    groups = samples.advantage.view(RECIPE.queries, RECIPE.group)
    assert torch.allclose(groups.mean(dim=1), torch.zeros(RECIPE.queries), atol=1e-4)
    assert values["reward_spread"] > 0
    for i, thought in enumerate(samples.thoughts):
        assert 0 < samples.chosen[i] <= len(thought) - samples.given


def test_only_the_reasoning_adapter_moves() -> None:
    made = trainer()
    thinker_ = made.thinker
    assert thinker_.gate is not None
    frozen = [
        *thinker_.adapters.parameters("embedding"),
        *thinker_.queries.parameters(),
        *thinker_.gate.parameters(),
    ]
    before = [p.detach().clone() for p in frozen]
    reference = [value.clone() for value in made.reference]
    divergence = [made.step(step)["divergence"] for step in range(RECIPE.steps)]
    assert all(torch.equal(p, q) for p, q in zip(frozen, before, strict=True))
    assert all(torch.equal(p, q) for p, q in zip(made.reference, reference, strict=True))
    moved = [not torch.equal(p, q) for p, q in zip(made.learning, reference, strict=True)]
    assert all(moved)
    assert divergence[-1] > divergence[0]


def test_where_length_is_all_that_counts_short_thoughts_are_better() -> None:
    made = trainer(replace(RECIPE, length=50.0, free_tokens=0, group=16, queries=4))
    samples, _ = made.sample(0)
    lengths = torch.tensor([float(len(thought)) for thought in samples.thoughts])
    assert lengths.std() > 0
    assert torch.corrcoef(torch.stack([lengths, samples.advantage]))[0, 1] < -0.5


def test_a_killed_run_goes_on_with_the_same_values(tmp_path: Path) -> None:
    def train(folder: Path, stop: int | None = None) -> list[dict[str, float]]:
        def report(stage: str, done: int, total: int) -> None:
            if done == stop:
                raise KeyboardInterrupt

        try:
            made = trainer()
            run_steps(made, Run(folder, RECIPE), report, made.look)
        except KeyboardInterrupt:
            assert stop
        return read_metrics(folder)

    whole = train(tmp_path / "whole")
    train(tmp_path / "killed", stop=3)
    assert train(tmp_path / "killed") == whole


def test_dev_is_measured_beside_the_reference() -> None:
    made = trainer()
    at_first = made.look()
    assert at_first["dev_gap"] == at_first["dev_gap_before"]
    assert at_first["dev_gap_error"] == 0
    for step in range(RECIPE.steps):
        made.step(step)
    later = made.look()
    assert later["dev_gap_before"] == at_first["dev_gap_before"]
    assert later["dev_gap"] != at_first["dev_gap"]
    assert later["dev_gap_error"] > 0


def test_a_value_that_is_no_number_stops_the_run() -> None:
    made = trainer()
    with torch.no_grad():
        made.learning[0].fill_(torch.nan)
    with pytest.raises((PonderError, RuntimeError)):
        made.step(0)
