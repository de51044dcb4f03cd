"""How long work says how far it is, without knowing who shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Progress(Protocol):
    """Told how far a stage is."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Take note that `done` of `total` steps of `stage` are done."""


def silent(stage: str, done: int, total: int) -> None:
    """Take no note."""


def counted(progress: Progress, stage: str, total: int) -> Callable[[int], None]:
    """Return what is told how many more steps are done, and passes on how many are in all."""
    done = 0

    def advance(more: int) -> None:
        nonlocal done
        done += more
        progress(stage, done, total)

    return advance
