"""One scheduler: every think mode gives what row by row gives, whatever shares the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from ponder.engine.budget import Budget
from ponder.engine.scheduler import Scheduler
from ponder.engine.writing import GREEDY, Sampling, Writer
from ponder.errors import ItemError
from tests.families import FAMILIES
from tests.thinkers import ITEMS, rolling, thinker, with_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ponder.engine.trace import ThinkMode, Trace
    from ponder.model.context import Context
    from ponder.model.latent import Rollout
    from ponder.model.thinker import Thinker

WIDE = Budget(batch_tokens=4096, context_tokens=100_000)
NARROW = Budget(batch_tokens=64, context_tokens=150)  # two or three rows at a time
MANY = [ITEMS[i % len(ITEMS)] for i in range(14)]


@pytest.fixture(scope="module", params=list(FAMILIES))
def made(request: pytest.FixtureRequest) -> Thinker:
    return thinker(request.param)


@pytest.fixture(scope="module")
def qwen() -> Thinker:
    return thinker("qwen3_vl")


def run(
    made: Thinker,
    think: ThinkMode,
    budget: Budget = WIDE,
    threshold: float = 0.5,
    sampling: Sampling = GREEDY,
) -> tuple[NDArray[np.float32], list[Trace]]:
    prepared = [made.backbone.prepare(item, "item") for item in MANY]
    writer = writer_of(made, sampling)
    results = list(Scheduler(made, budget, think, threshold, writer).run(prepared))
    return np.stack([vector for vector, _ in results]), [trace for _, trace in results]


def writer_of(made: Thinker, sampling: Sampling = GREEDY) -> Writer:
    return Writer(made.backbone.processor.tokenizer, made.config.max_thought_tokens, sampling)


def median_gate(made: Thinker) -> float:
    """Return a threshold that half of the items pass, away from any item's probability."""
    gates = sorted({round(t.gate or 0, 6) for t in run(made, "auto")[1]})
    middle = len(gates) // 2
    return (gates[middle - 1] + gates[middle]) / 2


@pytest.mark.parametrize("interface", ["kv", "reencode"])
def test_a_gate_forced_open_or_shut_is_always_or_never_bit_for_bit(
    made: Thinker, interface: str
) -> None:
    made = with_config(made, interface=interface)
    for mode, threshold in (("never", 1.1), ("always", 0.0)):
        expected, traces = run(made, mode)
        got, gated = run(made, "auto", threshold=threshold)
        assert np.array_equal(got, expected)
        assert [t.thought for t in gated] == [t.thought for t in traces]
        assert {t.mode for t in gated} == {mode}


@pytest.mark.parametrize("interface", ["kv", "reencode"])
def test_mixed_decisions_equal_each_items_own(made: Thinker, interface: str) -> None:
    made = with_config(made, interface=interface)
    never, _ = run(made, "never")
    always, thoughts = run(made, "always")
    threshold = median_gate(made)
    for budget in (WIDE, NARROW):
        mixed, traces = run(made, "auto", budget, threshold)
        assert {trace.mode for trace in traces} == {"never", "always"}
        for i, trace in enumerate(traces):
            expected = always[i] if trace.mode == "always" else never[i]
            assert np.allclose(mixed[i], expected, atol=1e-4)
            assert trace.thought == (thoughts[i].thought if trace.mode == "always" else None)


def test_thoughts_do_not_depend_on_who_shares_the_batch(made: Thinker) -> None:
    wide, wide_traces = run(made, "always", WIDE)
    narrow, narrow_traces = run(made, "always", NARROW)
    assert [t.thought for t in wide_traces] == [t.thought for t in narrow_traces]
    assert np.allclose(wide, narrow, atol=1e-4)


def test_a_thought_is_bounded_closed_and_counted(made: Thinker) -> None:
    limit = made.config.max_thought_tokens
    tokenizer = made.backbone.processor.tokenizer
    for trace in run(made, "always")[1]:
        assert trace.thought is not None
        assert trace.thought.startswith("<think>")
        assert trace.thought.endswith("</answer>")
        closing = len(tokenizer("</think><answer></answer>", add_special_tokens=False)["input_ids"])
        assert 0 < trace.thought_tokens <= limit + closing
        assert trace.was_cut  # random weights never close a thought
        assert min(trace.read_ms, trace.think_ms, trace.embed_ms) > 0


