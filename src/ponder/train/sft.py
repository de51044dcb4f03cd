"""`ponder train sft`: teach a backbone to think and to read out (Think When Needed, stage 1)."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from accelerate import Accelerator

from ponder.gallery.tasks import TASKS
from ponder.model.saved import load_saved, save
from ponder.model.thinker import Thinker, ThinkerConfig
from ponder.train.history import stage_record
from ponder.train.joint import JointLoss, Weights
from ponder.train.learning import (
    embedding_prefixes,
    learning_parameters,
    look_at,
    set_up_attention,
)
from ponder.train.log import Run, plot, read_metrics
from ponder.train.pair_trainer import PairTrainer
from ponder.train.record_pairs import load_records
from ponder.train.records import read_root
from ponder.train.stage import run_steps
from ponder.train.task_pairs import load_pairs, tasks_manifest
from ponder.train.trial import think

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from ponder.model.saved import Saved
    from ponder.progress import Progress
    from ponder.train.joint import PairBatch, Pairs
    from ponder.train.record_pairs import RecordPairs
    from ponder.train.records import BadRow
    from ponder.train.task_pairs import TaskPairs


BAD = "bad_rows.jsonl"


@dataclass(frozen=True)
class SftConfig:
    """Everything `ponder train sft` can be told; the defaults are the recipe for `nano`.

    Attributes:
        seed: of fresh parts, batches and dropout.
        model: what to start from: `nano`, or a saved folder.
        tasks: of the Gallery.
        records: files of annotated records to learn from beside the tasks.
        roots: SCHEME=FOLDER, where the records' media of scheme:// lie.
        reasoning_rank: of the reasoning adapter.
        embedding_rank: of the embedding adapter.
        queries: learnable query vectors.
        interface: what passes from the reasoning to the embedding adapter.
        detach: whether the contrastive loss stops there.
        shares_adapter: whether the reasoning adapter reads out, too, and no other is trained.
        max_thought_tokens: a thought is cut after so many.
        steps: optimizer steps.
        batch: pairs a step in one process, all of one task.
        task_power: a task is drawn in proportion to its number of queries to this power.
        reasoning_learning_rate: of the reasoning adapter, at its peak.
        embedding_learning_rate: of the embedding adapter.
        query_learning_rate: of the queries and of the map of their mean.
        readout_learning_rate: of a read-out of means, where there is one.
        weight_decay: of AdamW.
        max_gradient: norm to which each side's gradient is clipped by itself.
        temperature: of the contrastive losses.
        thought_dropout: how often a thought is taught without its reasoning.
        first_own_thoughts: how often, at the start, embeddings learn from thoughts the model has
            just written.
        own_thoughts: how often at the end; the share grows step by step (scheduled sampling,
            Bengio et al. 2015).
        language: weight of the loss on thoughts.
        think: weight of the loss between embeddings with thoughts.
        no_think: weight of the loss between embeddings without.
        mixed: weight of the loss between a query with and a positive without a thought.
        chunk_tokens: most tokens run at once with gradients.
        checkpoint_every: steps between checkpoints, and between looks at dev.
    """

    seed: int = 0
    model: str = "nano"
    tasks: tuple[str, ...] = TASKS
    records: tuple[str, ...] = ()
    roots: tuple[str, ...] = ()
    reasoning_rank: int = 8
    embedding_rank: int = 8
    queries: int = 4
    interface: Literal["kv", "reencode"] = "kv"
    detach: bool = True
    shares_adapter: bool = False
    max_thought_tokens: int = 64
    steps: int = 256
    batch: int = 24
    task_power: float = 0.5
    reasoning_learning_rate: float = 1e-3
    embedding_learning_rate: float = 1e-3
    query_learning_rate: float = 2e-3
    readout_learning_rate: float = 3e-4
    weight_decay: float = 0.01
    max_gradient: float = 1.0
    temperature: float = 0.02
    thought_dropout: float = 0.2
    first_own_thoughts: float = 0.0
    own_thoughts: float = 1.0
    language: float = 1.0
    think: float = 1.0
    no_think: float = 1.0
    mixed: float = 0.5
    chunk_tokens: int = 4096
    checkpoint_every: int = 64


class Sft(PairTrainer):
    """The parts that learn, and how a step changes them.

    Args:
        config: the recipe.
        thinker: what learns, on its device.
        accelerator: the processes that share the work.
        pairs: what is learnt from.
    """

    def __init__(
        self,
        config: SftConfig,
        thinker: Thinker,
        accelerator: Accelerator,
        pairs: Sequence[Pairs],
    ) -> None:
        self.config = config
        self.loss = JointLoss(
            thinker,
            accelerator,
            config.temperature,
            embedding_prefixes(thinker),
            Weights(config.language, config.think, config.no_think, config.mixed),
            config.chunk_tokens,
        )
        rates = {
            "reasoning": config.reasoning_learning_rate,
            "embedding": config.embedding_learning_rate,
            "queries": config.query_learning_rate,
            "readout": config.readout_learning_rate,
        }
        sides = learning_parameters(thinker, rates)
        super().__init__(config, thinker, accelerator, pairs, sides, rates)

    def step(self, step: int) -> dict[str, float]:
        """Do one step; the same step draws the same pairs and dropout in every run.

        Raises:
            PonderError: the loss or a gradient is no longer a number.
        """
        config = self.config
        drawn = self.draw(step, config.thought_dropout)
        first, last = config.first_own_thoughts, config.own_thoughts
        is_own = drawn.chance.random() < first + (last - first) * step / config.steps
        self.optimizer.zero_grad(set_to_none=True)
        with self.thinker.folded():
            batch = self.think(drawn.batch) if is_own else drawn.batch
            values = self.loss.backward(batch, drawn.seed)
        return self.update(step, drawn.task, values | {"own_thoughts": float(is_own)})

    def think(self, batch: PairBatch) -> PairBatch:
        """Return a batch with thoughts the model has written itself."""
        _, traces = think(self.thinker, batch.rows)
        return replace(batch, own_thoughts=[trace.thought_ids for trace in traces])


def sft(config: SftConfig, folder: Path, report: Progress) -> dict[str, float]:
    """Train, and write the model to `folder/model`; go on where a killed run stopped.

    Args:
        config: the recipe.
        folder: of the run: metrics, checkpoint, curves and the trained model.
        report: told how far each stage is.

    Returns:
        The last step's values, those measured on dev among them.

    Raises:
        PonderError: the tasks were not built, a file of records is none, there is nothing to learn
            from, or the loss is no longer a number.
    """
    run = Run(folder, config)
    accelerator = Accelerator()
    saved = load_saved(config.model, device=accelerator.device)
    thinker = start(config, saved)
    train, dev = (
        load_pairs(config.tasks, split, thinker.backbone, report) for split in ("train", "dev")
    )
    files, roots = map(Path, config.records), dict(map(read_root, config.roots))
    written, bad = load_records(files, roots, thinker.backbone)
    trainer = Sft(config, thinker, accelerator, [*train, *written])
    values = run_steps(trainer, run, report, lambda: look(trainer, dev))
    if accelerator.is_main_process:
        list_bad(folder / BAD, bad, written)
        history = [*saved.history, stage_record("sft", config, values, [tasks_manifest(), *files])]
        save(folder / "model", thinker.backbone, thinker.readout, history, thinker)
        plot(read_metrics(folder), folder / "curves.png")
    return values


def list_bad(path: Path, rows: Sequence[BadRow], sources: Sequence[RecordPairs]) -> None:
    """Write what of the records could not be learnt from, and why, a line each; none, no file."""
    reasons = [{"row": row.number, "reason": row.reason} for row in rows]
    reasons += [{"item": item, "reason": why} for one in sources for item, why in one.bad.items()]
    if reasons:
        path.write_text("".join(json.dumps(row) + "\n" for row in reasons), encoding="utf-8")


def start(config: SftConfig, saved: Saved) -> Thinker:
    """Return a thinker to train: fresh parts on a model that has none, else those it has."""
    thinker = saved.thinker or Thinker.fresh(
        saved.backbone,
        ThinkerConfig(
            ranks={"reasoning": config.reasoning_rank, "embedding": config.embedding_rank},
            queries=config.queries,
            interface=config.interface,
            detach=config.detach,
            shares_adapter=config.shares_adapter,
            max_thought_tokens=config.max_thought_tokens,
        ),
        saved.readout,
        config.seed,
    )
    set_up_attention(thinker)
    return thinker


def look(trainer: Sft, dev: Sequence[TaskPairs]) -> dict[str, float]:
    """Return how often a dev query finds its own positive first among a batch, on average.

    "taught" is with the data's thoughts, which know the answer; "always" with the model's own.
    """

    def embed(batch: PairBatch) -> dict[str, Tensor]:
        with trainer.thinker.folded():
            plain, taught = trainer.loss.embed(batch)
            _, own = trainer.loss.embed(trainer.think(batch))
        return {"dev_never": plain, "dev_taught": taught, "dev_always": own}

    return look_at(dev, embed)
