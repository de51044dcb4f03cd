"""What every stage that learns from pairs does: draw a batch, do a step, keep what it needs."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch

from ponder.errors import PonderError
from ponder.train.schedule import STEPS_APART, cosine

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from accelerate import Accelerator
    from torch import nn

    from ponder.model.thinker import Thinker
    from ponder.train.joint import PairBatch, Pairs


class PairRecipe(Protocol):
    """What such a stage is told."""

    @property
    def seed(self) -> int:
        """Of batches."""

    @property
    def steps(self) -> int:
        """Optimizer steps."""

    @property
    def batch(self) -> int:
        """Pairs a step in one process, all of one task."""

    @property
    def task_power(self) -> float:
        """A task is drawn in proportion to its number of queries to this power."""

    @property
    def weight_decay(self) -> float:
        """Of AdamW."""

    @property
    def max_gradient(self) -> float:
        """Norm to which each part's gradient is clipped by itself."""


@dataclass(frozen=True)
class Draw:
    """What one step learns from.

    Attributes:
        task: its name.
        batch: this process's pairs.
        seed: of the step, the same in every process.
        chance: more random numbers of the step, the same in every process.
    """

    task: str
    batch: PairBatch
    seed: int
    chance: random.Random


class PairTrainer:
    """Parts that learn from pairs, and their optimizer.

    Args:
        recipe: what it is told.
        thinker: what learns, on its device.
        accelerator: the processes that share the work.
        pairs: what is learnt from.
        sides: the parts that learn, by name.
        rates: the learning rate of each at its peak.
    """

    def __init__(
        self,
        recipe: PairRecipe,
        thinker: Thinker,
        accelerator: Accelerator,
        pairs: Sequence[Pairs],
        sides: dict[str, list[nn.Parameter]],
        rates: Mapping[str, float],
    ) -> None:
        self.thinker = thinker
        self.accelerator = accelerator
        self.sides = sides
        self._recipe = recipe
        self._pairs = pairs
        groups = [{"params": part, "lr": rates[name]} for name, part in sides.items()]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=recipe.weight_decay)
        self._peaks = [group["lr"] for group in self.optimizer.param_groups]

    def draw(self, step: int, thought_dropout: float) -> Draw:
        """Return what a step learns from, the same in every run."""
        recipe, processes = self._recipe, self.accelerator.num_processes
        seed = recipe.seed * STEPS_APART + step
        chance = random.Random(seed)
        task = chance.choices(self._pairs, [len(t) ** recipe.task_power for t in self._pairs])[0]
        own = (seed * processes + self.accelerator.process_index) * STEPS_APART
        return Draw(task.name, task.draw(recipe.batch, thought_dropout, own), seed, chance)

    def update(
        self, step: int, task: str, values: dict[str, float], share: float = 1.0
    ) -> dict[str, float]:
        """Let the parts learn from the gradients that all processes have left in them.

        Args:
            step: its number.
            task: what it learnt from.
            values: its losses.
            share: of the rate that the step's number gives.

        Returns:
            The values, and the norm of each part's gradient.

        Raises:
            PonderError: one of them is no longer a number.
        """
        values = dict(values)
        for name, part in self.sides.items():
            for parameter in part:
                if parameter.grad is not None:
                    parameter.grad = self.accelerator.reduce(parameter.grad, "sum")
            norm = torch.nn.utils.clip_grad_norm_(part, self._recipe.max_gradient)
            values[f"gradient_{name}"] = float(norm)
        if not torch.tensor(list(values.values())).isfinite().all():
            raise PonderError(f"step {step}, {task}: {values}; lower the learning rate")
        for group, peak in zip(self.optimizer.param_groups, self._peaks, strict=True):
            group["lr"] = peak * share * cosine(step, self._recipe.steps)
        self.optimizer.step()
        return values

    def state(self) -> dict[str, Any]:
        """Return what a run needs to go on."""
        parts = {name: [p.detach() for p in part] for name, part in self.sides.items()}
        return {"parts": parts, "optimizer": self.optimizer.state_dict()}

    @torch.no_grad()
    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        for name, part in self.sides.items():
            for parameter, kept in zip(part, state["parts"][name], strict=True):
                parameter.copy_(kept)
        self.optimizer.load_state_dict(state["optimizer"])
