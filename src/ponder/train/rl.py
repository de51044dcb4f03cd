"""`ponder train rl`: let the reward of embeddings improve the thoughts (stage 2).

Group-relative policy optimisation (GRPO, Shao et al. 2024) of the reasoning adapter alone. For each
query a group of thoughts is sampled; each is rewarded by the gap of the embedding it leads to, by
being closed properly, and by being short. Queries, embedding adapter and read-out stay as they are:
they are the reward's ruler. The reference is a frozen copy of the adapter as it came.

The loop is its own: TRL's trainer generates with `generate` and scores texts, while here a thought
goes on from a cached context and its reward is computed from what the cache then holds.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from accelerate import Accelerator

from ponder.engine.batching import by_length
from ponder.engine.writing import Sampling
from ponder.errors import PonderError
from ponder.gallery.tasks import TASKS
from ponder.model.saved import load_saved, save
from ponder.model.thoughts import OPENING
from ponder.train.gap import gap
from ponder.train.history import stage_record
from ponder.train.likelihood import surprises
from ponder.train.log import Run, plot, read_metrics
from ponder.train.schedule import STEPS_APART, cosine
from ponder.train.stage import run_steps
from ponder.train.task_pairs import load_pairs, tasks_manifest
from ponder.train.trial import embed_plain, think

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

    from ponder.engine.trace import Trace
    from ponder.model.backbone import Prepared
    from ponder.model.thinker import Thinker
    from ponder.progress import Progress
    from ponder.train.task_pairs import TaskPairs

LOOKED_AT = 128  # dev queries of each task; what is gained is small beside how they differ


@dataclass(frozen=True)
class RlConfig:
    """Everything `ponder train rl` can be told.

    Attributes:
        seed: of queries and draws.
        model: a saved folder that thinks.
        tasks: of the Gallery.
        steps: optimizer steps.
        queries: of one task a step, in one process.
        group: thoughts sampled for each.
        sampling_temperature: of the draws.
        learning_rate: at its peak.
        max_gradient: norm to which the gradient is clipped.
        divergence: weight of staying near the reference.
        gap_temperature: of the gap's soft maximum.
        least_spread: added to the spread of a group's rewards, by which they are divided: groups
            that hardly differ teach little.
        format: reward of a thought that closed itself.
        length: price of a thought as long as it may get; shorter ones cost less than their share.
        free_tokens: tokens that cost nothing.
        chunk_tokens: most tokens run at once with gradients.
        checkpoint_every: steps between checkpoints, and between looks at dev.
    """

    seed: int = 0
    model: str = "runs/sft/model"
    tasks: tuple[str, ...] = TASKS
    steps: int = 24
    queries: int = 8
    group: int = 8
    sampling_temperature: float = 1.0
    learning_rate: float = 5e-5
    max_gradient: float = 1.0
    divergence: float = 0.1
    gap_temperature: float = 0.05
    least_spread: float = 0.02
    format: float = 0.1
    length: float = 0.1
    free_tokens: int = 32
    chunk_tokens: int = 1024
    checkpoint_every: int = 12


@dataclass(frozen=True)
class Samples:
    """Thoughts that were drawn, group by group.

    Attributes:
        rows: each one's item.
        thoughts: each one's tokens.
        given: how many tokens at its start the model did not choose.
        chosen: how many of the rest it chose; what follows closed it.
        advantage: (n,), how much better than its group it is.
    """

    rows: Sequence[Prepared]
    thoughts: Sequence[Sequence[int]]
    given: int
    chosen: Sequence[int]
    advantage: Tensor


class Grpo:
    """The reasoning adapter, and how a step changes it.

    Args:
        config: the recipe.
        thinker: what learns, on its device.
        accelerator: the processes that share the work.
        tasks: what thoughts are drawn for.
        dev: what thoughts are measured on.
    """

    def __init__(
        self,
        config: RlConfig,
        thinker: Thinker,
        accelerator: Accelerator,
        tasks: Sequence[TaskPairs],
        dev: Sequence[TaskPairs] = (),
    ) -> None:
        self.config = config
        self.thinker = thinker
        self.accelerator = accelerator
        self._tasks = tasks
        self._dev = dev
        self._documents = [embed_plain(thinker, task.candidates)[0] for task in (*tasks, *dev)]
        thinker.adapters.train("reasoning")
        self.learning = thinker.adapters.parameters("reasoning")
        for parameter in self.learning:
            parameter.data = parameter.data.float()
        self.reference = [parameter.detach().clone() for parameter in self.learning]
        self.optimizer = torch.optim.AdamW(self.learning, lr=config.learning_rate, weight_decay=0.0)
        tokenizer = thinker.backbone.processor.tokenizer
        self._given = len(tokenizer(OPENING, add_special_tokens=False)["input_ids"])
        self._gaps_before: list[Tensor] = []

    def step(self, step: int) -> dict[str, float]:
        """Do one step; the same step draws the same queries in every run.

        Raises:
            PonderError: a value is no longer a number.
        """
        config = self.config
        samples, values = self.sample(step)
        self.optimizer.zero_grad(set_to_none=True)
        values |= self.backward(samples)
        for parameter in self.learning:
            if parameter.grad is not None:
                parameter.grad = self.accelerator.reduce(parameter.grad, "mean")
        norm = torch.nn.utils.clip_grad_norm_(self.learning, config.max_gradient)
        values["gradient"] = float(norm)
        if not all(map(np.isfinite, values.values())):
            raise PonderError(f"step {step}: {values}; lower the learning rate")
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate * cosine(step, config.steps)
        self.optimizer.step()
        return values

    def sample(self, step: int) -> tuple[Samples, dict[str, float]]:
        """Draw a group of thoughts for each of some queries, and reward them."""
        config = self.config
        seed = (config.seed * STEPS_APART + step) * self.accelerator.num_processes
        seed += self.accelerator.process_index
        chance = random.Random(seed)
        which = chance.randrange(len(self._tasks))
        task, documents = self._tasks[which], self._documents[which]
        numbers = chance.sample(range(len(task.queries)), min(config.queries, len(task.queries)))
        rows = [task.queries[i].row for i in numbers for _ in range(config.group)]
        sampling = Sampling(config.sampling_temperature, seed)
        with self.thinker.folded():
            vectors, traces = think(self.thinker, rows, sampling)
        right = task.relevance([i for i in numbers for _ in range(config.group)])
        gaps = self._gaps(vectors, documents, right)
        rewards = gaps + torch.tensor([self._manners(trace) for trace in traces])
        groups = rewards.view(len(numbers), config.group)
        spread = groups.std(dim=1, keepdim=True) + config.least_spread
        advantage = ((groups - groups.mean(dim=1, keepdim=True)) / spread).flatten()
        lengths = torch.tensor([float(trace.thought_tokens) for trace in traces])
        cut = torch.tensor([float(trace.was_cut) for trace in traces])
        values = {
            "reward": float(rewards.mean()),
            "gap": float(gaps.mean()),
            "reward_spread": float(groups.std(dim=1).mean()),
            "thought_tokens": float(lengths.mean()),
            "cut": float(cut.mean()),
        }
        chosen = [self._chosen(trace) for trace in traces]
        thoughts = [trace.thought_ids for trace in traces]
        return Samples(rows, thoughts, self._given, chosen, advantage), values

    def backward(self, samples: Samples) -> dict[str, float]:
        """Leave the gradients of the objective in the adapter (GRPO, equation 3)."""
        config, thinker = self.config, self.thinker
        lengths = [len(r) + len(t) for r, t in zip(samples.rows, samples.thoughts, strict=True)]
        divergence = 0.0
        total = sum(samples.chosen)
        chunks = list(by_length(lengths, config.chunk_tokens))
        held = thinker.adapters.holding("reasoning", self.reference)
        with torch.no_grad(), held, thinker.folded():
            reference = [self._log_probabilities(samples, chunk) for chunk in chunks]
        with thinker.folded():
            for chunk, before in zip(chunks, reference, strict=True):
                now = self._log_probabilities(samples, chunk)
                counts = torch.tensor([samples.chosen[i] for i in chunk])
                advantage = samples.advantage[chunk].repeat_interleave(counts).to(now.device)
                # One step for each draw: no ratio to the draw's own probabilities to clip.
                gain = advantage * now
                away = before - now
                stray = away.exp() - away - 1  # an unbiased estimate of the divergence, >= 0
                loss = (config.divergence * stray - gain).sum() / total
                loss.backward()
                divergence += float(stray.detach().sum()) / total
        return {"divergence": divergence}

    def look(self) -> dict[str, float]:
        """Return the mean gap of dev queries with a thought each.

        Beside it stand that under the reference and the standard error of their difference.
        """
        if not self._gaps_before:
            with self.thinker.adapters.holding("reasoning", self.reference):
                self._gaps_before = self._dev_gaps()
        now = self._dev_gaps()
        gains = [after - before for after, before in zip(now, self._gaps_before, strict=True)]
        errors = torch.stack([gain.var(correction=0) / len(gain) for gain in gains])
        return {
            "dev_gap": _mean(now),
            "dev_gap_before": _mean(self._gaps_before),
            "dev_gap_error": float(errors.sum().sqrt()) / len(gains),
        }

    def state(self) -> dict[str, Any]:
        """Return what a run needs to go on."""
        return {
            "learning": [parameter.detach() for parameter in self.learning],
            "reference": self.reference,
            "optimizer": self.optimizer.state_dict(),
        }

    @torch.no_grad()
    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        for parameter, kept in zip(self.learning, state["learning"], strict=True):
            parameter.copy_(kept)
        self.reference = [value.to(self.learning[0].device) for value in state["reference"]]
        self.optimizer.load_state_dict(state["optimizer"])

    def _dev_gaps(self) -> list[Tensor]:
        """Return for each task the gaps of its dev queries."""
        found = []
        documents = self._documents[len(self._tasks) :]
        with self.thinker.folded():
            for task, candidates in zip(self._dev, documents, strict=True):
                rows = [query.row for query in task.queries[:LOOKED_AT]]
                vectors, _ = think(self.thinker, rows)
                found.append(self._gaps(vectors, candidates, task.relevance(range(len(rows)))))
        return found

    def _gaps(self, vectors: Tensor, documents: Tensor, right: Tensor) -> Tensor:
        """Return the gaps (n,) of embeddings to the first that is right for each."""
        positives = documents[right.int().argmax(dim=1)]
        return gap(vectors, positives, documents, right, self.config.gap_temperature)

    def _manners(self, trace: Trace) -> float:
        """Return the reward of a thought's form."""
        config = self.config
        most = self.thinker.config.max_thought_tokens
        beyond = max(0, trace.thought_tokens - config.free_tokens) / most
        return config.format * (not trace.was_cut) - config.length * beyond

    def _chosen(self, trace: Trace) -> int:
        return trace.thought_tokens - self._given - trace.closing_tokens

    def _log_probabilities(self, samples: Samples, chunk: Sequence[int]) -> Tensor:
        """Return log p (tokens,) of the tokens the model chose, thought by thought."""
        thinker = self.thinker
        thoughts = [samples.thoughts[i][: samples.given + samples.chosen[i]] for i in chunk]
        context = thinker.read([samples.rows[i] for i in chunk])
        before = context.last
        _, states = thinker.extend(context, thoughts)
        found = surprises(thinker, before, states, thoughts)
        parts = found.split([len(thought) for thought in thoughts])
        return -torch.cat([part[samples.given :] for part in parts])


