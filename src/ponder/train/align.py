"""`ponder train align`: teach `nano` to see.

The connector and the read-out learn from pictures and their captions; both towers stay frozen. In
the first phase (`warm`) a picture's tokens go straight to the read-out as if they were word
embeddings, which costs no pass of the language model; in the second (`joint`) they go through it,
as they do ever after. Captions are always read through the language model: their states are frozen
and cached.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from ponder.errors import PonderError
from ponder.gallery import build, default_folder
from ponder.model.backbone import select
from ponder.model.readout import ReadOut, ReadOutConfig, pool
from ponder.model.saved import fastest_dtype, nano_backbone, save
from ponder.train.frozen import Captions, Pictures, freeze
from ponder.train.log import Run, plot, read_metrics
from ponder.train.losses import matryoshka

if TYPE_CHECKING:
    from pathlib import Path

    from ponder.model.backbone import Backbone
    from ponder.progress import Progress

DEV_PICTURES = 500
CHUNK = 64  # pictures in one pass of the language model: what fits a CPU's cache


@dataclass(frozen=True)
class Phase:
    """One phase of the training.

    Attributes:
        steps: optimizer steps.
        batch: pictures a step; each is the others' negative.
        learning_rate: the peak; it rises over a tenth of the steps and falls as a cosine.
    """

    steps: int
    batch: int
    learning_rate: float


@dataclass(frozen=True)
class AlignConfig:
    """Everything `ponder train align` can be told; the defaults are the shipped recipe.

    Attributes:
        seed: of the weights, batches and dropout.
        part: of the Gallery.
        languages: of the captions.
        views: pictures made of each picture.
        tokens_per_picture: K.
        dropout: in the read-out.
        temperature: of the contrastive losses.
        weight_decay: of AdamW.
        variant_share: how often a skin-tone or other variant is drawn, next to a base picture.
        warm: the phase without the language model.
        joint: the phase through it.
        checkpoint_every: steps between checkpoints, and between looks at dev.
    """

    seed: int = 0
    part: Literal["demo", "full"] = "full"
    languages: tuple[str, ...] = ("en", "de", "es", "fr", "it", "nl", "pt")
    views: int = 2
    tokens_per_picture: int = 8
    dropout: float = 0.3
    temperature: float = 0.05
    weight_decay: float = 0.05
    variant_share: float = 0.2
    warm: Phase = field(default_factory=lambda: Phase(1000, 768, 1e-3))
    joint: Phase = field(default_factory=lambda: Phase(150, 384, 2e-4))
    checkpoint_every: int = 50


class Aligner:
    """The parts that learn, and one training step over them."""

    def __init__(self, config: AlignConfig, backbone: Backbone, split: tuple[Pictures, Captions]):
        torch.manual_seed(config.seed)
        self.config = config
        self.backbone = backbone
        self.connector = backbone.model.model.connector.requires_grad_(True)
        self.readout = ReadOut(ReadOutConfig(backbone.hidden_size), config.dropout)
        self.pictures, self.captions = split
        self.readout.standardise(self.captions.pooled.float())
        _, start, prefix = _prompt(backbone)
        self.prefix, self.start = prefix, start

    def parameters(self) -> list[Tensor]:
        """What learns."""
        return [*self.connector.parameters(), *self.readout.parameters()]

    def loss(self, phase: str, batch: int, step: int) -> Tensor:
        """Return the loss of one step; the same step draws the same rows and dropout."""
        random = torch.Generator().manual_seed(self.config.seed * 1_000_003 + step)
        torch.manual_seed(self.config.seed * 1_000_003 + step)
        rows = self._draw(batch, random)
        concept = self.pictures.concept[rows]
        views = torch.randint(self.pictures.grids.shape[1], (batch,), generator=random)
        seen = self._see(self.pictures.grids[rows, views], phase)
        read = self._read(self._choose(rows, random), phase)
        reread = self._read(self._choose(rows, random), phase)
        dims, temperature = self.readout.config.matryoshka, self.config.temperature
        to_words = matryoshka(seen, read, concept, temperature, dims)
        among_words = matryoshka(read, reread, concept, temperature, dims[:1])
        return to_words + 0.3 * among_words

    @torch.inference_mode()
    def recall(self, pictures: Pictures, captions: Captions, phase: str) -> dict[str, float]:
        """Return caption to picture recall at 1 and 10 among unseen concepts."""
        self.readout.eval()
        first: dict[int, int] = {}
        for row in torch.nonzero(pictures.is_base).flatten().tolist():
            first.setdefault(int(pictures.concept[row]), row)
        rows = list(first.values())[:DEV_PICTURES]
        parts = torch.tensor(rows).split(CHUNK)
        seen = torch.cat([self._see(pictures.grids[part, 0], phase) for part in parts])
        names = torch.tensor([pictures.captions[row][0] for row in rows])
        read = self.readout(captions.pooled[names].float())
        self.readout.train()
        seen, read = (torch.nn.functional.normalize(x, dim=-1) for x in (seen, read))
        scores = read @ seen.T
        rank = (scores > scores.diagonal()[:, None]).sum(dim=1)
        return {f"dev_recall@{k}": float((rank < k).float().mean()) for k in (1, 10)}

    def _draw(self, batch: int, random: torch.Generator) -> Tensor:
        weights = torch.where(self.pictures.is_base, 1.0, self.config.variant_share)
        return torch.multinomial(weights, batch, generator=random)

    def _choose(self, rows: Tensor, random: torch.Generator) -> Tensor:
        """Choose one caption of each row: half are names, the rest the other kinds."""
        kinds = torch.rand(len(rows), generator=random).tolist()
        picks = torch.rand(len(rows), generator=random).tolist()
        chosen = []
        for row, kind, pick in zip(rows.tolist(), kinds, picks, strict=True):
            name, english, foreign = self.pictures.captions[row]
            others = english if kind > 0.75 else foreign if kind > 0.5 else []
            chosen.append(others[int(pick * len(others))] if others else name)
        return torch.tensor(chosen)

    def _read(self, captions: Tensor, phase: str) -> Tensor:
        pooled = self.captions.pooled[captions].float()
        if phase == "warm":
            # Half the captions show their words alone, as every picture does in this phase.
            words_alone = torch.rand(len(pooled), 1) < 0.5
            hidden = self.backbone.hidden_size
            blank = self.readout.center[hidden:].expand(len(pooled), -1)
            deep = torch.where(words_alone, blank, pooled[:, hidden:])
            pooled = torch.cat([pooled[:, :hidden], deep], dim=1)
        return self.readout(pooled)  # type: ignore[no-any-return]

    def _see(self, grids: Tensor, phase: str) -> Tensor:
        """Embed pictures given as the tower's grids (B, channels, S, S)."""
        model = self.backbone.model.model
        with torch.autocast("cpu", torch.bfloat16):
            tokens = model.connect(model.vision_tower.widen(grids)).float()  # (B, K, hidden)
        if phase == "warm":
            deep = self.readout.center[self.backbone.hidden_size :]
            pooled = torch.cat([tokens.mean(dim=1), deep.expand(len(tokens), -1)], dim=1)
            return self.readout(pooled)  # type: ignore[no-any-return]
        pooled = torch.cat([self._through(part) for part in tokens.split(CHUNK)])
        return self.readout(pooled)  # type: ignore[no-any-return]

    def _through(self, tokens: Tensor) -> Tensor:
        """Run picture tokens (B, K, hidden) through the language model; pool their states."""
        language = self.backbone.model.model.language_model
        before = self.prefix.expand(len(tokens), -1, -1)
        embeds = torch.cat([before, tokens.to(before.dtype)], dim=1)
        output = language(inputs_embeds=embeds, use_cache=False, output_hidden_states=True)
        states = select(output, self.readout.config.layers)
        content = torch.zeros(embeds.shape[:2], dtype=torch.bool)
        content[:, self.start :] = True
        return pool(states, content)


