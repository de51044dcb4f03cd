"""Contrastive batches of any size in bounded memory, over any number of processes.

Embeddings are computed first without gradients; the loss over the rows of all processes says what
each row's gradient is, and small chunks are run again to carry it on (GradCache, Gao et al. 2021).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ponder.engine.batching import by_length

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from accelerate import Accelerator
    from torch import Tensor


def chunks(lengths: Sequence[int], most_tokens: int) -> list[list[int]]:
    """Divide rows of so many tokens into those that are run at once."""
    if len(lengths) * max(lengths) <= most_tokens:  # one pass is faster, even if padded
        return [list(range(len(lengths)))]
    return list(by_length(lengths, most_tokens))


def shared_gradients(
    accelerator: Accelerator,
    parts: Sequence[Tensor],
    losses: Callable[[Sequence[Tensor]], dict[str, Tensor]],
    weights: Mapping[str, float],
) -> tuple[dict[str, float], list[Tensor]]:
    """Return the losses of the joint rows, and the gradients of their weighted sum.

    Args:
        accelerator: the processes that share the work.
        parts: tensors of this process's rows, each as long in every process.
        losses: computes them from the parts of all processes, one behind the other.
        weights: what each of them counts.

    Returns:
        The losses by name, and for each part the gradient on this process's rows.
    """
    joint = [accelerator.gather(part).requires_grad_() for part in parts]
    found = losses(joint)
    total = torch.stack([weights[name] * loss for name, loss in found.items()]).sum()
    gradients = torch.autograd.grad(total, joint, materialize_grads=True)
    place = accelerator.process_index
    own = [
        gradient[place * len(part) : (place + 1) * len(part)]
        for gradient, part in zip(gradients, parts, strict=True)
    ]
    return {name: float(loss.detach()) for name, loss in found.items()}, own
