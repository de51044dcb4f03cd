"""`ponder train align`: teach `nano` to see.

The connector and the read-out learn from the Gallery's pictures and captions with a contrastive
loss, and from captions and thoughts that picture tokens lie near words (`ponder.train.words`). Both
towers stay frozen, so what they say is computed once (`ponder.train.frozen`) and a step costs about
a second on a CPU at any batch size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from ponder.errors import PonderError
from ponder.gallery import build, default_folder
from ponder.model.connector import Connector
from ponder.model.readout import Pooled, ReadOut, ReadOutConfig
from ponder.model.saved import fastest_dtype, nano_backbone, save
from ponder.train.frozen import Described, Pictures, freeze, freeze_task
from ponder.train.history import stage_record
from ponder.train.log import Run, plot, read_metrics
from ponder.train.losses import info_nce, matryoshka
from ponder.train.schedule import STEPS_APART, cosine
from ponder.train.words import Words

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ponder.model.backbone import Backbone
    from ponder.progress import Progress

DEV_PICTURES = 500
STANDARD_PICTURES = 2000  # pictures from which the features' means and spreads are taken


@dataclass(frozen=True)
class AlignConfig:
    """Everything `ponder train align` can be told; the defaults are the shipped recipe.

    Attributes:
        seed: of the weights, batches and dropout.
        part: of the Gallery.
        languages: of the captions.
        views: pictures made of each picture: itself, and augmented ones.
        regions_side: a picture is seen whole and in so many by so many regions.
        stage_channels: stages of the vision tower that are seen beside its head.
        together: values of each region that go into the tokens of all; 0 for none.
        tasks: of the Gallery, whose queries' pictures are to be read, too.
        steps: optimizer steps.
        batch: pictures a step; each is the others' negative.
        task_batch: pictures a step of each task.
        learning_rate: the peak; it rises over a tenth of the steps and falls as a cosine.
        weight_decay: of AdamW.
        temperature: of the contrastive losses.
        picture_dropout: of the features a picture token is made of.
        text_dropout: in the read-out.
        augmented_share: of pictures drawn in an augmented view.
        variant_share: how often a skin-tone or other variant is drawn, next to a plain picture.
        foreign_share: of captions drawn in other languages.
        long_share: of captions drawn that are English but not the name.
        among_words: weight of the loss between two captions of one picture.
        words: weight of the losses between picture tokens and words, of captions and of thoughts.
        checkpoint_every: steps between checkpoints, and between looks at dev.
    """

    seed: int = 0
    part: Literal["demo", "full"] = "full"
    languages: tuple[str, ...] = ("en", "de", "es", "fr", "it", "nl", "pt")
    views: int = 2
    regions_side: int = 2
    stage_channels: tuple[int, ...] = (320, 192, 112)
    together: int = 32
    tasks: tuple[str, ...] = ("category", "flag", "clock", "chart", "relation")
    steps: int = 250
    batch: int = 768
    task_batch: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    temperature: float = 0.05
    picture_dropout: float = 0.1
    text_dropout: float = 0.3
    augmented_share: float = 0.5
    variant_share: float = 0.1
    foreign_share: float = 0.15
    long_share: float = 0.35
    among_words: float = 0.3
    words: float = 0.3
    checkpoint_every: int = 50


class Aligner:
    """The parts that learn, and one step's loss over them.

    Args:
        config: the recipe.
        backbone: `nano` with its towers' weights and a fresh connector.
        split: what the towers say of the training pictures and captions.
        tasks: and of the training pictures of tasks.
    """

    def __init__(
        self,
        config: AlignConfig,
        backbone: Backbone,
        split: tuple[Pictures, Tensor],
        tasks: Sequence[Described] = (),
    ) -> None:
        self.config = config
        self.pictures, self.captions = split
        self.tasks = tasks
        torch.manual_seed(config.seed)
        self.connector = Connector(backbone.model.config, config.picture_dropout)
        self.readout = ReadOut(ReadOutConfig(backbone.hidden_size), config.text_dropout)
        self.readout.standardise(self.captions.float())
        if loudness := backbone.model.config.loudness:
            self.readout.from_picture.weight.data /= loudness  # they are made for values about 1
        sample = self.pictures.features[self.pictures.is_base][:STANDARD_PICTURES, 0]
        self.connector.standardise(sample.float())
        embeddings = backbone.model.get_input_embeddings().weight
        sources = [self.pictures.words, *(task.words for task in tasks)]
        self.words = Words(sources, embeddings, backbone.processor.tokenizer)
        self.learning = torch.nn.ModuleDict(
            {"connector": self.connector, "readout": self.readout, "words": self.words}
        )

    def loss(self, step: int) -> Tensor:
        """Return the loss of one step; the same step draws the same rows and dropout."""
        config = self.config
        seed = config.seed * STEPS_APART + step
        random = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)  # dropout
        weights = torch.where(self.pictures.is_base, 1.0, config.variant_share)
        rows = torch.multinomial(weights, config.batch, generator=random)
        views = self._views(random)
        tokens = self.connector(self.pictures.features[rows, views].float())
        seen = self.see(tokens)
        read = self.read(self.captions[self._choose(rows, random)])
        again = self.read(self.captions[self._choose(rows, random)])
        concept = self.pictures.concept[rows]
        dims = self.readout.config.matryoshka
        to_words = matryoshka(seen, read, concept, config.temperature, dims)
        among_words = info_nce(read, again, concept, config.temperature)
        near_words = self.words.loss(tokens, [self.pictures.words[row] for row in rows.tolist()])
        if self.tasks:
            near_words = near_words + self._task_words(random)
        return to_words + config.among_words * among_words + config.words * near_words

    def see(self, tokens: Tensor) -> Tensor:
        """Embed pictures, given as their tokens (B, K, hidden)."""
        picture = tokens.mean(dim=1)
        none = torch.zeros(len(picture), 1)
        text = self.readout.center.expand(len(picture), -1)
        embedding: Tensor = self.readout(Pooled(text, picture, none, none + 1))
        return embedding

    def read(self, pooled: Tensor) -> Tensor:
        """Embed captions, given as their pooled states (B, layers * hidden)."""
        none = torch.zeros(len(pooled), 1)
        picture = torch.zeros(len(pooled), self.readout.config.hidden_size)
        embedding: Tensor = self.readout(Pooled(pooled.float(), picture, none + 1, none))
        return embedding

    @torch.inference_mode()
    def recall(self, pictures: Pictures, captions: Tensor) -> dict[str, float]:
        """Return how often a name finds its picture first, and among ten, of unseen concepts.

        `dev_words` is the share of right words among those that a picture's tokens are nearest to.
        """
        self.learning.eval()
        first: dict[int, int] = {}
        for row in torch.nonzero(pictures.is_base).flatten().tolist():
            first.setdefault(int(pictures.concept[row]), row)
        rows = list(first.values())[:DEV_PICTURES]
        names = torch.tensor([pictures.captions[row][0] for row in rows])
        tokens = self.connector(pictures.features[rows, 0].float())
        seen, read = self.see(tokens), self.read(captions[names])
        words = self.words.found(tokens, [pictures.words[row] for row in rows])
        self.learning.train()
        seen, read = (torch.nn.functional.normalize(x, dim=-1) for x in (seen, read))
        scores = read @ seen.T
        rank = (scores >= scores.diagonal()[:, None]).sum(dim=1)
        recall = {f"dev_recall@{k}": float((rank <= k).float().mean()) for k in (1, 5, 10)}
        return recall | {"dev_words": words}

    def _task_words(self, random: torch.Generator) -> Tensor:
        """Return the loss between tokens and words of as many pictures of each task."""
        features: list[Tensor] = []
        words: list[list[int]] = []
        for task in self.tasks:
            rows = torch.randint(len(task.words), (self.config.task_batch,), generator=random)
            features.append(task.features[rows].float())
            words += [task.words[row] for row in rows.tolist()]
        return self.words.loss(self.connector(torch.cat(features)), words)

    def _views(self, random: torch.Generator) -> Tensor:
        """Choose each picture's view: itself (0), or one of the augmented ones."""
        shape = (self.config.batch,)
        others = torch.randint(1, max(2, self.config.views), shape, generator=random)
        is_augmented = torch.rand(shape, generator=random) < self.config.augmented_share
        return torch.where(is_augmented & (others < self.config.views), others, 0)

    def _choose(self, rows: Tensor, random: torch.Generator) -> Tensor:
        """Choose one caption of each row: its name, a longer English text, or a foreign name."""
        foreign_share = self.config.foreign_share
        kinds, picks = torch.rand(2, len(rows), generator=random).tolist()
        chosen = []
        for row, kind, pick in zip(rows.tolist(), kinds, picks, strict=True):
            name, longer, foreign = self.pictures.captions[row]
            if kind < foreign_share:
                options = foreign
            else:
                options = longer if kind < foreign_share + self.config.long_share else []
            chosen.append(options[int(pick * len(options))] if options else name)
        return torch.tensor(chosen)


