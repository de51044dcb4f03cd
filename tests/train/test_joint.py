"""The joint loss: chunks and processes change no gradient, and each part reaches its own side."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from accelerate import Accelerator

from ponder.engine.model import Model
from ponder.model.adapters import ADAPTERS
from ponder.model.saved import Saved
from ponder.train.joint import JointLoss, PairBatch, Side, Weights
from ponder.train.losses import Others, matryoshka
from tests.processes import accelerator_of, run_two
from tests.thinkers import ITEMS, thinker

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ponder.model.thinker import Thinker

THOUGHTS = [[30, 31, 32], [33, 34], [35, 36, 37, 38], [39], [40, 41], [42, 43, 44]]
DIMS = (64, 16)
EVEN = Weights()
GROUP = torch.tensor([0, 1, 0, 2])
NEGATIVE_GROUP = torch.tensor([5, 1, 6, 7, 0, 8])  # two of them are right for some query


def learner(family: str) -> Thinker:
    made = thinker(family)
    made.adapters.train(*ADAPTERS)
    return made


def parameters(made: Thinker) -> dict[str, torch.nn.Parameter]:
    found = {
        f"{name} {i}": p for name in ADAPTERS for i, p in enumerate(made.adapters.parameters(name))
    }
    return found | {"queries": made.queries.vectors}


def pairs(made: Thinker, numbers: list[int], negatives: Sequence[int] = ()) -> PairBatch:
    rows = [made.backbone.prepare(item, "item") for item in ITEMS]
    count = len(ITEMS)
    return PairBatch(
        Side([rows[i] for i in numbers], [THOUGHTS[i] for i in numbers]),
        Side(
            [rows[(i + 2) % count] for i in numbers], [THOUGHTS[(i + 3) % count] for i in numbers]
        ),
        GROUP[numbers],
        [rows[i] for i in negatives],
        NEGATIVE_GROUP[list(negatives)],
    )


def gradients(
    made: Thinker, batch: PairBatch, chunk_tokens: int, weights: Weights = EVEN
) -> dict[str, torch.Tensor]:
    for parameter in parameters(made).values():
        parameter.grad = None
    loss = JointLoss(made, Accelerator(cpu=True), 0.1, DIMS, weights, chunk_tokens)
    loss.backward(batch, seed=0)
    return {
        name: torch.zeros_like(p) if p.grad is None else p.grad.clone()
        for name, p in parameters(made).items()
    }


@pytest.mark.parametrize("family", ["qwen3_vl", "llava"])
def test_chunks_change_no_gradient(family: str) -> None:
    made = learner(family)
    batch = pairs(made, [0, 1, 2, 3], negatives=[0, 1, 4])
    whole = gradients(made, batch, chunk_tokens=10_000)
    parts = gradients(made, batch, chunk_tokens=40)
    for name, gradient in whole.items():
        assert gradient.abs().max() > 0
        assert torch.allclose(gradient, parts[name], rtol=1e-3, atol=1e-6), name


@pytest.mark.parametrize("own", [[], [[50, 51], *([[52, 53, 54, 55, 56]] * 7)]])
def test_it_is_the_gradient_of_the_plain_loss(own: list[list[int]]) -> None:
    """The loss written down in one piece, without a cache, has the same gradients."""
    made = learner("llava")
    batch = replace(pairs(made, [0, 1, 2, 3], negatives=[0, 1, 4]), own_thoughts=own)
    got = gradients(made, batch, chunk_tokens=40)
    rows = [*batch.queries.rows, *batch.positives.rows]
    thoughts = [*batch.queries.thoughts, *batch.positives.thoughts]
    plain, thought, language = [], [], []
    for row, ids, other in zip(rows, thoughts, own or thoughts, strict=True):
        context = made.read([row])
        plain.append(made.embed(made.read_out(context, [row])))
        states = [context.last[0], *made.extend(context, [ids])[1][0, :-1]]
        longer, _ = made.extend(context, [other])
        thought.append(made.embed(made.read_out(longer, [row], [other])))
        logits = made.logits(torch.stack(states))
        language.append(
            torch.nn.functional.cross_entropy(logits, torch.tensor(ids), reduction="sum")
        )
    e, z = torch.cat(plain), torch.cat(thought)
    loss = sum(language) / sum(map(len, thoughts))
    wrong = torch.cat([made.embed(made.read_out(made.read([x]), [x])) for x in batch.negatives])
    others = Others(wrong, batch.negative_group)
    for weight, a, b in ((1.0, z[:4], z[4:]), (1.0, e[:4], e[4:]), (0.5, z[:4], e[4:])):
        loss = loss + weight * matryoshka(a, b, batch.group, 0.1, DIMS, others)
    expected = torch.autograd.grad(loss, list(parameters(made).values()))
    for (name, gradient), other in zip(got.items(), expected, strict=True):
        assert torch.allclose(gradient, other, rtol=1e-3, atol=1e-6), name


@pytest.mark.parametrize("family", ["qwen3_vl", "nano"])
def test_folded_adapters_learn_the_same(family: str) -> None:
    made = learner(family)
    batch = pairs(made, [0, 1, 2, 3], negatives=[0, 1, 4])
    apart = gradients(made, batch, chunk_tokens=40)
    for parameter in parameters(made).values():
        parameter.grad = None
    with made.adapters.folded():
        JointLoss(made, Accelerator(cpu=True), 0.1, DIMS, EVEN, 40).backward(batch, seed=0)
    for name, parameter in parameters(made).items():
        assert parameter.grad is not None
        assert torch.allclose(parameter.grad, apart[name], rtol=1e-3, atol=1e-6), name
    rerun = gradients(made, batch, chunk_tokens=40)
    assert all(torch.equal(rerun[name], gradient) for name, gradient in apart.items())


def test_each_loss_teaches_its_own_side() -> None:
    made = learner("llava")
    batch = pairs(made, [0, 1, 2, 3])
    language = gradients(made, batch, 10_000, Weights(1, 0, 0, 0))
    contrast = gradients(made, batch, 10_000, Weights(0, 1, 1, 1))
    both = gradients(made, batch, 40, Weights(1, 1, 1, 1))
    for name in language:
        teaches_reasoning = name.startswith("reasoning")
        assert (language[name].abs().max() > 0) == teaches_reasoning
        assert (contrast[name].abs().max() > 0) != teaches_reasoning
        alone = language if teaches_reasoning else contrast
        assert torch.allclose(both[name], alone[name], rtol=1e-3, atol=1e-6), name


def _one_process(rank: int, folder: Path) -> None:
    accelerator = accelerator_of(rank, 29531)
    made = learner("llava")
    numbers, negatives = ([0, 1], [0]) if rank == 0 else ([2, 3], [1, 4])
    loss = JointLoss(made, accelerator, 0.1, DIMS, Weights(), 10_000)
    losses = loss.backward(pairs(made, numbers, negatives), seed=0)
    summed = {
        name: accelerator.reduce(p.grad, "sum")
        for name, p in parameters(made).items()
        if p.grad is not None
    }
    if rank == 0:
        torch.save({"gradients": summed, "losses": losses}, folder / "joint.pt")
    torch.distributed.destroy_process_group()


def test_two_processes_equal_one_with_the_joint_batch(tmp_path: Path) -> None:
    run_two(_one_process, tmp_path)
    joint = torch.load(tmp_path / "joint.pt", weights_only=True)
    made = learner("llava")
    alone = gradients(made, pairs(made, [0, 1, 2, 3], [0, 1, 4]), 10_000)
    for name, gradient in joint["gradients"].items():
        assert torch.allclose(gradient, alone[name], rtol=1e-3, atol=1e-6), name


@pytest.mark.parametrize("family", ["nano", "qwen3_vl", "idefics3"])
def test_training_sees_the_vectors_that_encode_gives(family: str) -> None:
    """One preprocessing: the same items, read for training with pictures seen ahead, or encoded."""
    made = thinker(family)
    saved = Saved("tiny", made.backbone, made.readout, made, {"thinker": {}})
    model = Model(saved)
    rows = made.backbone.see_ahead([made.backbone.prepare(item, "item") for item in ITEMS])
    side = Side(rows, THOUGHTS)
    loss = JointLoss(made, Accelerator(cpu=True), 0.1, DIMS, EVEN, 60)
    plain, _ = loss.embed(PairBatch(side, side, torch.arange(len(rows))))
    encoded = torch.from_numpy(model.encode(ITEMS))
    for got in plain.chunk(2):
        assert torch.nn.functional.cosine_similarity(got, encoded).min() > 0.9999
