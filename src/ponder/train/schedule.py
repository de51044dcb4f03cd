"""What every stage of training shares: its learning rate over time, and its random numbers."""

from __future__ import annotations

import math

STEPS_APART = 1_000_003  # keeps the random numbers of one seed's steps apart from the next seed's


def cosine(step: int, steps: int) -> float:
    """Return the share of the peak rate: up over a tenth of the steps, down as a cosine."""
    rising = max(1, steps // 10)
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))
