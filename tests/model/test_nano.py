"""`nano` keeps the contract of a Hugging Face image-text-to-text model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

from ponder.model.connector import Connector
from ponder.model.nano import NanoConfig
from ponder.model.processor import NanoImageProcessor, NanoProcessor, fit_square
from ponder.model.readout import ReadOut, ReadOutConfig
from ponder.model.saved import load_saved, nano_backbone, save

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


def test_the_config_keeps_its_regions_and_stages(tmp_path: Path) -> None:
    NanoConfig(regions_side=3, stage_channels=(112, 40)).save_pretrained(tmp_path)
    again = AutoConfig.from_pretrained(tmp_path)
    assert (again.tokens_per_picture, again.stage_channels) == (10, (112, 40))
    assert again.region_features == 1280 + 2 * (112 + 40)
    with pytest.raises(ValueError, match=r"no stage has \[41\] channels, they have \[16, 24, 40"):
        NanoConfig(stage_channels=(320, 41))


def test_a_saved_folder_keeps_the_shape_of_the_connector(tmp_path: Path) -> None:
    torch.manual_seed(0)
    shape = {"regions_side": 1, "stage_channels": (112,), "together": 3, "loudness": 0.2}
    backbone = nano_backbone(shape)
    readout = ReadOut(ReadOutConfig(backbone.hidden_size))
    save(tmp_path, backbone, readout, ())
    backbone.model.config.loudness = 0.3
    save(tmp_path / "louder", backbone, readout, ())
    backbone.model.config.loudness = 0.2
    kept, louder = (load_saved(path, device="cpu") for path in (tmp_path, tmp_path / "louder"))
    assert louder.record["weights"] == kept.record["weights"]  # no tensor shows it
    assert louder.fingerprint != kept.fingerprint
    backbone.model.bfloat16()
    again = load_saved(tmp_path, dtype=torch.bfloat16, device="cpu").backbone
    assert again.model.config.stage_channels == (112,)
    assert again.processor.tokens_per_picture == 2
    pixels = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        before, after = (made.model.get_image_features(pixels) for made in (backbone, again))
    assert torch.equal(before, after)


def test_the_connector_standardises_all_but_the_head() -> None:
    torch.manual_seed(0)
    config = NanoConfig(stage_channels=(40,))
    connector = Connector(config)
    features = torch.randn(300, 5, config.region_features) * 3 + 7
    connector.standardise(features)
    taken: list[torch.Tensor] = []
    connector.output.register_forward_hook(lambda _, given, __: taken.append(given[0]))
    assert connector(features).shape == (300, 5, config.text_config.hidden_size)
    head, stages = taken[0][..., :1280], taken[0][..., 1280:]
    assert head.mean(dim=-1).abs().max() < 1e-3  # LayerNorm: over a region's channels
    assert stages.mean(dim=(0, 1)).abs().max() < 1e-3  # over pictures and regions
    assert torch.allclose(stages.flatten(0, 1).std(dim=0), torch.ones(80), atol=1e-3)


def test_together_each_token_knows_of_all_regions() -> None:
    torch.manual_seed(0)
    features = torch.randn(2, 5, NanoConfig().region_features)
    changed = features.clone()
    changed[:, 4] += 1
    for together, loudness in ((0, 0.0), (0, 0.3), (8, 0.0), (8, 0.3)):
        connector = Connector(NanoConfig(together=together, loudness=loudness))
        before, after = connector(features), connector(changed)
        is_changed = (before != after).any(dim=-1).all(dim=0)
        assert is_changed.tolist() == [bool(together)] * 4 + [True]
        if loudness:
            rms = before.pow(2).mean(dim=-1).sqrt()
            assert torch.allclose(rms, torch.tensor(loudness), rtol=1e-3)


def test_pictures_keep_their_shape_on_white() -> None:
    wide = fit_square(Image.new("RGB", (400, 100), "black"), 224)
    assert wide.size == (224, 224)
    values = np.asarray(wide.convert("L"))
    assert values[0].min() == 255
    assert values[112].max() == 0
    assert (values < 128).sum() == 224 * 56
