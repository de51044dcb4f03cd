"""Latent steps learn: chunks and processes change no gradient, a killed run goes on alike."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from accelerate import Accelerator
from torch.nn import functional as F

from ponder.engine.trace import Trace
from ponder.errors import ConfigError
from ponder.model.adapters import ADAPTERS
from ponder.train.curriculum import Stage
from ponder.train.joint import PairBatch, Side
from ponder.train.latent import LatentConfig, LatentTrainer
from ponder.train.latent_loss import LatentLoss, LatentWeights, score_distance
from ponder.train.learning import learning_parameters
from ponder.train.log import Run, read_metrics
from ponder.train.losses import matryoshka
from ponder.train.stage import run_steps
from tests.colour_task import tasks
from tests.processes import accelerator_of, run_two
from tests.thinkers import CONFIG, ITEMS, rolling

if TYPE_CHECKING:
    from pathlib import Path

    from ponder.model.thinker import Thinker

DIMS = (64, 16)
GROUP = torch.tensor([0, 1, 0, 2])
WEIGHTS = LatentWeights(distill=0.3)
MIDWAY, END = Stage(0.7, True, 0), Stage(1.0, False, 0)
RECIPE = LatentConfig(
    latent_steps=3,
    steps=16,
    batch=6,
    learning_rate=2e-2,
    temperature=0.1,
    checkpoint_every=5,
    language=0.5,
)


def pairs(made: Thinker, numbers: list[int]) -> PairBatch:
    rows = [made.backbone.prepare(item, "item") for item in ITEMS]
    tokenize = made.backbone.processor.tokenizer
    texts = ["a red bicycle", "two wheels", "is it green", "yes", "brown and grey", "seven"]
    thoughts = [
        tokenize(f"<think>{text}</think><answer>{text[:3]}</answer>", add_special_tokens=False)
        for text in texts
    ]
    ids = [thought["input_ids"] for thought in thoughts]
    return PairBatch(
        Side([rows[i] for i in numbers], [ids[i] for i in numbers]),
        Side([rows[(i + 2) % 6] for i in numbers], [ids[(i + 3) % 6] for i in numbers]),
        GROUP[numbers],
    )


def gradients(
    made: Thinker,
    batch: PairBatch,
    stage: Stage,
    chunk_tokens: int = 10_000,
    learns_reading: bool = True,
) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    parts = learning_parameters(made)
    for parameter in (p for part in parts.values() for p in part):
        parameter.grad = None
    loss = LatentLoss(made, Accelerator(cpu=True), 0.1, DIMS, WEIGHTS, chunk_tokens, learns_reading)
    values = loss.backward(batch, stage)
    found = {
        f"{name} {i}": torch.zeros_like(p) if p.grad is None else p.grad.clone()
        for name, part in parts.items()
        for i, p in enumerate(part)
    }
    return found, values


@pytest.mark.parametrize("family", ["qwen3_vl", "llava"])
@pytest.mark.parametrize("stage", [MIDWAY, END])
def test_chunks_change_no_gradient(family: str, stage: Stage) -> None:
    made = rolling(family)
    batch = pairs(made, [0, 1, 2, 3])
    whole, losses = gradients(made, batch, stage)
    parts, same = gradients(made, batch, stage, chunk_tokens=60)
    assert losses == pytest.approx(same, rel=1e-4)
    for name, gradient in whole.items():
        assert torch.allclose(gradient, parts[name], rtol=1e-3, atol=1e-6), name
    assert all(g.abs().max() > 0 for name, g in whole.items() if name.startswith("latent"))


def test_the_shared_expert_learns_alone() -> None:
    made = rolling("llava", experts=0)
    found, losses = gradients(made, pairs(made, [0, 1, 2, 3]), END)
    learnt = {name: g for name, g in found.items() if name.startswith("latent")}
    assert learnt
    assert all(gradient.abs().max() > 0 for gradient in learnt.values())
    assert losses["balance"] == 0


def test_it_is_the_gradient_of_the_plain_loss() -> None:
    """The loss written down in one piece, row by row, has the same gradients."""
    made = rolling("llava")
    batch = pairs(made, [0, 1, 2, 3])
    got, _ = gradients(made, batch, MIDWAY, chunk_tokens=60)
    tokenizer = made.backbone.processor.tokenizer
    plain, latent, written, gates, language = [], [], [], [], []
    count = 0
    for row, thought in zip(batch.rows, batch.thoughts, strict=True):
        context = made.read([row])
        states = made.read_out(context, [row])
        plain.append(made.embed(states))
        with torch.no_grad():
            longer, _ = made.extend(context, [thought])
            written.append(made.embed(made.read_out(longer, [row], [thought])))
        rolled, rollout = made.roll_out(context, states.queries, 2)  # round(0.7 * 3)
        latent.append(made.embed(made.read_out(rolled, [row], is_attached=True)))
        gates.append(rollout.gates[0])
        head, middle, tail = tokenizer.decode(thought).partition("</think><answer>")
        ids = tokenizer(head, add_special_tokens=False)["input_ids"]
        ids = ids[round(2 / 3 * len(ids)) :]
        ids += tokenizer(middle + tail, add_special_tokens=False)["input_ids"]
        said = [rolled.last[0], *made.extend(rolled, [ids])[1][0, :-1]]
        logits = made.logits(torch.stack(said))
        language.append(F.cross_entropy(logits, torch.tensor(ids), reduction="sum"))
        count += len(ids)
    e, z, t = (torch.cat(rows) for rows in (plain, latent, written))
    loss = torch.stack(language).sum() / count
    for weight, a, b in ((1.0, z[:4], z[4:]), (1.0, e[:4], e[4:]), (0.5, z[:4], e[4:])):
        loss = loss + weight * matryoshka(a, b, GROUP, 0.1, DIMS)
    each = torch.cat(gates)
    shares = torch.zeros(4)
    for row in each:
        shares[row.topk(2).indices] += 1 / (2 * len(each))
    loss = loss + 0.1 * 4 * (shares * each.mean(dim=0)).sum()
    loss = loss + 0.3 * score_distance(t[:4] @ t[4:].T / 0.1, z[:4] @ z[4:].T / 0.1, GROUP)
    parameters = [p for part in learning_parameters(made).values() for p in part]
    expected = torch.autograd.grad(loss, parameters, materialize_grads=True, allow_unused=True)
    for (name, gradient), other in zip(got.items(), expected, strict=True):
        assert torch.allclose(gradient, other, rtol=1e-3, atol=1e-6), name


def test_reading_without_gradients_changes_none_of_the_transition_adapter() -> None:
    made = rolling("qwen3_vl")
    batch = pairs(made, [0, 1, 2, 3])
    alone, _ = gradients(made, batch, END, learns_reading=False)
    together, _ = gradients(made, batch, END)
    names = [name for name in alone if name.startswith("latent")]
    for name in names:
        assert torch.allclose(alone[name], together[name], rtol=1e-3, atol=1e-6), name


def test_even_shares_are_balanced_and_one_expert_for_all_is_not() -> None:
    made = rolling("llava")
    loss = LatentLoss(made, Accelerator(cpu=True), 0.1, DIMS, WEIGHTS, 10_000)
    turns = torch.eye(4) + torch.eye(4).roll(1, dims=0)
    even = turns.repeat(6, 1).reshape(8, 12) / 2
    assert loss._imbalance(even) == pytest.approx(1.0)
    same = torch.tensor([0.5, 0.5, 0.0, 0.0]).repeat(8, 3)
    assert loss._imbalance(same) == pytest.approx(2.0)


def test_equal_scores_have_no_distance() -> None:
    torch.manual_seed(0)
    scores, group = torch.randn(5, 5), torch.tensor([0, 1, 0, 2, 3])
    other = scores.clone()
    other[0, 2] += 9  # of one group, so it does not count
    assert score_distance(scores, other, group) == pytest.approx(0, abs=1e-6)
    other[0, 1] += 1
    assert score_distance(scores, other, group) > 0.01


def _one_process(rank: int, folder: Path) -> None:
    accelerator = accelerator_of(rank, 29533)
    made = rolling("llava")
    found, losses = gradients(made, pairs(made, [0, 1] if rank == 0 else [2, 3]), MIDWAY)
    summed = {name: accelerator.reduce(gradient, "sum") for name, gradient in found.items()}
    if rank == 0:
        torch.save({"gradients": summed, "losses": losses}, folder / "joint.pt")
    torch.distributed.destroy_process_group()


def test_two_processes_equal_one_with_the_joint_batch(tmp_path: Path) -> None:
    run_two(_one_process, tmp_path)
    joint = torch.load(tmp_path / "joint.pt", weights_only=True)
    made = rolling("llava")
    alone, losses = gradients(made, pairs(made, [0, 1, 2, 3]), MIDWAY)
    for name in ("latent", "no_think", "mixed", "balance", "distill"):
        assert joint["losses"][name] == pytest.approx(losses[name], rel=1e-4)
    for name, gradient in joint["gradients"].items():
        assert torch.allclose(gradient, alone[name], rtol=1e-3, atol=1e-6), name


def trainer(config: LatentConfig = RECIPE, family: str = "llava") -> LatentTrainer:
    made = rolling(family, replace(CONFIG, queries=2))
    return LatentTrainer(config, made, Accelerator(cpu=True), tasks(made.backbone))


@pytest.mark.parametrize("family", ["llava", "nano"])
def test_the_losses_fall_and_nothing_else_moves(family: str) -> None:
    made = trainer(replace(RECIPE, ratios=(1.0,), answerless=1.0), family)
    thinker = made.thinker
    others = [
        *(p for name in ADAPTERS for p in thinker.adapters.parameters(name)),
        *thinker.queries.parameters(),
    ]
    before = [p.detach().clone() for p in others]
    values = [made.step(step) for step in range(RECIPE.steps)]
    assert values[-1]["latent"] < 0.8 * values[0]["latent"]
    assert all(torch.equal(p, q) for p, q in zip(others, before, strict=True))


def test_all_may_learn_as_in_the_paper() -> None:
    every = ("latent", "reasoning", "embedding", "queries")
    made = trainer(replace(RECIPE, learns=every, learning_rate=5e-3))
    before = {name: [p.detach().clone() for p in part] for name, part in made.sides.items()}
    values = [made.step(step) for step in range(RECIPE.steps)]
    assert values[-1]["no_think"] < values[0]["no_think"]
    for name, part in made.sides.items():
        assert any(not torch.equal(p, q) for p, q in zip(part, before[name], strict=True)), name


def test_a_curriculum_may_begin_with_text_alone_if_there_is_something_to_learn() -> None:
    ratios = (0.0, 1.0)
    with pytest.raises(ConfigError, match="ratios: at 0 no latent step is taken"):
        trainer(replace(RECIPE, ratios=ratios))
    made = trainer(replace(RECIPE, ratios=ratios, learns=("latent", "embedding")))
    values = [made.step(step) for step in range(RECIPE.steps)]
    assert values[0]["ratio"] == values[0]["balance"] == 0
    assert values[0]["gradient_embedding"] > 0
    assert values[-1]["gradient_latent"] > 0


def test_an_adapter_of_another_shape_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"latent_steps: .* has 3 and the recipe says 2"):
        trainer(replace(RECIPE, latent_steps=2))
    with pytest.raises(ConfigError, match=r"is_anchored: .* has True and the recipe says False"):
        trainer(replace(RECIPE, is_anchored=False))


def test_a_killed_run_goes_on_with_the_same_losses(tmp_path: Path) -> None:
    def train(folder: Path, stop: int | None = None) -> list[dict[str, float]]:
        def report(stage: str, done: int, total: int) -> None:
            if done == stop:
                raise KeyboardInterrupt

        made = trainer()
        try:
            dev = tasks(made.thinker.backbone)
            run_steps(made, Run(folder, RECIPE), report, lambda: made.look(dev))
        except KeyboardInterrupt:
            assert stop
        return read_metrics(folder)

    whole = train(tmp_path / "whole")
    assert {row["ratio"] for row in whole} == {0.25, 0.5, 0.75, 1.0}
    train(tmp_path / "killed", stop=7)
    assert train(tmp_path / "killed") == whole


def test_a_trace_counts_its_steps() -> None:
    assert Trace("latent", experts=((0, 1), (2, 1)), cosines=(0.9, 0.8)).latent_steps == 2
