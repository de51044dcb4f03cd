"""The steps of a stage of training: logged, checkpointed, and gone on with after a kill."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from accelerate import Accelerator

    from ponder.progress import Progress
    from ponder.train.log import Run


class Recipe(Protocol):
    """What every stage is told."""

    @property
    def steps(self) -> int:
        """Optimizer steps."""

    @property
    def checkpoint_every(self) -> int:
        """Steps between checkpoints."""


class Stage(Protocol):
    """Something that learns step by step."""

    @property
    def config(self) -> Recipe:
        """The recipe."""

    @property
    def accelerator(self) -> Accelerator:
        """The processes that share the work."""

    def step(self, step: int) -> dict[str, float]:
        """Do one step, the same in every run; return its values."""

    def state(self) -> dict[str, Any]:
        """Return what a run needs to go on."""

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""


def run_steps(
    stage: Stage, run: Run, report: Progress, look: Callable[[], dict[str, float]] = dict
) -> dict[str, float]:
    """Do the steps that `run` has not done yet.

    Args:
        stage: what learns.
        run: the folder of its metrics and checkpoint, which one process writes.
        report: told how far it is.
        look: measures something at each checkpoint.

    Returns:
        The last step's values, the last measures among them.
    """
    config, is_main = stage.config, stage.accelerator.is_main_process
    done, values = 0, dict[str, float]()
    if kept := run.resume():
        stage.restore(kept)
        done, values = kept["step"], kept["values"]
    for step in range(done, config.steps):
        values = stage.step(step)
        is_kept = (step + 1) % config.checkpoint_every == 0 or step + 1 == config.steps
        if is_kept:
            values |= look()
        if is_main:
            run.log(step, **values)
        if is_main and is_kept:
            run.checkpoint(stage.state() | {"step": step + 1, "values": values})
        report("train", step + 1, config.steps)
    return values
