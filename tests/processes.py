"""Two processes that share a batch, as accelerate's launcher starts them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from torch import multiprocessing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def accelerator_of(rank: int, port: int) -> Accelerator:
    """Return the accelerator of one of two processes, on one thread."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1"}
    return Accelerator(cpu=True)


def run_two(work: Callable[[int, Path], None], folder: Path) -> None:
    """Run `work(rank, folder)` in two processes; afterwards this one is alone again."""
    multiprocessing.spawn(work, (folder,), nprocs=2)
    AcceleratorState._reset_state()
    PartialState._reset_state()
