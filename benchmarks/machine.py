"""What this machine can do at most: the floors that benchmarks stand next to."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

CPU = torch.device("cpu")


def clock(device: torch.device = CPU) -> float:
    """Return the time once the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def fastest(work: Callable[[], object], device: torch.device = CPU, rounds: int = 12) -> float:
    """Return the seconds of the fastest of a few runs."""
    best = float("inf")
    for _ in range(rounds):
        start = clock(device)
        work()
        best = min(best, clock(device) - start)
    return best


def matmul_rate(dtype: torch.dtype, device: torch.device = CPU, side: int = 2048) -> float:
    """Return the operations a second of one large matrix product."""
    a = torch.randn(side, side, device=device).to(dtype)
    return 2 * side**3 / fastest(lambda: a @ a, device)


def bandwidth(device: torch.device = CPU) -> float:
    """Return the bytes a second at which memory is read, by summing half a gigabyte."""
    a = torch.ones(2**27, device=device)
    return a.nbytes / fastest(a.sum, device)