def _mean(gaps: Sequence[Tensor]) -> float:
    return sum(float(of_task.mean()) for of_task in gaps) / len(gaps)


def rl(config: RlConfig, folder: Path, report: Progress) -> dict[str, float]:
    """Train, and write the model to `folder/model`; go on where a killed run stopped.

    Refit the gate afterwards: the thoughts it learnt from are no longer those that are written.

    Args:
        config: the recipe.
        folder: of the run: metrics, checkpoint, curves and the trained model.
        report: told how far each stage is.

    Returns:
        The last step's values, the gaps on dev among them.

    Raises:
        ThinkModeError: the model cannot think.
        PonderError: the tasks were not built, or a value is no number.
    """
    run = Run(folder, config)
    accelerator = Accelerator()
    saved = load_saved(config.model, device=accelerator.device)
    thinker = saved.trained_thinker()
    tasks, dev = (
        load_pairs(config.tasks, split, thinker.backbone, report) for split in ("train", "dev")
    )
    trainer = Grpo(config, thinker, accelerator, tasks, dev)
    values = run_steps(trainer, run, report, trainer.look)
    if accelerator.is_main_process:
        history = [*saved.history, stage_record("rl", config, values, [tasks_manifest()])]
        save(folder / "model", thinker.backbone, saved.readout, history, thinker)
        plot(read_metrics(folder), folder / "curves.png")
    return values