def align(config: AlignConfig, folder: Path, report: Progress) -> dict[str, float]:
    """Train, and write the model to `folder/model`; go on where a killed run stopped.

    Args:
        config: the recipe.
        folder: of the run: metrics, checkpoint, curves and the trained model.
        report: told how far each stage is.

    Returns:
        The last recall on dev.

    Raises:
        PonderError: the loss is no longer a number; the last checkpoint is from before that.
    """
    run = Run(folder, config)
    gallery = build(config.part, default_folder(config.part), report)
    backbone = nano_backbone(
        {
            "regions_side": config.regions_side,
            "stage_channels": config.stage_channels,
            "together": config.together,
        }
    )
    of_words = backbone.model.get_input_embeddings().weight
    backbone.model.config.loudness = float(of_words.pow(2).mean().sqrt())
    backbone.model.to(fastest_dtype(backbone.device))
    layers = ReadOutConfig(backbone.hidden_size).layers
    train, dev = (
        freeze(backbone, gallery, split, config.languages, layers, config.views, report)
        for split in ("train", "dev")
    )
    tasks = [freeze_task(backbone, name, "train", report) for name in config.tasks]
    aligner = Aligner(config, backbone, train, tasks)
    scores = fit(aligner, dev, run, report)
    backbone.model.model.connector = aligner.connector
    history = [stage_record("align", config, scores, [gallery / "manifest.json"])]
    save(folder / "model", backbone, aligner.readout, history)
    plot(read_metrics(folder), folder / "curves.png")
    return scores


