"""`ponder train gate`: learn when a thought pays (Think When Needed, the routing gate).

The model labels its own items: each is embedded without and with a thought that the model itself
wrote, and the gap to the negatives says which was better. The gate learns that from the states of
the no-think read-out alone; the threshold is chosen on held-out items.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional as F

from ponder.gallery.tasks import TASKS
from ponder.model.gate import Gate, cut
from ponder.model.saved import load_saved, save
from ponder.train.history import stage_record
from ponder.train.log import Run
from ponder.train.task_pairs import load_pairs, tasks_manifest
from ponder.train.trial import Trial, Tried, try_both

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ponder.model.thinker import Kind
    from ponder.progress import Progress

RATES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Shares of a kind that may think, from which its threshold is chosen."""
SURE = 2.0  # standard errors; with one, half of made-up gates that knew nothing were let think


@dataclass(frozen=True)
class GateConfig:
    """Everything `ponder train gate` can be told.

    Attributes:
        seed: of the gate's weights and batches.
        model: a saved folder that thinks.
        tasks: of the Gallery.
        items: most queries, and most candidates, of a task and split that are thought about.
        temperature: of the gap's soft maximum.
        least_gain: by how much the gap must grow for a thought to count as paying.
        token_price: gap that a thought must gain for each of its tokens.
        surest: growth of the gap, beyond or short of that, from which a label counts in full.
        width: of the gate's hidden layer.
        steps: optimizer steps.
        batch: items a step.
        learning_rate: of AdamW.
        weight_decay: of AdamW.
    """

    model: str = "runs/sft/model"
    seed: int = 0
    tasks: tuple[str, ...] = TASKS
    items: int = 60
    temperature: float = 0.05
    least_gain: float = 0.02
    token_price: float = 0.0
    surest: float = 0.1
    width: int = 512
    steps: int = 600
    batch: int = 256
    learning_rate: float = 1e-3
    weight_decay: float = 0.05


def train_gate(config: GateConfig, folder: Path, report: Progress) -> list[dict[str, Any]]:
    """Train the gate, and write the model with it to `folder/model`.

    Args:
        config: the recipe.
        folder: of the run: metrics, `routing.json` and the model.
        report: told how far each stage is.

    Returns:
        The routing table on dev: for each task and kind, how often the gate thinks, and what that
        gains beside thinking never and always.

    Raises:
        ThinkModeError: the model cannot think.
        PonderError: the tasks were not built.
    """
    run = Run(folder, config)
    saved = load_saved(config.model)
    thinker = saved.trained_thinker()
    tried = {}
    for split in ("train", "dev"):
        pairs = load_pairs(config.tasks, split, thinker.backbone, report, config.items)
        with thinker.folded():
            tried[split] = try_both(thinker, pairs, config.items, config.temperature, report)
    learnt = (tried["train"].queries, tried["train"].documents)
    gate = fit(config, thinker.backbone.hidden_size, learnt, run, report)
    dev = tried["dev"]
    thresholds = choose(gate, dev, config.token_price)
    parts = (dev.queries, dev.documents)
    table = [row for part in parts for row in routing(gate, part, thresholds[part.kind])]
    (folder / "routing.json").write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    thinker.gate = gate
    thinker.config = replace(thinker.config, thresholds=thresholds)
    history = [*saved.history, stage_record("gate", config, {}, [tasks_manifest()])]
    save(folder / "model", thinker.backbone, saved.readout, history, thinker)
    return table


