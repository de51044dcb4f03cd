"""EfficientNet-Lite0 through OpenVINO: a convolution and its activation in one pass over memory.

PyTorch writes out what each convolution gives before the activation reads it again; on a CPU that
is most of the tower's time. The graph is put together from the tower's layers; to trace it takes
seconds each time.
"""

from __future__ import annotations

import sys
import threading
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ponder.model.vision import Block

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from ponder.model.vision import EfficientNetLite, SameConv

_PRECISIONS = {torch.float32: "f32", torch.bfloat16: "bf16", torch.float16: "f16"}


def can_fuse() -> bool:
    """Return whether OpenVINO is installed."""
    return find_spec("openvino") is not None


class FusedTower:
    """A vision tower and the pooling of its maps, for inference on a CPU.

    Put together when the first pictures come, from the weights the tower has then. Pictures run one
    by one, as many at a time as torch has threads then, so what one gives does not depend on the
    others.

    Args:
        tower: whose weights to take.
        stage_channels: stages that are seen beside its head, each named by its channels.
        regions_side: a picture is seen whole and in so many by so many regions.
    """

    def __init__(
        self, tower: EfficientNetLite, stage_channels: Sequence[int], regions_side: int
    ) -> None:
        self._tower = tower
        self._stage_channels = stage_channels
        self._regions_side = regions_side
        self._queue: Any = None
        self._lock = threading.Lock()

    def __call__(self, pixels: Tensor) -> Tensor:
        """Return what `ponder.model.vision.pool` makes of the maps of (P, 3, S, S): (P, K, F)."""
        pictures = pixels.float().permute(0, 2, 3, 1).contiguous().numpy()
        pooled: list[Any] = [None] * len(pictures)

        def keep(request: Any, number: int) -> None:
            pooled[number] = request.get_output_tensor().data.copy()

        with self._lock:
            if self._queue is None:
                self._queue = self._compile(pictures.shape[1])
            self._queue.set_callback(keep)
            for number in range(len(pictures)):
                self._queue.start_async({0: pictures[number : number + 1]}, number, True)
            self._queue.wait_all()
        return torch.from_numpy(np.concatenate(pooled))

    def _compile(self, size: int) -> Any:
        openvino = _import_openvino()
        settings = {
            "INFERENCE_PRECISION_HINT": _PRECISIONS[self._tower.stem.weight.dtype],
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        compiled = openvino.Core().compile_model(self._graph(openvino, size), "CPU", settings)
        return openvino.AsyncInferQueue(compiled)

    def _graph(self, openvino: Any, size: int) -> Any:
        """Return the graph from (1, S, S, 3) to (1, K, F), both float32."""
        ops = openvino.opset13
        pixels = ops.parameter([1, size, size, 3], np.float32, "pixels")
        x = _activated(ops, self._tower.stem, ops.transpose(pixels, [0, 3, 1, 2]))
        maps = {}
        for block in self._tower.blocks:
            assert isinstance(block, Block)
            y = x if block.expand is None else _activated(ops, block.expand, x)
            y = _activated(ops, block.depthwise, y)
            y = _convolved(ops, block.project, y)
            x = ops.add(y, x) if block.is_residual else y
            maps[block.project.out_channels] = x
        head = _activated(ops, self._tower.head, x)
        stages = [maps[channels] for channels in self._stage_channels]
        pooled = []
        for side in (1, self._regions_side):
            cells = [side, side]
            features = [ops.adaptive_avg_pool(head, cells)]
            for stage in stages:
                features.append(ops.adaptive_avg_pool(stage, cells))
                features.append(ops.adaptive_max_pool(stage, cells, "i32").output(0))
            together = ops.reshape(ops.concat(features, 1), [0, 0, side * side], True)
            pooled.append(ops.transpose(together, [0, 2, 1]))  # (1, side², F)
        return openvino.Model([ops.result(ops.concat(pooled, 1))], [pixels])


def _import_openvino() -> Any:
    # Importing it reports the use to its makers over the network, unless this is not to be found.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino.opset13

    return openvino


def _activated(ops: Any, layer: SameConv, x: Any) -> Any:
    return ops.clamp(_convolved(ops, layer, x), 0.0, 6.0)  # ReLU6


def _convolved(ops: Any, layer: SameConv, x: Any) -> Any:
    assert layer.bias is not None
    weight = layer.weight.detach().float().numpy()  # (outputs, inputs / groups, kernel, kernel)
    bias = layer.bias.detach().float().numpy().reshape(1, -1, 1, 1)
    top, bottom = layer.extra[:2] if layer.extra else (layer.padding[0],) * 2
    places = (list(layer.stride), [top, top], [bottom, bottom], [1, 1])
    if layer.groups == 1:
        y = ops.convolution(x, weight, *places)
    else:
        y = ops.group_convolution(x, weight[:, None], *places)
    return ops.add(y, bias)