def test_the_seed_decides_each_items_draws(qwen: Thinker) -> None:
    draws = [
        [t.thought for t in run(qwen, "always", budget, sampling=Sampling(1.0, seed))[1]]
        for budget, seed in ((WIDE, 1), (NARROW, 1), (WIDE, 2))
    ]
    assert draws[0] == draws[1]
    assert draws[0] != draws[2]
    greedy = [t.thought for t in run(qwen, "always")[1]]
    assert draws[0] != greedy


def test_results_stream_in_order_and_nothing_is_read_too_far_ahead(qwen: Thinker) -> None:
    taken = 0

    def source() -> Iterator[object]:
        nonlocal taken
        for item in MANY * 20:
            taken += 1
            yield qwen.backbone.prepare(item, "item")

    expected, _ = run(qwen, "always")
    results = Scheduler(qwen, Budget(32, 64), "always", 0.5, writer_of(qwen)).run(source())
    for i in range(5):
        assert np.allclose(next(results)[0], expected[i], atol=1e-4)
    assert taken < 60


def test_running_out_of_memory_halves_the_batch_and_goes_on(qwen: Thinker) -> None:
    """Whatever is read or written beyond so many tokens at once fails as a full device does."""
    expected, _ = run(qwen, "always")
    refused = most = 0

    def limited(_: torch.nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        nonlocal refused
        ids = kwargs.get("input_ids")
        if isinstance(ids, torch.Tensor) and ids.numel() > most:
            refused += 1
            raise torch.OutOfMemoryError("CUDA out of memory")

    longest = max(len(qwen.backbone.prepare(item, "item")) for item in ITEMS)
    handle = qwen.backbone.model.model.register_forward_pre_hook(limited, with_kwargs=True)
    try:
        for share in (2, 1):
            refused, most = 0, share * longest
            got, traces = run(qwen, "always")
            assert refused > 0
            assert np.allclose(got, expected, atol=1e-4)
            assert all(trace.mode == "always" for trace in traces)
        most = longest - 1
        with pytest.raises(ItemError, match=r"item: no memory for its \d+ tokens"):
            run(qwen, "always")
    finally:
        handle.remove()


def test_other_errors_are_not_taken_for_a_lack_of_memory(qwen: Thinker) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("shapes do not match")

    handle = qwen.backbone.model.model.register_forward_pre_hook(broken)
    try:
        with pytest.raises(RuntimeError, match="shapes do not match"):
            run(qwen, "never")
    finally:
        handle.remove()


@pytest.mark.parametrize("family", list(FAMILIES))
def test_latent_steps_are_the_same_whatever_shares_the_batch(family: str) -> None:
    made = rolling(family)
    wide, traces = run(made, "latent", WIDE)
    narrow, others = run(made, "latent", NARROW)
    never, _ = run(made, "never")
    assert np.allclose(wide, narrow, atol=1e-4)
    assert (wide * never).sum(axis=1).max() < 0.9999
    assert {trace.mode for trace in traces} == {"latent"}
    assert made.latent is not None
    for trace, other in zip(traces, others, strict=True):
        assert trace.latent_steps == len(trace.experts) == made.latent.config.steps
        assert all(len(set(chosen)) == made.latent.config.chosen for chosen in trace.experts)
        assert trace.cosines == pytest.approx(other.cosines, abs=1e-3)
        assert trace.thought is None


def test_latent_steps_need_no_experts() -> None:
    _, traces = run(rolling("llava", experts=0), "latent")
    assert {trace.experts for trace in traces} == {((), (), ())}
    assert {trace.latent_steps for trace in traces} == {3}


def test_the_gate_may_choose_latent_steps(made: Thinker) -> None:
    rolled = rolling(made.backbone.model.config.model_type.replace("ponder_", ""))
    never, _ = run(rolled, "never")
    latent, _ = run(rolled, "latent")
    mixed, traces = run(rolled, "auto-latent", threshold=median_gate(rolled))
    assert {trace.mode for trace in traces} == {"never", "latent"}
    for i, trace in enumerate(traces):
        expected = latent[i] if trace.mode == "latent" else never[i]
        assert np.allclose(mixed[i], expected, atol=1e-4)
        assert trace.gate is not None


def test_latent_steps_without_memory_are_taken_by_halves() -> None:
    made = rolling("qwen3_vl")
    expected, _ = run(made, "latent")
    real, refused = made.roll_out, []

    def scarce(context: Context, anchor: torch.Tensor) -> tuple[Context, Rollout]:
        if len(context) > 4:
            refused.append(len(context))
            raise torch.OutOfMemoryError
        return real(context, anchor)

    made.roll_out = scarce  # type: ignore[method-assign,assignment]
    got, _ = run(made, "latent")
    assert refused
    assert np.allclose(got, expected, atol=1e-4)
