"""`nano` keeps the contract of a Hugging Face image-text-to-text model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from ponder.model.processor import NanoImageProcessor, NanoProcessor, fit_square

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import BatchFeature

    from ponder.model.nano import NanoForConditionalGeneration

pytestmark = pytest.mark.nano  # the tokenizer is the real one's


@pytest.fixture(scope="module")
def processor() -> NanoProcessor:
    from transformers import AutoTokenizer

    from ponder.model.pull import nano_folder

    tokenizer = AutoTokenizer.from_pretrained(nano_folder() / "language")
    return NanoProcessor(NanoImageProcessor(), tokenizer, tokens_per_picture=5)


def picture(seed: int, size: tuple[int, int] = (90, 60)) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 255, (*size, 3), dtype=np.uint8)
    return Image.fromarray(values).resize((224, 150), Image.Resampling.NEAREST)


def inputs(processor: NanoProcessor, *contents: list[str | Image.Image]) -> BatchFeature:
    """Process rows of content, padded on the left."""
    prompts, pictures = [], []
    for content in contents:
        parts = [
            {"type": "text", "text": part} if isinstance(part, str) else {"type": "image"}
            for part in content
        ]
        pictures += [part for part in content if not isinstance(part, str)]
        turns = [{"role": "user", "content": parts}]
        prompts.append(
            processor.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        )
    return processor(
        text=prompts,
        images=pictures,
        padding=True,
        padding_side="left",
        return_tensors="pt",
    )


ROWS: list[list[str | Image.Image]] = [
    ["a red bicycle leans on a wall in the sun"],
    [picture(1), "what is this?"],
    [picture(2), "and", picture(3), "and", picture(4), "how do they differ?"],
    ["yes"],
]


@torch.inference_mode()
def test_left_padding_changes_nothing(
    tiny_nano: NanoForConditionalGeneration, processor: NanoProcessor
) -> None:
    together = inputs(processor, *ROWS)
    batch = tiny_nano(**together).logits
    for i, row in enumerate(ROWS):
        alone = tiny_nano(**inputs(processor, row)).logits[0]
        padded = batch[i, -len(alone) :]
        assert torch.allclose(padded, alone, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_pictures_reach_their_own_places(
    tiny_nano: NanoForConditionalGeneration, processor: NanoProcessor
) -> None:
    first = tiny_nano(**inputs(processor, [picture(1), "and", picture(2)])).logits
    swapped = tiny_nano(**inputs(processor, [picture(2), "and", picture(1)])).logits
    assert not torch.allclose(first, swapped, atol=1e-3)


@torch.inference_mode()
def test_generate_with_cache_says_what_it_says_without(
    tiny_nano: NanoForConditionalGeneration, processor: NanoProcessor
) -> None:
    features = inputs(processor, *ROWS)
    options = {"max_new_tokens": 8, "min_new_tokens": 8, "do_sample": False}
    options |= {"output_scores": True, "return_dict_in_generate": True}
    cached = tiny_nano.generate(**features, use_cache=True, **options)
    uncached = tiny_nano.generate(**features, use_cache=False, **options)
    assert torch.equal(cached.sequences, uncached.sequences)
    for with_cache, without in zip(cached.scores, uncached.scores, strict=True):
        assert torch.allclose(with_cache, without, atol=1e-3)


def test_labels_give_the_shifted_cross_entropy(
    tiny_nano: NanoForConditionalGeneration, processor: NanoProcessor
) -> None:
    features = inputs(processor, ROWS[1])
    output = tiny_nano(**features, labels=features["input_ids"])
    expected = torch.nn.functional.cross_entropy(
        output.logits[0, :-1].float(), features["input_ids"][0, 1:]
    )
    assert torch.allclose(output.loss, expected, atol=1e-5)


def test_too_few_pictures_are_refused(
    tiny_nano: NanoForConditionalGeneration, processor: NanoProcessor
) -> None:
    with pytest.raises(ValueError, match="mark 1 pictures, but 0"):
        processor(text=[processor.image_token], images=None)
    features = inputs(processor, ROWS[2])
    with pytest.raises(ValueError, match="15 picture placeholders but 5 picture tokens"):
        tiny_nano(**(features | {"pixel_values": features["pixel_values"][:1]}))


@torch.inference_mode()
def test_a_saved_model_opens_by_the_auto_classes(
    tiny_nano: NanoForConditionalGeneration, processor: NanoProcessor, tmp_path: Path
) -> None:
    tiny_nano.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    model = AutoModelForImageTextToText.from_pretrained(tmp_path).eval()
    again = AutoProcessor.from_pretrained(tmp_path)
    before, after = inputs(processor, ROWS[2]), inputs(again, ROWS[2])
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert torch.equal(tiny_nano(**before).logits, model(**after).logits)


def test_pictures_keep_their_shape_on_white() -> None:
    wide = fit_square(Image.new("RGB", (400, 100), "black"), 224)
    assert wide.size == (224, 224)
    values = np.asarray(wide.convert("L"))
    assert values[0].min() == 255
    assert values[112].max() == 0
    assert (values < 128).sum() == 224 * 56
