"""Tiny random backbones of every family, with a tokenizer trained on a few sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import transformers as hf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from ponder.model.backbone import Backbone
from ponder.model.families import pictures_only
from ponder.model.nano import NanoConfig, NanoForConditionalGeneration
from ponder.model.processor import IMAGE_TOKEN, NanoImageProcessor, NanoProcessor

if TYPE_CHECKING:
    from collections.abc import Callable

WORDS = [
    "<think>two wheels and a frame lean on the wall</think><answer>a red bicycle</answer>",
    "what is this? how do they differ? name the animal in the picture, please.",
    "a quick brown fox jumps over the lazy dog while seven wizards box",
]
TEXT = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 2048,
}
VISION = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}


def tokenizer(picture: str, *others: str) -> hf.PreTrainedTokenizerFast:
    """Return a byte-level tokenizer of a few hundred tokens with some special ones."""
    special = ["<pad>", "<|im_start|>", "<|im_end|>", picture, *others]
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        WORDS,
        trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet),
    )
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="<pad>",
        eos_token="<|im_end|>",
        additional_special_tokens=[picture, *others],
    )


def template(picture: str) -> str:
    """Return a chat template in which a picture is written so."""
    return (
        "{%- for message in messages -%}<|im_start|>{{ message['role'] }}\n"
        "{%- for part in message['content'] -%}"
        "{%- if part['type'] == 'image' -%}"
        + picture
        + "{%- else -%}{{ part['text'] }}{%- endif -%}"
        "{%- endfor -%}<|im_end|>\n{%- endfor -%}"
        "{%- if add_generation_prompt -%}<|im_start|>assistant\n{%- endif -%}"
    )


def qwen3_vl() -> Backbone:
    pad, start, end, video = "<|image_pad|>", "<|vision_start|>", "<|vision_end|>", "<|video_pad|>"
    tokens = tokenizer(pad, start, end, video)
    config = hf.Qwen3VLConfig(
        text_config={**TEXT, "vocab_size": len(tokens), "rope_parameters": _mrope([4, 2, 2])},
        vision_config={
            **{k: v for k, v in VISION.items() if k != "num_attention_heads"},
            "num_heads": 2,
            "depth": 2,
            "out_hidden_size": 64,
            "patch_size": 16,
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0],
        },
        **_qwen_ids(tokens),
    )
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    pictures = Qwen2VLImageProcessorPil(
        patch_size=16, size={"shortest_edge": 32 * 32, "longest_edge": 96 * 96}
    )
    processor = pictures_only(hf.Qwen3VLProcessor)(
        pictures, tokens, chat_template=template(start + pad + end)
    )
    return _backbone(hf.Qwen3VLForConditionalGeneration, config, processor)


def qwen2_vl() -> Backbone:
    return _qwen2(
        hf.Qwen2VLConfig,
        hf.Qwen2VLForConditionalGeneration,
        hf.Qwen2VLProcessor,
        {"depth": 2, "embed_dim": 32, "hidden_size": 64, "num_heads": 2, "mlp_ratio": 2},
    )


def qwen2_5_vl() -> Backbone:
    return _qwen2(
        hf.Qwen2_5_VLConfig,
        hf.Qwen2_5_VLForConditionalGeneration,
        hf.Qwen2_5_VLProcessor,
        {
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "out_hidden_size": 64,
            "num_heads": 2,
            "fullatt_block_indexes": [1],
            "window_size": 56,
        },
    )


def _qwen2(config_class: Any, model_class: Any, processor_class: Any, vision: Any) -> Backbone:
    pad, start, end, video = "<|image_pad|>", "<|vision_start|>", "<|vision_end|>", "<|video_pad|>"
    tokens = tokenizer(pad, start, end, video)
    text = {k: v for k, v in TEXT.items() if k != "head_dim"}
    config = config_class(
        text_config={**text, "vocab_size": len(tokens), "rope_parameters": _mrope([4, 2, 2])},
        vision_config=vision,
        **_qwen_ids(tokens),
    )
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    pictures = Qwen2VLImageProcessorPil(size={"shortest_edge": 28 * 28, "longest_edge": 84 * 84})
    processor = pictures_only(processor_class)(
        pictures, tokens, chat_template=template(start + pad + end)
    )
    return _backbone(model_class, config, processor)


def idefics3() -> Backbone:
    others = ["<fake_token_around_image>", "<global-img>", "<end_of_utterance>"]
    others += [f"<row_{i}_col_{j}>" for i in range(1, 5) for j in range(1, 5)]
    tokens = tokenizer("<image>", *others)
    config = hf.Idefics3Config(
        text_config={"model_type": "llama", **TEXT, "vocab_size": len(tokens)},
        vision_config={**VISION, "num_hidden_layers": 2, "image_size": 32, "patch_size": 8},
        scale_factor=2,
        image_token_id=tokens.convert_tokens_to_ids("<image>"),
        pad_token_id=tokens.pad_token_id,
    )
    from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

    pictures = Idefics3ImageProcessorPil(
        size={"longest_edge": 64}, max_image_size={"longest_edge": 32}
    )
    processor = hf.Idefics3Processor(
        pictures, tokens, image_seq_len=4, chat_template=template("<image>")
    )
    return _backbone(hf.Idefics3ForConditionalGeneration, config, processor)


def llava() -> Backbone:
    tokens = tokenizer("<image>")
    config = hf.LlavaConfig(
        text_config={"model_type": "llama", **TEXT, "vocab_size": len(tokens)},
        vision_config={
            "model_type": "clip_vision_model",
            **VISION,
            "num_hidden_layers": 2,
            "image_size": 28,
            "patch_size": 14,
            "projection_dim": 32,
        },
        image_token_id=tokens.convert_tokens_to_ids("<image>"),
    )
    from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

    side = {"height": 28, "width": 28}
    pictures = LlavaImageProcessorPil(size=side, crop_size=side)
    processor = hf.LlavaProcessor(
        pictures,
        tokens,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template("<image>"),
    )
    return _backbone(hf.LlavaForConditionalGeneration, config, processor)


def llava_onevision() -> Backbone:
    tokens = tokenizer("<image>", "<video>")
    pins = [[28, 28], [28, 56], [56, 28]]
    config = hf.LlavaOnevisionConfig(
        text_config={
            "model_type": "qwen2",
            **{k: v for k, v in TEXT.items() if k != "head_dim"},
            "vocab_size": len(tokens),
        },
        vision_config={
            "model_type": "siglip_vision_model",
            **VISION,
            "num_hidden_layers": 2,
            "image_size": 28,
            "patch_size": 14,
            "vision_use_head": False,
        },
        image_grid_pinpoints=pins,
        image_token_id=tokens.convert_tokens_to_ids("<image>"),
        video_token_id=tokens.convert_tokens_to_ids("<video>"),
    )
    from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
        LlavaOnevisionImageProcessorPil,
    )

    pictures = LlavaOnevisionImageProcessorPil(
        size={"height": 28, "width": 28}, image_grid_pinpoints=pins
    )
    processor = pictures_only(hf.LlavaOnevisionProcessor)(
        pictures,
        tokens,
        num_image_tokens=4,
        vision_feature_select_strategy="full",
        chat_template=template("<image>"),
    )
    return _backbone(hf.LlavaOnevisionForConditionalGeneration, config, processor)


def nano() -> Backbone:
    tokens = tokenizer(IMAGE_TOKEN)
    text = hf.LlamaConfig(**TEXT, vocab_size=len(tokens), tie_word_embeddings=True)
    config = NanoConfig(
        text, image_size=64, image_token_id=tokens.convert_tokens_to_ids(IMAGE_TOKEN)
    )
    processor = NanoProcessor(
        NanoImageProcessor(64), tokens, tokens_per_picture=config.tokens_per_picture
    )
    made = _backbone(NanoForConditionalGeneration, config, processor)
    for module in made.model.model.vision_tower.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    return made


FAMILIES: dict[str, Callable[[], Backbone]] = {
    make.__name__: make
    for make in (qwen3_vl, qwen2_5_vl, qwen2_vl, idefics3, llava, llava_onevision, nano)
}


def _mrope(sections: list[int]) -> dict[str, Any]:
    return {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": sections}


def _qwen_ids(tokens: hf.PreTrainedTokenizerFast) -> dict[str, Any]:
    names = {
        "image_token_id": "<|image_pad|>",
        "video_token_id": "<|video_pad|>",
        "vision_start_token_id": "<|vision_start|>",
        "vision_end_token_id": "<|vision_end|>",
    }
    return {key: tokens.convert_tokens_to_ids(name) for key, name in names.items()}


def _backbone(model_class: Any, config: Any, processor: Any) -> Backbone:
    torch.manual_seed(0)
    model = model_class(config)
    for name, parameter in model.named_parameters():
        # Random weights of the default size leave every state near zero, where nothing differs.
        if parameter.dim() > 1 and "norm" not in name:
            torch.nn.init.normal_(parameter, std=0.15)
    torch.nn.init.normal_(model.get_input_embeddings().weight, std=1.0)
    return Backbone(model, processor, {"name": "tiny"})
