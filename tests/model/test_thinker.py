"""Two adapters, queries and one context: batching changes nothing, gradients stay on their side."""

from __future__ import annotations

import pytest
import torch
from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

from ponder.model.adapters import ADAPTERS, Adapters
from ponder.model.context import Context, join
from ponder.model.thinker import RANKS, Thinker
from tests.families import FAMILIES
from tests.thinkers import ITEMS, thinker, with_config

THOUGHTS = [[30, 31, 32], [33], [34, 35, 36, 37], [38, 39], [40], [41, 42]]
LONG = "a quick brown fox jumps over the lazy dog"


@pytest.fixture(scope="module", params=list(FAMILIES))
def made(request: pytest.FixtureRequest) -> Thinker:
    return thinker(request.param)


@pytest.fixture(scope="module")
def qwen() -> Thinker:
    return thinker("qwen3_vl")


@torch.inference_mode()
def run(
    made: Thinker, numbers: list[int], instruction: str = ""
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return embeddings without and with a thought, and the logits after it."""
    rows = [made.backbone.prepare(ITEMS[i], str(i), instruction) for i in numbers]
    thoughts = [THOUGHTS[i] for i in numbers]
    context = made.read(rows)
    before = made.embed(made.read_out(context, rows))
    context, states = made.extend(context, thoughts)
    after = made.embed(made.read_out(context, rows, thoughts))
    return before, after, made.logits(states[:, -1])


@pytest.mark.parametrize("interface", ["kv", "reencode"])
@pytest.mark.parametrize("instruction", ["", LONG])
def test_a_batch_equals_its_rows_alone(made: Thinker, interface: str, instruction: str) -> None:
    made = with_config(made, interface=interface)
    together = run(made, list(range(len(ITEMS))), instruction)
    for i in range(len(ITEMS)):
        for whole, alone in zip(together, run(made, [i], instruction), strict=True):
            assert torch.allclose(whole[i], alone[0], atol=1e-4)


def test_thoughts_and_items_matter(made: Thinker) -> None:
    before, after, _ = run(made, list(range(len(ITEMS))))
    assert (before * after).sum(dim=1).max() < 0.999
    assert (before @ before.T).fill_diagonal_(0).max() < 0.999


def test_what_all_rows_begin_with_is_read_once(qwen: Thinker) -> None:
    """The tokens the language model is given are the shared ones once and each row's own."""
    given = 0

    def count(_: torch.nn.Module, args: object, kwargs: dict[str, torch.Tensor]) -> None:
        nonlocal given
        given += kwargs["inputs_embeds"].shape[:2].numel()

    rows = [qwen.backbone.prepare(ITEMS[0], "item", LONG) for _ in range(5)]
    decoder = qwen.backbone.model.get_decoder()
    handle = decoder.register_forward_pre_hook(count, with_kwargs=True)
    with torch.inference_mode():
        qwen.read(rows)
    handle.remove()
    own = len(rows[0]) - rows[0].start
    assert rows[0].start > 20
    assert given == rows[0].start + len(rows) * own


def test_reading_in_two_goes_equals_reading_at_once(made: Thinker) -> None:
    """The context of a long thought is that of its parts, positions and cache included."""
    rows = [made.backbone.prepare(item, "item") for item in ITEMS]
    with torch.inference_mode():
        context = made.read(rows)
        once, states = made.extend(context, [[30, 31, 32, 33]] * len(rows))
        step, _ = made.extend(context, [[30, 31]] * len(rows))
        step, twice = made.extend(step, [[32, 33]] * len(rows))
    assert torch.allclose(states[:, -1], twice[:, -1], atol=1e-4)
    assert torch.equal(once.position, step.position)


def test_one_context_goes_on_in_several_ways(qwen: Thinker) -> None:
    """Contexts share memory, which must not show."""
    rows = [qwen.backbone.prepare(item, "item") for item in ITEMS]
    endings = [[[30, 31]] * len(rows), [[40, 41, 42]] * len(rows)]

    def embedded(context: Context) -> torch.Tensor:
        return qwen.embed(qwen.read_out(context, rows))

    with torch.inference_mode():
        expected = [embedded(qwen.extend(qwen.read(rows), ending)[0]) for ending in endings]
        plain = embedded(qwen.read(rows))
        context = qwen.read(rows)
        first, _ = qwen.extend(context, endings[0])
        second, _ = qwen.extend(context, endings[1])
        got = [embedded(first), embedded(second), embedded(context), embedded(first)]
    for one, other in zip(got, [*expected, plain, expected[0]], strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_rows_leave_and_join(made: Thinker) -> None:
    rows = [made.backbone.prepare(item, "item") for item in ITEMS]
    with torch.inference_mode():
        whole = made.read(rows)
        expected = made.embed(made.read_out(whole, rows))
        mixed = join([whole.select([4, 1]), made.read(rows[2:4]), whole.select([0])])
        order = [4, 1, 2, 3, 0]
        got = made.embed(made.read_out(mixed, [rows[i] for i in order]))
    assert torch.allclose(got, expected[order], atol=1e-4)
    alone = whole.select([0])
    assert alone.columns == len(rows[0])  # no column is kept that no row uses


def test_the_context_agrees_with_the_model_itself(made: Thinker) -> None:
    """The backbone's own forward pass, which finds its own positions, gives the same logits."""
    backbone = made.backbone
    for item in ITEMS:
        row = backbone.prepare(item, "item")
        prompt = backbone._render(
            [{"role": "user", "content": [_part(part) for part in item.parts]}]
        )
        pictures = [list(item.pictures)] if item.pictures else None
        inputs = backbone.processor(text=[prompt], images=pictures, return_tensors="pt")
        made.adapters.use("reasoning")
        with torch.inference_mode():
            expected = backbone.model(**inputs).logits[0, -1]
            got = made.logits(made.read([row]).last)[0]
        assert torch.allclose(got, expected, atol=1e-4)


def _part(part: object) -> dict[str, object]:
    return {"type": "text", "text": part} if isinstance(part, str) else {"type": "image"}


def losses(made: Thinker) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a language loss on thoughts and a contrastive loss on embeddings."""
    rows = [made.backbone.prepare(item, "item") for item in ITEMS[:4]]
    context = made.read(rows)
    longer, states = made.extend(context, [[30, 31, 32]] * 4)
    language = torch.nn.functional.cross_entropy(
        made.logits(states[:, :-1]).flatten(0, 1), torch.tensor([31, 32] * 4)
    )
    vectors = made.embed(made.read_out(longer, rows, [[30, 31, 32]] * 4))
    scores = 20 * vectors @ vectors.roll(1, dims=0).T
    return language, torch.nn.functional.cross_entropy(scores, torch.arange(4))


def gradients(made: Thinker, loss: torch.Tensor) -> dict[str, float]:
    """Return the size of each part's gradient."""
    groups = {name: made.adapters.parameters(name) for name in ADAPTERS}
    groups["queries"] = [made.queries.vectors]
    every = [p for group in groups.values() for p in group]
    found = torch.autograd.grad(loss, every, retain_graph=True, allow_unused=True)
    sizes = {
        id(p): 0.0 if g is None else float(g.norm()) for p, g in zip(every, found, strict=True)
    }
    return {name: sum(sizes[id(p)] for p in group) for name, group in groups.items()}


@pytest.mark.parametrize("interface", ["kv", "reencode"])
def test_with_detach_each_loss_reaches_its_own_side_alone(qwen: Thinker, interface: str) -> None:
    made = with_config(qwen, interface=interface)
    made.adapters.train(*ADAPTERS)
    language, contrastive = losses(made)
    by_language, by_contrast = gradients(made, language), gradients(made, contrastive)
    assert by_language["reasoning"] > 0
    assert by_language["embedding"] == by_language["queries"] == 0
    assert by_contrast["reasoning"] == 0
    assert min(by_contrast["embedding"], by_contrast["queries"]) > 0
    trained = {id(p) for name in ADAPTERS for p in made.adapters.parameters(name)}
    others = [p for p in made.backbone.model.parameters() if id(p) not in trained]
    assert others
    assert not any(p.requires_grad for p in others)


def test_without_detach_the_contrastive_loss_reaches_the_reasoning_adapter(qwen: Thinker) -> None:
    made = with_config(qwen, detach=False)
    made.adapters.train(*ADAPTERS)
    _, contrastive = losses(made)
    assert gradients(made, contrastive)["reasoning"] > 0


def test_one_adapter_may_do_both_jobs(qwen: Thinker) -> None:
    made = with_config(qwen, shares_adapter=True)
    made.adapters.train(*ADAPTERS)
    language, contrastive = losses(made)
    assert gradients(made, language)["reasoning"] > 0
    learnt = gradients(made, contrastive)
    assert learnt["reasoning"] > 0
    assert learnt["embedding"] == 0


def test_switching_adapters_keeps_what_learns(qwen: Thinker) -> None:
    qwen.adapters.train("embedding")
    for name in (*ADAPTERS, *ADAPTERS):
        qwen.adapters.use(name)
        assert all(p.requires_grad for p in qwen.adapters.parameters("embedding"))
        assert not any(p.requires_grad for p in qwen.adapters.parameters("reasoning"))


def test_merged_adapters_give_the_same_vectors(made: Thinker) -> None:
    expected = run(made, list(range(len(ITEMS))))
    merged = thinker(made.backbone.model.config.model_type.replace("ponder_", ""))
    merged.adapters.merge()
    for one, other in zip(run(merged, list(range(len(ITEMS)))), expected, strict=True):
        assert torch.allclose(one, other, atol=1e-4)
    merged.adapters.merge()
    with merged.adapters.folded():
        pass
    for one, other in zip(run(merged, list(range(len(ITEMS)))), expected, strict=True):
        assert torch.allclose(one, other, atol=1e-4)


def test_fresh_adapters_change_nothing() -> None:
    backbone = FAMILIES["llava"]()
    row = backbone.prepare(ITEMS[1], "item")
    inputs = {"input_ids": row.input_ids[None], **row.media}
    with torch.inference_mode():
        expected = backbone.model(**inputs).logits
        Adapters.fresh(backbone.model, {"reasoning": 2, "embedding": 2})
        assert torch.equal(backbone.model(**inputs).logits, expected)


SIZES = {
    "4B": ({"hidden_size": 2560, "intermediate_size": 9728}, (1024, 24, 4096)),
    "8B": ({"hidden_size": 4096, "intermediate_size": 12288}, (1152, 27, 4304)),
}


@pytest.mark.parametrize("size", list(SIZES))
def test_the_default_ranks_are_three_to_five_per_cent_of_qwen3_vl(size: str) -> None:
    text, (width, depth, wide) = SIZES[size]
    config = Qwen3VLConfig(
        text_config={
            **text,
            "vocab_size": 151936,
            "num_hidden_layers": 36,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "tie_word_embeddings": size == "4B",
        },
        vision_config={
            "hidden_size": width,
            "depth": depth,
            "intermediate_size": wide,
            "num_heads": 16,
            "out_hidden_size": text["hidden_size"],
        },
        tie_word_embeddings=size == "4B",
    )
    with torch.device("meta"):
        model = Qwen3VLForConditionalGeneration(config)
        whole = sum(p.numel() for p in model.parameters())
        adapters = Adapters.fresh(model, RANKS)
    added = sum(p.numel() for name in ADAPTERS for p in adapters.parameters(name))
    assert 0.029 < added / whole < 0.05
