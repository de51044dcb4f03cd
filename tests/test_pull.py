"""Converting nano's weights: same numbers under Hugging Face's names."""

from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGUFReader, GGUFWriter
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from ponder.errors import WeightsError
from ponder.model.pull import _LAYERS, _convert_vision, _language_state, nano_folder, pull_nano
from ponder.packages import sha256

HEADS, KV_HEADS = 4, 2


def test_missing_weights_name_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PONDER_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match="ponder pull nano"):
        nano_folder()


def test_language_weights_survive_the_trip_through_gguf(tmp_path: Path) -> None:
    config = LlamaConfig(
        vocab_size=40,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    model = LlamaForCausalLM(config)
    path = tmp_path / "tiny.gguf"
    writer = GGUFWriter(path, "llama")
    to_gguf = {name: layer for layer, name in _LAYERS.items()}
    for name, weight in model.model.state_dict().items():
        prefix, _, layer = name.removesuffix(".weight").rpartition(".")
        block = prefix.split(".")
        if block[0] == "layers":
            layer = ".".join([*block[2:], layer])
        values = weight.numpy()
        if to_gguf[layer] in ("attn_q", "attn_k"):
            values = _as_llama_cpp(values, HEADS if to_gguf[layer] == "attn_q" else KV_HEADS)
        place = f"blk.{block[1]}." if block[0] == "layers" else ""
        writer.add_tensor(f"{place}{to_gguf[layer]}.weight", np.ascontiguousarray(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    state = dict(_language_state(GGUFReader(path), config))

    expected = {f"model.{name}": value for name, value in model.model.state_dict().items()}
    assert state.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(state[name], value.half(), rtol=0, atol=0)


def _as_llama_cpp(weight: np.ndarray, heads: int) -> np.ndarray:
    """Order rotary channels as llama.cpp's own converter does."""
    rows, columns = weight.shape
    return (
        weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)
    )


def test_vision_weights_lose_only_their_counters(tmp_path: Path) -> None:
    norm = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    torch.save(norm.state_dict(), tmp_path / "tower.pth")
    _convert_vision(tmp_path / "tower.pth", tmp_path / "vision.safetensors")
    kept = load_file(tmp_path / "vision.safetensors")
    assert set(norm.state_dict()) - set(kept) == {"1.num_batches_tracked"}
    assert all(torch.equal(kept[name], norm.state_dict()[name]) for name in kept)


@pytest.mark.net
@pytest.mark.slow
def test_pulls_a_model_that_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PONDER_HOME", str(tmp_path))
    folder = pull_nano()
    weights = folder / "language" / "model.safetensors"
    written = weights.stat().st_mtime_ns
    assert pull_nano() == nano_folder() == folder
    assert weights.stat().st_mtime_ns == written
    assert not list(folder.parent.glob(".converting-*"))
    assert sha256(weights) in (folder / "manifest.json").read_text()

    model = AutoModelForCausalLM.from_pretrained(folder / "language", dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder / "language")
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France?"}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    answer = model.generate(**asked, max_new_tokens=20, do_sample=False)
    assert "Paris" in tokenizer.decode(answer[0][asked["input_ids"].shape[1] :])
