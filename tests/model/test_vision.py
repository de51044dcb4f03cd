"""The vision tower names what is on real photographs."""

from __future__ import annotations

from math import ceil, floor

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from ponder.model.processor import NanoImageProcessor
from ponder.model.vision import (
    BATCH_NORM_EPS,
    EfficientNetLite,
    SameConv,
    fold_batch_norm,
    pool,
)

# ImageNet's numbers of what the photographs show.
TABBY, EGYPTIAN_CAT, TIGER_CAT = 281, 285, 282
ESPRESSO, DAISY, MISSILE = 967, 985, 657


@pytest.mark.nano
@torch.inference_mode()
def test_imagenet_classes_are_right_on_photographs() -> None:
    from skimage import data
    from sklearn.datasets import load_sample_image

    from ponder.model.pull import nano_folder

    tower = EfficientNetLite().eval()
    tower.load_state_dict(fold_batch_norm(load_file(nano_folder() / "vision.safetensors")))
    photographs = [data.chelsea(), data.coffee(), load_sample_image("flower.jpg"), data.rocket()]
    pictures = [_centre(Image.fromarray(photograph)) for photograph in photographs]
    pixels = NanoImageProcessor()(pictures)["pixel_values"]
    cat, coffee, flower, rocket = tower.classify(tower(pixels)[0]).argmax(dim=1).tolist()
    assert cat in (TABBY, EGYPTIAN_CAT, TIGER_CAT)
    assert coffee == ESPRESSO
    assert flower == DAISY
    assert rocket == MISSILE


def _centre(photograph: Image.Image) -> Image.Image:
    """Cut the centre 7/8 out of a photograph, as ImageNet's evaluation does."""
    side = min(photograph.size)
    left, top = (photograph.width - side) // 2, (photograph.height - side) // 2
    edge = side // 16
    return photograph.crop((left + edge, top + edge, left + side - edge, top + side - edge))


def test_folding_equals_convolution_then_batch_norm() -> None:
    torch.manual_seed(0)
    convolution = nn.Conv2d(3, 32, 3, stride=2, bias=False)
    norm = nn.BatchNorm2d(32, eps=BATCH_NORM_EPS).eval()
    nn.init.uniform_(norm.weight, 0.5, 2)
    nn.init.normal_(norm.bias)
    norm.running_mean = torch.randn(32)
    norm.running_var = torch.rand(32) + 0.1
    published = _random_published()
    published["_conv_stem.weight"] = convolution.weight.detach()
    for name, value in norm.state_dict().items():
        published[f"_bn0.{name}"] = value
    tower = EfficientNetLite().eval()
    tower.load_state_dict(fold_batch_norm(published))
    pixels = torch.randn(2, 3, 64, 64)
    # SAME puts the one extra row and column of a strided 3x3 convolution last.
    expected = norm(convolution(F.pad(pixels, (0, 1, 0, 1))))
    assert torch.allclose(tower.stem(pixels), expected, atol=1e-4)


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (5, 1), (3, 2), (5, 2)])
def test_same_padding_keeps_the_grid(kernel: int, stride: int) -> None:
    output = SameConv(2, 2, kernel, stride)(torch.randn(1, 2, 32, 32))
    assert output.shape[-2:] == (32 // stride, 32 // stride)


@torch.inference_mode()
def test_pooled_features_are_those_of_what_the_stages_said() -> None:
    torch.manual_seed(0)
    tower = EfficientNetLite().eval()
    for module in tower.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    heard: dict[str, torch.Tensor] = {}
    # The last blocks of the stages of 192, 112 and 40 channels, counted in the published table.
    watched = {"head": tower.head, "192": tower.blocks[14], "112": tower.blocks[10]}
    for name, module in (watched | {"40": tower.blocks[4]}).items():
        module.register_forward_hook(lambda _, __, output, name=name: heard.update({name: output}))
    pooled = pool(tower(torch.randn(2, 3, 224, 224), (192, 40, 112)), 2)

    head, *stages = F.relu6(heard["head"]), heard["192"], heard["40"], heard["112"]
    assert [x.shape[1:] for x in stages] == [(192, 7, 7), (40, 28, 28), (112, 14, 14)]
    halves = (0, 0.5), (0.5, 1)
    regions = [((0, 1), (0, 1)), *((rows, columns) for rows in halves for columns in halves)]
    for i, region in enumerate(regions):
        wanted = [_cut(head, *region).mean(dim=(2, 3))]
        for part in (_cut(stage, *region) for stage in stages):
            wanted += [part.mean(dim=(2, 3)), part.amax(dim=(2, 3))]
        assert torch.allclose(pooled[:, i], torch.cat(wanted, dim=1), atol=1e-4)
    assert pooled.shape == (2, 5, 1280 + 2 * (192 + 40 + 112))


def _cut(
    grid: torch.Tensor, rows: tuple[float, float], columns: tuple[float, float]
) -> torch.Tensor:
    """Cut out a region given in shares of the side; cells on its edge belong to it."""
    side = grid.shape[2]
    top, bottom, left, right = (share * side for share in (*rows, *columns))
    return grid[:, :, floor(top) : ceil(bottom), floor(left) : ceil(right)]


def _random_published() -> dict[str, torch.Tensor]:
    """Return weights under the published names, with batch norms that change nothing."""
    from ponder.model.vision import _layers

    folded = EfficientNetLite().state_dict()
    weights = {"_fc.weight": folded["classifier.weight"], "_fc.bias": folded["classifier.bias"]}
    for ours, convolution, norm in _layers():
        channels = len(folded[f"{ours}.bias"])
        weights[f"{convolution}.weight"] = folded[f"{ours}.weight"]
        weights[f"{norm}.weight"] = weights[f"{norm}.running_var"] = torch.ones(channels)
        weights[f"{norm}.bias"] = weights[f"{norm}.running_mean"] = torch.zeros(channels)
    return weights
