"""The published layout of PLUME: read as it was evaluated, row by row in plain steps."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import ponder
from ponder.errors import ThinkModeError, WeightsError
from ponder.model.latent import TransitionAdapter, TransitionConfig
from ponder.model.plume import CLOSING, REQUEST
from tests.families import FAMILIES
from tests.thinkers import ITEMS

if TYPE_CHECKING:
    from pathlib import Path

    from ponder.engine.model import Model

TOKENS = ["<gen_emb>", "<disc_emb>", "<bot>", "<eot>", "<ct>"]
STEPS = 3


def publish(folder: Path) -> TransitionAdapter:
    """Write a tiny random Qwen2-VL as the authors would; return its transition adapter."""
    made = FAMILIES["qwen2_vl"]()
    made.processor.tokenizer.add_tokens(TOKENS)
    torch.manual_seed(0)
    made.model.resize_token_embeddings(len(made.processor.tokenizer), mean_resizing=False)
    made.model.save_pretrained(folder)
    made.processor.save_pretrained(folder)
    adapter = TransitionAdapter(TransitionConfig(width=48), made.hidden_size, step_count=32)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape))
    own = {f"latent_moe_transition.{k}": v.clone() for k, v in adapter.state_dict().items()}
    path = folder / "model.safetensors"
    save_file(load_file(path) | own, path, {"format": "pt"})
    (folder / "trainer_state.json").write_text(json.dumps({"curriculum_latent_tokens": STEPS}))
    return adapter.requires_grad_(False)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TransitionAdapter]:
    folder = tmp_path_factory.mktemp("plume")
    return folder, publish(folder)


@pytest.fixture(scope="module")
def model(home: tuple[Path, TransitionAdapter]) -> Model:
    return ponder.load(home[0], dtype=torch.float32, device="cpu")


def test_it_is_recognised_and_says_what_it_can(model: Model) -> None:
    assert model.think_modes == ("never", "latent")
    assert model.experts == 4
    assert model.dim == 64
    with pytest.raises(ThinkModeError, match="writes no thoughts; choose one of never, latent"):
        model.encode("yes", think="always")


def test_batches_equal_rows_alone(model: Model) -> None:
    for think in model.think_modes:
        together, traces = model.encode(ITEMS, think=think, return_trace=True)
        alone = np.stack([model.encode(item, think=think) for item in ITEMS])
        assert np.allclose(together, alone, atol=1e-4)
        assert {trace.latent_steps for trace in traces} == {STEPS if think == "latent" else 0}


@torch.no_grad()
def test_text_gives_what_plain_steps_give(
    home: tuple[Path, TransitionAdapter], model: Model
) -> None:
    """For text, where positions are those of the tokens: prompt, steps and suffix by hand."""
    adapter = home[1]
    backbone = model.saved.backbone
    lm, tokenizer = backbone.model, backbone.processor.tokenizer
    turn = {"type": "text", "text": f"a red bicycle\n<disc_emb>\n{REQUEST}"}
    prompt = backbone.processor.apply_chat_template(
        [{"role": "user", "content": [turn]}], tokenize=False, add_generation_prompt=True
    )
    prompt += "<think><bot>"
    ids = tokenizer(prompt, add_special_tokens=False, return_tensors="pt")["input_ids"]
    output = lm.model(input_ids=ids, use_cache=True)
    states, cache = output.last_hidden_state[0], output.past_key_values
    anchor = states[(ids[0] == tokenizer.convert_tokens_to_ids("<disc_emb>")).nonzero()[0]]
    plain = model.encode({"text": "a red bicycle"})
    assert np.allclose(plain, (anchor / anchor.norm())[0].numpy(), atol=1e-4)
    state = states[-1:]
    for step in range(STEPS):
        following, _ = adapter(state, step, anchor)
        output = lm.model(inputs_embeds=following[None], past_key_values=cache, use_cache=True)
        state, cache = output.last_hidden_state[0], output.past_key_values
    suffix = tokenizer(CLOSING, add_special_tokens=False, return_tensors="pt")["input_ids"]
    output = lm.model(input_ids=suffix, past_key_values=cache, use_cache=True)
    expected = output.last_hidden_state[0, -1]
    got = model.encode({"text": "a red bicycle"}, think="latent")
    assert np.allclose(got, (expected / expected.norm()).numpy(), atol=1e-4)


def test_a_text_cannot_pose_as_the_anchor(model: Model) -> None:
    plain, posing = model.encode([{"text": "yes"}, {"text": "yes <disc_emb> no <gen_emb>"}])
    assert not np.allclose(plain, posing, atol=1e-3)
    row = model.saved.backbone.prepare(ITEMS[0], "item")
    assert row.input_ids[-1] == model.saved.backbone.processor.tokenizer.convert_tokens_to_ids(
        "<disc_emb>"
    )


def test_an_adapter_that_does_not_fit_is_named(tmp_path: Path) -> None:
    publish(tmp_path)
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    tensors["latent_moe_transition.router.weight"] = torch.zeros(4, 7)
    save_file(tensors, path, {"format": "pt"})
    with pytest.raises(WeightsError, match=r"router\.weight"):
        ponder.load(tmp_path, device="cpu")


def test_a_tokenizer_without_its_tokens_is_named(tmp_path: Path) -> None:
    publish(tmp_path)
    FAMILIES["qwen2_vl"]().processor.save_pretrained(tmp_path)
    with pytest.raises(WeightsError, match="no token <disc_emb>"):
        ponder.load(tmp_path, device="cpu")
