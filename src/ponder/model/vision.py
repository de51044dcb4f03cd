"""EfficientNet-Lite0, the vision tower of `nano`, as convolutions with batch norm folded in.

Architecture: the stage table of the EfficientNet-Lite release (MBConv blocks without
squeeze-and-excitation, ReLU6). transformers' EfficientNet cannot leave squeeze-and-excitation out
and timm needs torchvision, so the hundred lines are here; folding batch norm into the convolutions
and keeping the channels last is what makes the tower fast on a CPU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

BATCH_NORM_EPS = 1e-3
HEAD_CHANNELS = 1280
IMAGENET_CLASSES = 1000


class Stage(NamedTuple):
    """One row of the stage table: `repeats` blocks, the first of them with `stride`."""

    repeats: int
    kernel: int
    stride: int
    expand: int
    channels: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
STEM_CHANNELS = 32


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow's SAME: with a stride, the extra row goes last."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        symmetric = stride == 1
        super().__init__(
            inputs,
            outputs,
            kernel,
            stride,
            padding=kernel // 2 if symmetric else 0,
            groups=groups,
        )
        # With an even input side, SAME pads kernel - stride in all.
        total = kernel - stride
        before = total // 2
        self.extra = None if symmetric else (before, total - before) * 2

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H / stride, W / stride); H and W are even."""
        output: Tensor = super().forward(x if self.extra is None else F.pad(x, self.extra))
        return output


class Block(nn.Module):
    """A mobile inverted bottleneck: expand, depthwise, project, and the residual if it fits."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        middle = inputs * expand
        self.expand = SameConv(inputs, middle, 1) if expand != 1 else None
        self.depthwise = SameConv(middle, middle, kernel, stride, groups=middle)
        self.project = SameConv(middle, outputs, 1)
        self.is_residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        y = x if self.expand is None else F.relu6(self.expand(x), inplace=not self.training)
        y = F.relu6(self.depthwise(y), inplace=not self.training)
        y = self.project(y)
        output: Tensor = y + x if self.is_residual else y
        return output


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite0: maps of features, and the ImageNet classifier on the head's mean."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv(3, STEM_CHANNELS, 3, stride=2)
        blocks, channels = [], STEM_CHANNELS
        for stage in STAGES:
            for i in range(stage.repeats):
                stride = stage.stride if i == 0 else 1
                blocks.append(Block(channels, stage.channels, stage.kernel, stride, stage.expand))
                channels = stage.channels
        self.blocks = nn.ModuleList(blocks)
        self.head = SameConv(channels, HEAD_CHANNELS, 1)
        self.classifier = nn.Linear(HEAD_CHANNELS, IMAGENET_CLASSES)

    def forward(self, pixels: Tensor, stage_channels: Sequence[int] = ()) -> list[Tensor]:
        """Return the head's map and those of chosen stages.

        Args:
            pixels: (B, 3, S, S) with S a multiple of 32, scaled to about -1..1.
            stage_channels: which stages, each named by its channels.

        Returns:
            (B, 1280, S / 32, S / 32) of the head; of each chosen stage (B, its channels, side,
            side), where side is S / 32 for the last two and S / 16 for the two before.
        """
        x = F.relu6(self.stem(pixels.contiguous(memory_format=torch.channels_last)))
        maps: dict[int, Tensor] = {}
        for block in self.blocks:
            x = block(x)
            maps[x.shape[1]] = x  # a stage's last block is written last
        return [F.relu6(self.head(x)), *(maps[channels] for channels in stage_channels)]

    def classify(self, head: Tensor) -> Tensor:
        """Return the ImageNet logits (B, 1000) of the head's map."""
        logits: Tensor = self.classifier(head.mean(dim=(2, 3)))
        return logits


def pool(maps: Sequence[Tensor], regions_side: int) -> Tensor:
    """Return what a picture's maps hold, as a whole and region by region.

    Args:
        maps: (B, channels, side, side) each, the head's first; sides may differ.
        regions_side: beside the whole, so many by so many regions, row by row.

    Returns:
        (B, 1 + regions, F): the head's means, and of every other map means and then maxima.
    """
    head, *stages = maps
    pooled = []
    for side in (1, regions_side):
        features = [F.adaptive_avg_pool2d(head, side)]
        for stage in stages:
            features += [F.adaptive_avg_pool2d(stage, side), F.adaptive_max_pool2d(stage, side)]
        pooled.append(torch.cat(features, dim=1).flatten(2).transpose(1, 2))  # (B, side², F)
    return torch.cat(pooled, dim=1)


def fold_batch_norm(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Turn the published EfficientNet-Lite0 weights into those of `EfficientNetLite`.

    Each convolution W followed by batch norm (mean m, variance v, scale g, shift b) becomes one
    with weight W * s and bias b - m * s, where s = g / sqrt(v + eps).
    """
    folded = {
        "classifier.weight": weights["_fc.weight"],
        "classifier.bias": weights["_fc.bias"],
    }
    for ours, convolution, norm in _layers():
        scale = weights[f"{norm}.weight"] / torch.sqrt(
            weights[f"{norm}.running_var"] + BATCH_NORM_EPS
        )
        folded[f"{ours}.weight"] = weights[f"{convolution}.weight"] * scale[:, None, None, None]
        folded[f"{ours}.bias"] = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
    return folded


def _layers() -> Iterator[tuple[str, str, str]]:
    """Yield (our name, published convolution, published batch norm) of every convolution."""
    yield "stem", "_conv_stem", "_bn0"
    yield "head", "_conv_head", "_bn1"
    index = 0
    for stage in STAGES:
        for _ in range(stage.repeats):
            theirs, ours = f"_blocks.{index}", f"blocks.{index}"
            if stage.expand != 1:
                yield f"{ours}.expand", f"{theirs}._expand_conv", f"{theirs}._bn0"
            yield f"{ours}.depthwise", f"{theirs}._depthwise_conv", f"{theirs}._bn1"
            yield f"{ours}.project", f"{theirs}._project_conv", f"{theirs}._bn2"
            index += 1
