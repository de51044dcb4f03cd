"""The gate: from the states of the no-think read-out, whether an item needs a thought."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from ponder.errors import WeightsError
from ponder.model.tensors import short

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


DROPOUT = 0.1


class Gate(nn.Module):
    """A small MLP on the mean of the queries' states and, if it was made for it, the last state.

    Args:
        layers: from (B, H) or (B, 2 H) to (B, 1).
        reads_last: whether it also reads the state of the context's last token.
    """

    def __init__(self, layers: nn.Sequential, reads_last: bool = True) -> None:
        super().__init__()
        self.layers = layers
        self.reads_last = reads_last

    @classmethod
    def fresh(cls, hidden_size: int, width: int = 512) -> Gate:
        """Return an untrained gate for states of a width."""
        return cls(
            nn.Sequential(
                nn.LayerNorm(2 * hidden_size),
                nn.Linear(2 * hidden_size, width),
                nn.GELU(),
                nn.Dropout(DROPOUT),
                nn.Linear(width, 1),
            )
        )

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], hidden_size: int, where: str) -> Gate:
        """Return the gate whose weights these are; their shapes and order say what layers it has.

        One-dimensional weights are a LayerNorm's, two-dimensional ones a linear layer's; between
        two linear layers stand a GELU and, in training, dropout.

        Args:
            tensors: by name, the layers in order.
            hidden_size: H.
            where: what errors call the file.

        Raises:
            WeightsError: the layers do not fit one another, or the backbone's states.
        """
        layers: list[nn.Module] = []
        width: int | None = None
        for name in [name for name in tensors if name.endswith("weight")]:
            weight, bias = tensors[name], tensors.get(name.removesuffix("weight") + "bias")
            takes = weight.shape[-1] if weight.dim() else 0
            expected = (hidden_size, 2 * hidden_size) if width is None else (width,)
            if weight.dim() not in (1, 2) or takes not in expected:
                wanted = " or ".join(map(str, expected))
                raise WeightsError(
                    f"{where}: {short(name)}: expected a last dimension of {wanted}, "
                    f"got {tuple(weight.shape)}"
                )
            if bias is not None and bias.shape != weight.shape[:1]:
                raise WeightsError(
                    f"{where}: the bias of {short(name)}: expected {tuple(weight.shape[:1])}, "
                    f"got {tuple(bias.shape)}"
                )
            layer: nn.Linear | nn.LayerNorm = nn.LayerNorm(takes, bias=bias is not None)
            if weight.dim() == 2:
                layer = nn.Linear(takes, weight.shape[0], bias=bias is not None)
                if any(isinstance(before, nn.Linear) for before in layers):
                    layers += [nn.GELU(), nn.Dropout(DROPOUT)]
            state = {"weight": weight} if bias is None else {"weight": weight, "bias": bias}
            layer.load_state_dict({key: value.float() for key, value in state.items()})
            layers.append(layer)
            width = weight.shape[0]
        if width != 1:
            raise WeightsError(f"{where}: the last layer must have one output, not {width}")
        first = next(iter(tensors[name] for name in tensors if name.endswith("weight")))
        return cls(nn.Sequential(*layers), reads_last=first.shape[-1] == 2 * hidden_size)

    def forward(self, queries: Tensor, last: Tensor) -> Tensor:
        """Return logits (B,) that a thought pays.

        Args:
            queries: (B, H), mean of the queries' last states.
            last: (B, H), last state of the context.
        """
        seen = torch.cat([queries, last], dim=-1) if self.reads_last else queries
        logits: Tensor = self.layers(seen.float()).squeeze(-1)
        return logits


def cut(probabilities: NDArray[np.floating], share: float) -> float:
    """Return the least probability among the likeliest `share` of items; 2 for none."""
    count = round(share * len(probabilities))
    # Just above 1 would not do: beside float32 it is rounded to 1, which a gate may reach.
    return float(np.sort(probabilities)[-count]) if count else 2.0
