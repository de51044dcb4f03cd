"""The vision tower through OpenVINO is the same tower."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import torch

import ponder
from ponder.model.fused import FusedTower

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from ponder.engine.model import Model
    from ponder.model.nano import NanoForConditionalGeneration, NanoModel


def _pixels(count: int) -> Tensor:
    torch.manual_seed(0)
    return torch.rand(count, 3, 224, 224) * 2 - 1


def _fused(model: NanoModel) -> FusedTower:
    return FusedTower(model.vision_tower, model.config.stage_channels, model.config.regions_side)


@torch.inference_mode()
def test_it_gives_what_the_tower_gives(tiny_nano: NanoForConditionalGeneration) -> None:
    pixels = _pixels(5)
    expected = tiny_nano.model.pool_pictures(pixels)
    assert expected.std() > 0.1
    torch.testing.assert_close(_fused(tiny_nano.model)(pixels), expected, rtol=1e-4, atol=1e-4)


def test_a_picture_gives_the_same_alone_as_among_others(
    tiny_nano: NanoForConditionalGeneration,
) -> None:
    fused, pixels = _fused(tiny_nano.model), _pixels(7)
    together = fused(pixels)
    assert torch.equal(torch.cat([fused(pixels[i : i + 1]) for i in range(7)]), together)


def test_nothing_is_reported_to_anyone(tmp_path: Path) -> None:
    """OpenVINO's import would ask for an identifier in the home folder, and send it."""
    program = (
        "import sys, torch\n"
        "from ponder.model.fused import FusedTower\n"
        "from ponder.model.vision import EfficientNetLite\n"
        "FusedTower(EfficientNetLite(), (320,), 2)(torch.zeros(1, 3, 64, 64))\n"
        "assert 'openvino' in sys.modules\n"
        "assert not sys.modules['openvino_telemetry']\n"
    )
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.nano
def test_loaded_models_see_through_it(nano: Model) -> None:
    model = nano.saved.backbone.model.model
    assert isinstance(model.fused_tower, FusedTower)
    with torch.inference_mode():
        expected = model.connector(model.pool_pictures(_pixels(2)))
        torch.testing.assert_close(
            model.get_image_features(_pixels(2)), expected, rtol=1e-3, atol=1e-3
        )


@pytest.mark.nano
def test_in_bfloat16_it_errs_no_more_than_the_tower(nano: Model) -> None:
    exact = nano.saved.backbone.model.model.pool_pictures(_pixels(4))
    rounded = ponder.load("nano", dtype=torch.bfloat16).saved.backbone.model.model
    with torch.inference_mode():
        plain = rounded.pool_pictures(_pixels(4).bfloat16()).float()
        fused = rounded.fused_tower(_pixels(4))
    assert (fused - exact).norm() < 1.2 * (plain - exact).norm()


def test_it_has_as_many_threads_as_torch(tiny_nano: NanoForConditionalGeneration) -> None:
    fused, before = _fused(tiny_nano.model), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        fused(_pixels(1))
    finally:
        torch.set_num_threads(before)
    assert len(fused._queue) == 1  # pictures at a time
