"""The vision tower names what is on real photographs."""

from __future__ import annotations

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from ponder.model.processor import NanoImageProcessor
from ponder.model.vision import BATCH_NORM_EPS, EfficientNetLite, SameConv, fold_batch_norm

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
    cat, coffee, flower, rocket = tower.classify(tower(pixels)).argmax(dim=1).tolist()
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
