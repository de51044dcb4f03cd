"""How likely a thinker finds the tokens of thoughts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ponder.model.thinker import Thinker


def surprises(
    thinker: Thinker, before: Tensor, states: Tensor, thoughts: Sequence[Sequence[int]]
) -> Tensor:
    """Return -log p of every token of every thought, one thought after another, (tokens,).

    Args:
        thinker: what has read the thoughts.
        before: (B, H), the last state of the context before them, which predicts their first token.
        states: (B, t, H), what `Thinker.extend` returned for them.
        thoughts: B thoughts' tokens.
    """
    longest = states.shape[1]
    predicting: list[Tensor] = []
    wanted: list[int] = []
    for i, thought in enumerate(thoughts):
        start = longest - len(thought)
        predicting += [before[i : i + 1], states[i, start : longest - 1]]
        wanted += thought
    scores = thinker.logits(torch.cat(predicting)).float()  # (tokens, V)
    return F.cross_entropy(scores, torch.tensor(wanted, device=scores.device), reduction="none")
