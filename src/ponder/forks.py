"""A process forked after a model was loaded cannot run one, and would hang if it tried.

A fork keeps one thread. What torch, OpenVINO and Lance wait for is done by threads that stayed
behind, and CUDA refuses forks altogether. docs/processes.md says what to do instead.
"""

from __future__ import annotations

import os

from ponder.errors import ForkError

_used_in: list[int] = []  # the process that first loaded a model, once one did


def check_fork() -> None:
    """Note that this process uses a model; call it before any use.

    Raises:
        ForkError: this process is a fork of one that has used a model.
    """
    process = os.getpid()
    if not _used_in:
        _used_in.append(process)
    if process != _used_in[0]:
        raise ForkError(
            f"process {process} was forked after process {_used_in[0]} loaded a model, and would "
            "hang; start workers with multiprocessing's 'spawn', or load the model only in the "
            "forked workers (docs/processes.md)"
        )