def align(config: AlignConfig, folder: Path, report: Progress) -> dict[str, float]:
    """Train, and write the model to `folder/model`; go on where a killed run stopped.

    Args:
        config: the recipe.
        folder: of the run: metrics, checkpoint, curves and the trained model.
        report: called with a stage's name, steps done and steps in all.

    Returns:
        The last recall on dev.

    Raises:
        PonderError: the loss is no longer a number; the last checkpoint is from before that.
    """
    gallery = build(config.part, default_folder(config.part), report)
    torch.manual_seed(config.seed)
    backbone = nano_backbone({"tokens_per_picture": config.tokens_per_picture})
    backbone.model.set_attn_implementation("eager")  # its backward pass is the faster one here
    towers = (backbone.model.model.vision_tower, backbone.model.model.language_model)
    for tower in towers:
        tower.to(fastest_dtype(backbone.device))
    layers = ReadOutConfig(backbone.hidden_size).layers
    train, dev = (
        freeze(backbone, gallery, split, config.languages, layers, config.views, report)
        for split in ("train", "dev")
    )
    aligner = Aligner(config, backbone, train)
    scores = fit(aligner, dev, Run(folder), report)
    record = {"align": dataclasses.asdict(config)} | scores
    save(folder / "model", backbone, aligner.readout, record)
    plot(read_metrics(folder), folder / "curves.png")
    return scores