def fit(
    config: GateConfig, hidden_size: int, parts: Sequence[Tried], run: Run, report: Progress
) -> Gate:
    """Return a gate that learnt from what was tried."""
    torch.manual_seed(config.seed)
    gate = Gate.fresh(hidden_size, config.width).train()
    queries, last = (torch.cat([getattr(p, name) for p in parts]) for name in ("queries", "last"))
    beyond = torch.cat([p.gain - config.least_gain - config.token_price * p.tokens for p in parts])
    pays = (beyond > 0).float()
    # A near tie says little; and both answers count alike however seldom one is right.
    weight = (beyond.abs() / config.surest).clamp(max=1)
    share = (weight * pays).sum() / weight.sum().clamp(min=1e-9)
    weight = weight * torch.where(pays > 0, 0.5 / share.clamp(0.01), 0.5 / (1 - share).clamp(0.01))
    optimizer = torch.optim.AdamW(
        gate.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    run.resume()  # a gate is trained in seconds, always from the start
    for step in range(config.steps):
        rows = torch.randint(len(pays), (config.batch,))
        logits = gate(queries[rows], last[rows])
        loss = (
            weight[rows] * F.binary_cross_entropy_with_logits(logits, pays[rows], reduction="none")
        ).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        run.log(step, loss=loss.item())
        report("train the gate", step + 1, config.steps)
    return gate.eval()


@torch.inference_mode()
def choose(gate: Gate, trial: Trial, token_price: float) -> dict[Kind, float]:
    """Return the thresholds for queries and documents under which ranks are surely better.

    Both are chosen together, since an embedding with a thought stands among others without. Of all
    pairs that let some share of either kind think, the best is the one whose gain over never
    thinking, in reciprocal rank less the price of tokens, is highest after `SURE` standard errors
    are taken off: where the gain may be luck, nothing thinks.
    """
    asked = [probabilities(gate, part) for part in (trial.queries, trial.documents)]
    cuts = [[cut(found, rate) for rate in RATES] for found in asked]
    tokens = [part.tokens.float() for part in (trial.queries, trial.documents)]
    nobody = [torch.zeros(len(found), dtype=torch.bool) for found in asked]
    never = trial.reciprocal_ranks(*nobody)
    best, chosen = 0.0, (cuts[0][0], cuts[1][0])
    for pair in itertools.product(cuts[0], cuts[1]):
        thinks = [torch.from_numpy(found >= cut) for found, cut in zip(asked, pair, strict=True)]
        spent = sum(float((t * some).sum()) for t, some in zip(thinks, tokens, strict=True))
        price = token_price * spent / len(asked[0])
        ranks = trial.reciprocal_ranks(*thinks)
        gains = [ranks[task] - never[task] for task in ranks]
        mean = sum(float(gain.mean()) for gain in gains) / len(gains) - price
        error = sum(float(gain.var(correction=0)) / len(gain) for gain in gains) ** 0.5 / len(gains)
        if mean - SURE * error > best:
            best, chosen = mean - SURE * error, pair
    return {"query": chosen[0], "document": chosen[1]}


@torch.inference_mode()
def probabilities(gate: Gate, part: Tried) -> NDArray[np.float32]:
    """Return the gate's probability (n,) for each item."""
    found: NDArray[np.float32] = gate(part.queries, part.last).sigmoid().numpy()
    return found


def routing(gate: Gate, part: Tried, threshold: float) -> list[dict[str, Any]]:
    """Return a row for each task: how often the gate thinks, and what thinking gains.

    `auc` is the chance that an item whose gap a thought makes grow has a higher probability than
    one whose gap it does not; the gains are of the reciprocal rank.
    """
    asked = probabilities(gate, part)
    names = np.array(part.task)
    gain, rank_gain = part.gain.numpy(), part.rank_gain.numpy()
    rows = []
    for name in dict.fromkeys(part.task):
        own = names == name
        thinks = asked[own] >= threshold
        rows.append(
            {
                "task": name,
                "kind": part.kind,
                "items": int(own.sum()),
                "trigger_rate": float(thinks.mean()),
                "auc": auc(asked[own], gain[own] > 0),
                "gain_always": float(rank_gain[own].mean()),
                "gain_auto": float((rank_gain[own] * thinks).mean()),
                "gain_oracle": float(rank_gain[own].clip(min=0).mean()),
                "thought_tokens": float(part.tokens.numpy()[own].mean()),
            }
        )
    return rows


def auc(scores: NDArray[np.floating], is_positive: NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve, nan where all items are of one sort.

    It is the Mann-Whitney statistic: the share of pairs in which the positive scores higher, ties
    counting half.
    """
    positives, negatives = scores[is_positive], np.sort(scores[~is_positive])
    if not len(positives) or not len(negatives):
        return float("nan")
    below = np.searchsorted(negatives, positives, "left")
    not_above = np.searchsorted(negatives, positives, "right")
    return float((below + not_above).mean() / 2 / len(negatives))