def fit(
    aligner: Aligner, dev: tuple[Pictures, Tensor], run: Run, report: Progress
) -> dict[str, float]:
    """Do the steps that `run` has not done yet; return the last recall on dev."""
    config = aligner.config
    optimizer = torch.optim.AdamW(
        aligner.learning.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    done, scores = _resume(aligner, optimizer, run)
    for step in range(done, config.steps):
        if step % config.checkpoint_every == 0 and step > done:
            run.checkpoint(_state(aligner, optimizer, step))
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * cosine(step, config.steps)
        loss = aligner.loss(step)
        if not torch.isfinite(loss):
            raise PonderError(
                f"step {step}: the loss is {loss.item()}; lower the learning rate and run again"
            )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(aligner.learning.parameters(), 1.0)
        optimizer.step()
        values = {"loss": loss.item(), "learning_rate": optimizer.param_groups[0]["lr"]}
        if (step + 1) % config.checkpoint_every == 0 or step + 1 == config.steps:
            scores = aligner.recall(*dev)
            values |= scores
        run.log(step, **values)
        report("train", step + 1, config.steps)
    run.checkpoint(_state(aligner, optimizer, config.steps) | {"scores": scores})
    return scores


def _state(aligner: Aligner, optimizer: torch.optim.Optimizer, step: int) -> dict[str, Any]:
    return {
        "step": step,
        "learning": aligner.learning.state_dict(),
        "optimizer": optimizer.state_dict(),
    }


def _resume(
    aligner: Aligner, optimizer: torch.optim.Optimizer, run: Run
) -> tuple[int, dict[str, float]]:
    """Return the steps done, and the scores where all were."""
    state = run.resume()
    if state is None:
        return 0, {}
    aligner.learning.load_state_dict(state["learning"])
    optimizer.load_state_dict(state["optimizer"])
    return state["step"], state.get("scores", {})
