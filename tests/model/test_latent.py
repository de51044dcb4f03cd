"""Latent steps: identity at first, the same in a batch as alone, saved and loaded as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from ponder.errors import ConfigError, ThinkModeError, WeightsError
from ponder.model.latent import TransitionAdapter, TransitionConfig
from ponder.model.saved import LATENT, load_saved, save
from tests.families import FAMILIES
from tests.thinkers import ITEMS, rolling, thinker, with_config

if TYPE_CHECKING:
    from pathlib import Path

    from ponder.model.thinker import Thinker

EVERY = list(range(len(ITEMS)))


@pytest.fixture(scope="module", params=list(FAMILIES))
def made(request: pytest.FixtureRequest) -> Thinker:
    return rolling(request.param)


@torch.inference_mode()
def run(made: Thinker, numbers: list[int]) -> tuple[torch.Tensor, ...]:
    rows = [made.backbone.prepare(ITEMS[i], str(i)) for i in numbers]
    context = made.read(rows)
    before = made.read_out(context, rows)
    context, rollout = made.roll_out(context, before.queries)
    after = made.embed(made.read_out(context, rows))
    return after, rollout.gates, rollout.cosines, context.position, made.embed(before)


def test_an_untrained_adapter_returns_the_state() -> None:
    torch.manual_seed(0)
    adapter = TransitionAdapter(TransitionConfig(steps=3), 16)
    state, anchor = torch.randn(5, 16), torch.randn(5, 16)
    for step in range(4):  # the last embedding serves later steps
        following, gates = adapter(state, step, anchor)
        assert torch.equal(following, state)
        assert torch.allclose(gates.sum(dim=1), torch.ones(5))


def test_inputs_are_brought_to_a_scale() -> None:
    torch.manual_seed(0)
    adapter = TransitionAdapter(TransitionConfig(input_scale=0.5), 16)
    following, _ = adapter(40 * torch.randn(5, 16), 0, torch.zeros(5, 16))
    assert torch.allclose(following.square().mean(dim=1).sqrt(), torch.full((5,), 0.5))


def test_the_formula_of_the_paper() -> None:
    """Experts one by one, only the chosen ones run, weights not normalised again."""
    torch.manual_seed(0)
    adapter = TransitionAdapter(TransitionConfig(steps=2, experts=3, chosen=2), 8)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.copy_(torch.randn(parameter.shape))
    adapter.requires_grad_(False)
    state, anchor = torch.randn(4, 8), torch.randn(4, 8)
    got, gates = adapter(state, 1, anchor)
    for row in range(4):
        seen = adapter.ln(state[row])
        at = torch.cat([state[row] + anchor[row], adapter.step_embed.weight[1]])
        shares = torch.softmax(adapter.router.weight @ at + adapter.router.bias, dim=0)
        expected = state[row] + adapter.shared_expert(seen)
        for expert in sorted(range(3), key=lambda i: -float(shares[i]))[:2]:
            expected = expected + shares[expert] * adapter.experts[expert](seen)
        assert torch.allclose(got[row], expected, atol=1e-5)
        assert torch.allclose(gates[row], shares, atol=1e-6)


@pytest.mark.parametrize("matters", [True, False])
def test_the_anchor_reaches_the_router_alone_if_at_all(matters: bool) -> None:
    torch.manual_seed(0)
    adapter = TransitionAdapter(TransitionConfig(is_anchored=matters), 8)
    state = torch.randn(4, 8)
    gates = [adapter(state, 0, anchor)[1] for anchor in (torch.zeros(4, 8), torch.ones(4, 8))]
    assert torch.equal(*gates) != matters


def test_a_batch_equals_its_rows_alone(made: Thinker) -> None:
    together = run(made, EVERY)
    assert (together[0] * together[4]).sum(dim=1).max() < 0.9999  # the steps matter
    for i in EVERY:
        for whole, alone in zip(together, run(made, [i]), strict=True):
            assert torch.allclose(whole[i].float(), alone[0].float(), atol=1e-4)


def test_a_step_takes_the_place_a_token_would(made: Thinker) -> None:
    """Training reads text after the steps; inference reads queries there: at the same positions."""
    rows = [made.backbone.prepare(item, str(i)) for i, item in enumerate(ITEMS)]
    with torch.no_grad():
        context = made.read(rows)
        anchor = made.read_out(context, rows).queries
        rolled, _ = made.roll_out(context, anchor)
        written, _ = made.extend(context, [[30, 31, 32]] * len(rows))
    assert torch.equal(rolled.position, written.position)
    assert torch.equal(rolled.mask, written.mask)
    ends = torch.tensor([int(row.positions.max()) + 1 for row in rows])
    assert torch.equal(context.position, ends)
    assert torch.equal(rolled.position, ends + 3)


def test_a_step_that_repeats_a_token_equals_reading_it() -> None:
    """An input that is a token's embedding leads to the states that the token leads to."""
    made = rolling("qwen3_vl")
    rows = [made.backbone.prepare(ITEMS[1], "item")]
    token = made.backbone.model.get_input_embeddings().weight[30]

    class Same(TransitionAdapter):
        def forward(
            self, state: torch.Tensor, step: int, anchor: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            return token.expand_as(state), torch.zeros(len(state), 0)

    made.latent = Same(TransitionConfig(steps=1, experts=0, chosen=0), made.backbone.hidden_size)
    with torch.no_grad():
        context = made.read(rows)
        _, rollout = made.roll_out(context, context.last)
        _, states = made.extend(context, [[30]])
    assert torch.allclose(rollout.states[:, 1], states[:, -1], atol=1e-5)


def test_no_more_experts_are_chosen_than_there_are() -> None:
    with pytest.raises(ConfigError, match="2 of 0 experts"):
        TransitionConfig(experts=0)


def test_without_an_adapter_or_a_cache_to_go_on_from_it_is_refused() -> None:
    made = rolling("llava")
    context = made.read([made.backbone.prepare(ITEMS[0], "item")])
    with pytest.raises(ThinkModeError, match="interface kv"):
        with_config(made, interface="reencode").roll_out(context, context.last)
    with pytest.raises(ThinkModeError, match="train one"):
        thinker("llava").roll_out(context, context.last)


def test_it_is_saved_and_loaded(tmp_path: Path) -> None:
    plain = FAMILIES["llava"]()
    plain.model.save_pretrained(tmp_path / "backbone")
    plain.processor.save_pretrained(tmp_path / "backbone")
    made = rolling("llava")
    made.backbone.source["name"] = str(tmp_path / "backbone")
    for module in (made.latent, made.queries):
        assert module is not None
        module.bfloat16().float()
    save(tmp_path / "model", made.backbone, None, (), made)
    saved = load_saved(tmp_path / "model", dtype=torch.float32, device="cpu")
    loaded = saved.trained_thinker()
    assert loaded.latent is not None
    assert made.latent is not None
    assert loaded.latent.config == made.latent.config
    for one, other in zip(made.latent.parameters(), loaded.latent.parameters(), strict=True):
        assert torch.equal(one, other)
    without = load_saved(tmp_path / "model", dtype=torch.float32, device="cpu")
    without.record.pop("latent")
    assert without.fingerprint != saved.fingerprint
    (tmp_path / "model" / LATENT).unlink()
    with pytest.raises(WeightsError, match=LATENT):
        load_saved(tmp_path / "model", dtype=torch.float32, device="cpu")
