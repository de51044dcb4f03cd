"""Fixtures: a tiny random `nano`, and the real one where it has been pulled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ponder.engine.model import Model
    from ponder.model.nano import NanoForConditionalGeneration


@pytest.fixture(scope="session")
def tiny_nano() -> NanoForConditionalGeneration:
    """A random `nano` of two thin layers over the whole vocabulary."""
    import torch
    from transformers import LlamaConfig

    from ponder.model.nano import NanoConfig, NanoForConditionalGeneration

    text = LlamaConfig(
        vocab_size=49152,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    config = NanoConfig(text, regions_side=2)
    model = NanoForConditionalGeneration(config).eval()
    # Random weights of the default size leave every state near zero, where nothing differs.
    torch.nn.init.normal_(model.get_input_embeddings().weight, std=1.0)
    torch.nn.init.normal_(model.model.connector.output.weight, std=0.05)
    for module in model.model.vision_tower.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    return model


@pytest.fixture(scope="session")
def nano() -> Model:
    """The real `nano` in float32."""
    import torch

    import ponder

    return ponder.load("nano", dtype=torch.float32)
