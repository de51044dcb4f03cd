"""Thinkers on tiny backbones, their adapters random instead of fresh, so that all parts matter."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from ponder.items import Item
from ponder.model.adapters import ADAPTERS
from ponder.model.latent import TransitionAdapter, TransitionConfig
from ponder.model.readout import ReadOut, ReadOutConfig
from ponder.model.saved import hub_backbone, save
from ponder.model.thinker import Thinker, ThinkerConfig
from tests.families import FAMILIES

if TYPE_CHECKING:
    from pathlib import Path

    from ponder.model.backbone import Backbone

CONFIG = ThinkerConfig({"reasoning": 2, "embedding": 4}, queries=3, max_thought_tokens=12)


def thinker(family: str, config: ThinkerConfig = CONFIG) -> Thinker:
    """Return a thinker on a tiny backbone of a family; `nano`'s adds to a read-out of means."""
    backbone = FAMILIES[family]()
    readout = None
    if family == "nano":
        torch.manual_seed(2)
        shape = ReadOutConfig(backbone.hidden_size, (0, 1, -1), width=32, dim=24, matryoshka=(24,))
        readout = ReadOut(shape).eval()
    return shaken(backbone, config, readout)


def shaken(
    backbone: Backbone, config: ThinkerConfig = CONFIG, readout: ReadOut | None = None
) -> Thinker:
    """Return a thinker all of whose parts are random."""
    made = Thinker.fresh(backbone, config, readout)
    generator = torch.Generator().manual_seed(1)
    parameters = [p for name in ADAPTERS for p in made.adapters.parameters(name)]
    if made.queries.projection is not None:
        parameters.append(made.queries.projection.weight)
    with torch.no_grad():
        for parameter in parameters:
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    return made


def rolling(
    family: str, config: ThinkerConfig = CONFIG, steps: int = 3, experts: int = 4
) -> Thinker:
    """Return a thinker that takes latent steps, its adapter random as the rest."""
    made = thinker(family, config)
    shape = TransitionConfig(steps, experts, min(2, experts), input_scale=0.5)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        made.latent = TransitionAdapter(shape, made.backbone.hidden_size)
        with torch.no_grad():
            for parameter in made.latent.parameters():
                parameter.copy_(0.3 * torch.randn(parameter.shape))
    made.latent.requires_grad_(False)
    return made


def with_config(made: Thinker, **changes: object) -> Thinker:
    """Return a thinker of the same parts and another configuration."""
    config = replace(made.config, **changes)
    parts = (made.backbone, made.adapters, made.queries, made.gate)
    return Thinker(*parts, config, made.readout, made.latent)


def picture(seed: int, size: tuple[int, int] = (50, 70)) -> Image.Image:
    """Return noise of a size (height, width)."""
    values = np.random.default_rng(seed).integers(0, 255, (*size, 3), dtype=np.uint8)
    return Image.fromarray(values)


def kept(folder: Path, family: str = "llava") -> Path:
    """Save a tiny thinker and its backbone below a folder; return what `ponder.load` opens."""
    made = FAMILIES[family]()
    made.model.save_pretrained(folder / "backbone")
    made.processor.save_pretrained(folder / "backbone")
    trained = shaken(hub_backbone(str(folder / "backbone"), None, torch.float32), CONFIG)
    save(folder / "trained", trained.backbone, None, [{"stage": "random"}], trained)
    return folder / "trained"


# Text alone, a picture alone, both, several pictures of different shapes, and frames of a video.
ITEMS = [
    Item(("yes",)),
    Item((picture(1), "what is this?")),
    Item((picture(2), "and", picture(3, (40, 40)), "and", picture(4, (80, 30)), "differ?")),
    Item(("a quick brown fox jumps over the lazy dog while seven wizards box",)),
    Item((picture(5, (30, 90)),)),
    Item(tuple(picture(6 + i, (48, 48)) for i in range(4))),
]
