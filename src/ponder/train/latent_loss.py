"""The loss of latent steps over one batch of pairs (PLUME, section 4).

What of the thoughts is still text teaches the steps to carry what they replaced; contrastive losses
between what is read out after the steps teach them to be worth reading; the experts are kept busy
alike over the whole batch. The scores of written thoughts may teach those of latent ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from ponder.train.curriculum import remaining
from ponder.train.gradcache import chunks, shared_gradients
from ponder.train.likelihood import surprises
from ponder.train.losses import matryoshka

if TYPE_CHECKING:
    from collections.abc import Sequence

    from accelerate import Accelerator

    from ponder.model.backbone import Prepared
    from ponder.model.latent import TransitionAdapter
    from ponder.model.thinker import Thinker
    from ponder.train.curriculum import Stage
    from ponder.train.joint import PairBatch


@dataclass(frozen=True)
class LatentWeights:
    """What each part of the loss counts.

    Attributes:
        language: of the thoughts' tokens that are still text.
        latent: between embeddings with latent steps.
        no_think: between embeddings without.
        mixed: between a query with and a positive without latent steps.
        balance: of the experts' shares.
        distill: of the distance to the scores of written thoughts.
    """

    language: float = 1.0
    latent: float = 1.0
    no_think: float = 1.0
    mixed: float = 0.5
    balance: float = 0.1
    distill: float = 0.0


@dataclass(frozen=True)
class _Run:
    """What some rows came to: embeddings (n, D), gates (n, K * N), the text's summed loss."""

    plain: Tensor
    latent: Tensor
    gates: Tensor
    language: Tensor

    @property
    def parts(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.plain, self.latent, self.gates


class LatentLoss:
    """Computes the loss and leaves its gradients in the parameters.

    Args:
        thinker: what learns; it has a transition adapter.
        accelerator: the processes that share a batch.
        temperature: of the contrastive losses.
        dims: prefixes of the embedding that learn to work alone.
        weights: of the parts.
        chunk_tokens: most tokens of the rows that are run at once with gradients.
        learns_reading: whether more learns than the transition adapter, so that gradients must
            reach what comes before the steps.
    """

    def __init__(
        self,
        thinker: Thinker,
        accelerator: Accelerator,
        temperature: float,
        dims: Sequence[int],
        weights: LatentWeights,
        chunk_tokens: int,
        learns_reading: bool = False,
    ) -> None:
        self._thinker = thinker
        self._accelerator = accelerator
        self._temperature = temperature
        self._dims = dims
        self._weights = weights
        self._chunk_tokens = chunk_tokens
        self._learns_reading = learns_reading

    def backward(self, batch: PairBatch, stage: Stage) -> dict[str, float]:
        """Add the gradients of one batch; return its losses.

        Every process adds its own rows' share of the joint batch's gradient, so the shares must be
        summed over the processes, not averaged.
        """
        texts = self._texts(batch, stage)
        divided = self._chunks(batch, texts)
        whole = self._run(batch.rows, texts, stage) if len(divided) == 1 else None
        with torch.no_grad():
            runs = [whole] if whole else [self._take(batch, texts, stage, c) for c in divided]
            parts = _joined(runs, divided)
            written = self._embed_written(batch, divided) if self._weights.distill else None
        losses, by_part = self._joint(parts, written, batch)
        total = torch.tensor(float(sum(map(len, texts))), device=parts[0].device)
        total = self._accelerator.reduce(total, "sum").clamp(min=1)
        language = 0.0
        for chunk in divided:
            run = whole or self._take(batch, texts, stage, chunk)
            carried = torch.stack(
                [(part * by[chunk]).sum() for part, by in zip(run.parts, by_part, strict=True)]
            ).sum()
            (self._weights.language * run.language / total + carried).backward()
            language += float(run.language.detach())
        return {"language": language / max(1, sum(map(len, texts))), **losses}

    @torch.no_grad()
    def embed(self, batch: PairBatch, stage: Stage) -> tuple[Tensor, Tensor]:
        """Return unit embeddings (2 B, D) without and with latent steps, queries first."""
        texts: list[list[int]] = [[] for _ in batch.rows]
        divided = self._chunks(batch, texts)
        runs = [self._take(batch, texts, stage, chunk) for chunk in divided]
        plain, latent, _ = _joined(runs, divided)
        return plain, latent

    def _take(
        self, batch: PairBatch, texts: Sequence[Sequence[int]], stage: Stage, chunk: Sequence[int]
    ) -> _Run:
        return self._run([batch.rows[i] for i in chunk], [texts[i] for i in chunk], stage)

    def _run(self, rows: Sequence[Prepared], texts: Sequence[Sequence[int]], stage: Stage) -> _Run:
        thinker = self._thinker
        with torch.set_grad_enabled(self._learns_reading and torch.is_grad_enabled()):
            context = thinker.read(rows)
            states = thinker.read_out(context, rows)
            plain = thinker.embed(states)
        context, rollout = thinker.roll_out(context, states.queries, self._steps(stage))
        latent = thinker.embed(thinker.read_out(context, rows, is_attached=True))
        language = torch.zeros((), device=plain.device)
        worded = [i for i, text in enumerate(texts) if text]
        if worded:
            some, said = context.select(worded), [texts[i] for i in worded]
            _, states_of_text = thinker.extend(some, said)
            language = surprises(thinker, some.last, states_of_text, said).sum()
        return _Run(plain, latent, rollout.gates.flatten(1), language)

    def _joint(
        self, parts: Sequence[Tensor], written: Tensor | None, batch: PairBatch
    ) -> tuple[dict[str, float], list[Tensor]]:
        """Return the losses over the joint batch, and their gradients on this process's rows."""
        sides = [side for part in parts for side in part.chunk(2)]
        sides += list(written.chunk(2)) if written is not None else []
        groups = self._accelerator.gather(batch.group.to(sides[0].device))

        def losses(joint: Sequence[Tensor]) -> dict[str, Tensor]:
            plain, latent, gates = joint[0:2], joint[2:4], torch.cat(list(joint[4:6]))

            def contrast(a: Tensor, b: Tensor) -> Tensor:
                return matryoshka(a, b, groups, self._temperature, self._dims)

            found = {
                "latent": contrast(*latent),
                "no_think": contrast(*plain),
                "mixed": contrast(latent[0], plain[1]),
                "balance": self._imbalance(gates),
            }
            if written is not None:
                taught, own = (a @ b.T / self._temperature for a, b in (joint[6:8], latent))
                found["distill"] = score_distance(taught, own, groups)
            return found

        values, own = shared_gradients(self._accelerator, sides, losses, vars(self._weights))
        return values, [torch.cat(own[i : i + 2]) for i in (0, 2, 4)]

    def _imbalance(self, gates: Tensor) -> Tensor:
        """Return N sum f_i P_i over all steps of all rows; 1 if the experts share evenly.

        f_i is the share of choices that fell on expert i and P_i its mean probability (Switch
        Transformers, Fedus et al. 2022, equation 4).
        """
        config = self._transition.config
        if not config.experts or not gates.numel():
            return gates.sum()
        each = gates.unflatten(1, (-1, config.experts)).flatten(0, 1)  # (rows * K, N)
        chosen = each.topk(config.chosen, dim=-1).indices
        shares = F.one_hot(chosen, config.experts).float().mean(dim=(0, 1))
        uneven: Tensor = config.experts * (shares * each.mean(dim=0)).sum()
        return uneven

    def _embed_written(self, batch: PairBatch, divided: Sequence[Sequence[int]]) -> Tensor:
        """Return embeddings (2 B, D) with the thoughts that are taught, as text."""
        thinker = self._thinker
        found = torch.empty(2 * len(batch.group), thinker.dim, device=thinker.backbone.device)
        for chunk in divided:
            some = batch.take(chunk)
            longer, _ = thinker.extend(thinker.read(some.rows), some.taught)
            found[chunk] = thinker.embed(thinker.read_out(longer, some.rows, some.taught))
        return found

    def _texts(self, batch: PairBatch, stage: Stage) -> list[list[int]]:
        """Return what is still text of each row's thought."""
        if not self._weights.language:
            return [[] for _ in batch.rows]
        tokenizer = self._thinker.backbone.processor.tokenizer
        share = self._steps(stage) / self._transition.config.steps
        return [remaining(tokenizer, ids, share, stage.has_answer) for ids in batch.thoughts]

    def _steps(self, stage: Stage) -> int:
        return stage.latent_steps(self._transition.config.steps)

    def _chunks(self, batch: PairBatch, texts: Sequence[Sequence[int]]) -> list[list[int]]:
        steps = self._transition.config.steps
        lengths = [len(row) + steps + len(t) for row, t in zip(batch.rows, texts, strict=True)]
        return chunks(lengths, self._chunk_tokens)

    @property
    def _transition(self) -> TransitionAdapter:
        if self._thinker.latent is None:
            raise ValueError("a thinker without a transition adapter cannot learn latent steps")
        return self._thinker.latent


def _joined(runs: Sequence[_Run], divided: Sequence[Sequence[int]]) -> list[Tensor]:
    """Return the parts of all runs in the order of the batch, through which no gradient flows."""
    order = torch.tensor([row for chunk in divided for row in chunk]).argsort()
    columns = zip(*(run.parts for run in runs), strict=True)
    return [torch.cat([part.detach() for part in column])[order] for column in columns]


def score_distance(taught: Tensor, own: Tensor, group: Tensor) -> Tensor:
    """Return how far one model's scores of a batch are from another's, rows and columns.

    It is the Kullback-Leibler divergence between the softmaxes (Hinton et al. 2015).

    Args:
        taught: (B, B), queries against positives, over the temperature, of what teaches.
        own: (B, B), likewise, of what learns.
        group: (B,), rows of one group are compared with themselves alone.
    """
    alike = (group[:, None] == group[None, :]).fill_diagonal_(False)
    taught, own = (scores.masked_fill(alike, -1e4) for scores in (taught, own))
    distances = [
        F.kl_div(b.log_softmax(dim=1), a.log_softmax(dim=1), reduction="batchmean", log_target=True)
        for a, b in ((taught, own), (taught.T, own.T))
    ]
    return torch.stack(distances).mean()
