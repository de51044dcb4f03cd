"""`ponder train latent`: turn written thoughts into latent steps (PLUME, arXiv 2604.02073).

The transition adapter learns on a thinker that stays as it is, so that its other think modes and
its gate do, too. With more parts in `learns` everything is trained together, as in the paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from accelerate import Accelerator

from ponder.errors import ConfigError
from ponder.gallery.tasks import TASKS
from ponder.model.latent import TransitionAdapter, TransitionConfig
from ponder.model.saved import load_saved, save
from ponder.train.curriculum import Curriculum, Stage
from ponder.train.history import stage_record
from ponder.train.latent_loss import LatentLoss, LatentWeights
from ponder.train.learning import (
    embedding_prefixes,
    learning_parameters,
    look_at,
    set_up_attention,
)
from ponder.train.log import Run, plot, read_metrics
from ponder.train.pair_trainer import PairTrainer
from ponder.train.stage import run_steps
from ponder.train.task_pairs import load_pairs, tasks_manifest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

    from ponder.model.thinker import Thinker
    from ponder.progress import Progress
    from ponder.train.joint import PairBatch, Pairs
    from ponder.train.task_pairs import TaskPairs

REWARM = 8  # steps in which the rate rises again after a change of stage

Part = Literal["latent", "reasoning", "embedding", "queries", "readout"]


@dataclass(frozen=True)
class LatentConfig:
    """Everything `ponder train latent` can be told; the defaults are the recipe for `nano`.

    Attributes:
        seed: of fresh parts and batches.
        model: a saved folder that thinks.
        tasks: of the Gallery.
        latent_steps: K.
        experts: routed ones; 0 leaves the shared one alone.
        chosen: how many of them take part in a step; 0 without experts.
        is_anchored: whether the router sees the no-think read-out.
        learns: what is trained.
        ratios: shares of a thought's reasoning that become latent, stage by stage.
        last_stage: share of all steps that the last stage takes.
        answerless: share of all steps, at the end, in which no answer is taught either.
        steps: optimizer steps.
        batch: pairs a step in one process, all of one task.
        task_power: a task is drawn in proportion to its number of queries to this power.
        learning_rate: of the transition adapter and of all else that learns, at its peak.
        weight_decay: of AdamW.
        max_gradient: norm to which each part's gradient is clipped by itself.
        temperature: of the contrastive losses.
        language: weight of the loss on what is still text.
        latent: weight of the loss between embeddings with latent steps.
        no_think: weight of the loss between embeddings without.
        mixed: weight of the loss between a query with and a positive without latent steps.
        balance: weight of the experts' imbalance.
        distill: weight of the distance to the scores of written thoughts.
        chunk_tokens: most tokens run at once with gradients.
        checkpoint_every: steps between checkpoints, and between looks at dev.
    """

    seed: int = 0
    model: str = "runs/gate/model"
    tasks: tuple[str, ...] = TASKS
    latent_steps: int = 2
    experts: int = 4
    chosen: int = 2
    is_anchored: bool = True
    learns: tuple[Part, ...] = ("latent",)
    ratios: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)
    last_stage: float = 0.5
    answerless: float = 0.25
    steps: int = 100
    batch: int = 48
    task_power: float = 0.5
    learning_rate: float = 5e-4
    weight_decay: float = 0.01
    max_gradient: float = 1.0
    temperature: float = 0.02
    language: float = 0.2
    latent: float = 1.0
    no_think: float = 1.0
    mixed: float = 0.5
    balance: float = 0.1
    distill: float = 0.0
    chunk_tokens: int = 8192
    checkpoint_every: int = 50


class LatentTrainer(PairTrainer):
    """The parts that learn, and how a step changes them.

    Args:
        config: the recipe.
        thinker: what learns, on its device; a transition adapter of it is trained further.
        accelerator: the processes that share the work.
        pairs: what is learnt from.

    Raises:
        ConfigError: at a ratio there would be nothing to learn, or the thinker's transition adapter
            is of another shape than the recipe's.
    """

    def __init__(
        self,
        config: LatentConfig,
        thinker: Thinker,
        accelerator: Accelerator,
        pairs: Sequence[Pairs],
    ) -> None:
        self.config = config
        thinker.latent = adapter_of(config, thinker)
        sides = learning_parameters(thinker, config.learns)
        if set(sides) == {"latent"} and 0 in config.ratios:
            raise ConfigError(
                "ratios: at 0 no latent step is taken, so the transition adapter cannot learn; "
                "leave it out, or let other parts learn, too"
            )
        weights = LatentWeights(
            config.language,
            config.latent,
            config.no_think,
            config.mixed,
            config.balance,
            config.distill,
        )
        self.loss = LatentLoss(
            thinker,
            accelerator,
            config.temperature,
            embedding_prefixes(thinker),
            weights,
            config.chunk_tokens,
            learns_reading=set(sides) != {"latent"},
        )
        self._curriculum = Curriculum(config.ratios, config.last_stage, config.answerless)
        rates = dict.fromkeys(sides, config.learning_rate)
        super().__init__(config, thinker, accelerator, pairs, sides, rates)

    def step(self, step: int) -> dict[str, float]:
        """Do one step; the same step draws the same pairs in every run.

        Raises:
            PonderError: the loss or a gradient is no longer a number.
        """
        stage = self._curriculum.at(step, self.config.steps)
        if step == stage.since:  # what Adam remembers belongs to another loss
            self.optimizer.state.clear()
        drawn = self.draw(step, thought_dropout=0.0)
        self.optimizer.zero_grad(set_to_none=True)
        with self.thinker.folded():
            values = self.loss.backward(drawn.batch, stage)
        rise = min(1.0, (step - stage.since + 1) / REWARM)
        values = self.update(step, drawn.task, values, rise)
        return values | {"ratio": float(stage.ratio), "answer": float(stage.has_answer)}

    def look(self, dev: Sequence[TaskPairs]) -> dict[str, float]:
        """Return how often a dev query finds its own positive first among a batch, on average."""

        def embed(batch: PairBatch) -> dict[str, Tensor]:
            with self.thinker.folded():
                plain, latent = self.loss.embed(batch, Stage(1.0, False, 0))
            return {"dev_never": plain, "dev_latent": latent}

        return look_at(dev, embed)


def adapter_of(config: LatentConfig, thinker: Thinker) -> TransitionAdapter:
    """Return the transition adapter to train: the thinker's own, or a fresh one.

    A fresh one's inputs are as large as token embeddings.

    Raises:
        ConfigError: the thinker's is of another shape than the recipe's.
    """
    if thinker.latent is not None:
        has = thinker.latent.config
        for key, value in (
            ("latent_steps", has.steps),
            ("experts", has.experts),
            ("chosen", has.chosen),
            ("is_anchored", has.is_anchored),
        ):
            if getattr(config, key) != value:
                raise ConfigError(
                    f"{key}: the model's transition adapter has {value} and the recipe says "
                    f"{getattr(config, key)}; say {value} to train it further, or start from a "
                    "model that has none"
                )
        return thinker.latent
    backbone = thinker.backbone
    embeddings = backbone.model.get_input_embeddings().weight
    shape = TransitionConfig(
        config.latent_steps,
        config.experts,
        config.chosen,
        is_anchored=config.is_anchored,
        input_scale=float(embeddings.float().square().mean().sqrt()),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return TransitionAdapter(shape, backbone.hidden_size).to(backbone.device)


def latent(config: LatentConfig, folder: Path, report: Progress) -> dict[str, float]:
    """Train, and write the model to `folder/model`; go on where a killed run stopped.

    Args:
        config: the recipe.
        folder: of the run: metrics, checkpoint, curves and the trained model.
        report: told how far each stage is.

    Returns:
        The last step's values, those measured on dev among them.

    Raises:
        ThinkModeError: the model cannot think, or its interface is `reencode`.
        PonderError: the tasks were not built, or the loss is no longer a number.
    """
    run = Run(folder, config)
    accelerator = Accelerator()
    saved = load_saved(config.model, device=accelerator.device)
    thinker = saved.trained_thinker()
    set_up_attention(thinker)
    train, dev = (
        load_pairs(config.tasks, split, thinker.backbone, report) for split in ("train", "dev")
    )
    trainer = LatentTrainer(config, thinker, accelerator, train)
    values = run_steps(trainer, run, report, lambda: trainer.look(dev))
    if accelerator.is_main_process:
        history = [*saved.history, stage_record("latent", config, values, [tasks_manifest()])]
        save(folder / "model", thinker.backbone, saved.readout, history, thinker)
        plot(read_metrics(folder), folder / "curves.png")
    return values