def fit(
    aligner: Aligner, dev: tuple[Pictures, Captions], run: Run, report: Progress
) -> dict[str, float]:
    """Do the steps that `run` has not done yet; return the last recall on dev."""
    config = aligner.config
    state = run.resume()
    done = state["step"] if state else 0
    total = config.warm.steps + config.joint.steps
    scores: dict[str, float] = {}
    phase_start = 0
    for name, phase in (("warm", config.warm), ("joint", config.joint)):
        phase_end = phase_start + phase.steps
        optimizer = torch.optim.AdamW(
            aligner.parameters(), lr=phase.learning_rate, weight_decay=config.weight_decay
        )
        if state and phase_start <= done < phase_end:
            _restore(aligner, optimizer, state)
        for step in range(max(done, phase_start), phase_end):
            if step % config.checkpoint_every == 0 and step > done:
                run.checkpoint(_state(aligner, optimizer, step))
            for group in optimizer.param_groups:
                group["lr"] = phase.learning_rate * _schedule(step - phase_start, phase.steps)
            loss = aligner.loss(name, phase.batch, step)
            if not torch.isfinite(loss):
                raise PonderError(
                    f"step {step}: the loss is {loss.item()}; lower the learning rate and run again"
                )
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(aligner.parameters(), 1.0)
            optimizer.step()
            values = {"loss": loss.item(), "learning_rate": optimizer.param_groups[0]["lr"]}
            if (step + 1) % config.checkpoint_every == 0 or step + 1 == phase_end:
                scores = aligner.recall(*dev, name)
                values |= scores
            run.log(step, phase=name, **values)
            report("train", step + 1, total)
        phase_start = phase_end
    return scores


def _prompt(backbone: Backbone) -> tuple[Tensor, int, Tensor]:
    """Return the ids before an item's own tokens, their number, and their embeddings."""
    from ponder.items import Item

    prepared = backbone.prepare(Item(("",)), "the empty item")
    ids = prepared.input_ids[: prepared.start]
    return ids, prepared.start, backbone.model.get_input_embeddings()(ids).detach()


def _schedule(step: int, steps: int) -> float:
    warm = max(1, steps // 10)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _state(aligner: Aligner, optimizer: torch.optim.Optimizer, step: int) -> dict[str, Any]:
    return {
        "step": step,
        "connector": aligner.connector.state_dict(),
        "readout": aligner.readout.state_dict(),
        "optimizer": optimizer.state_dict(),
    }


def _restore(aligner: Aligner, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    aligner.connector.load_state_dict(state["connector"])
    aligner.readout.load_state_dict(state["readout"])
    optimizer.load_state_dict(state["optimizer"])
