"""Latent steps next to written thoughts: the same model, items and scheduler in one run.

    python benchmarks/latent.py [--model nano-think] [--items 96] [--json FILE] [--plot FILE]

First the model as it is: thoughts of the length it writes them. Then thoughts of given lengths, to
show how the ratio grows with them: here the model is made to write so many tokens, whatever they
say. The reasoning phase is what comes between reading an item and reading its embedding out. The
batch is the scheduler's own; `one by one` gives it a single item at a time.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import ponder
from machine import clock
from ponder.engine.budget import Budget
from ponder.engine.scheduler import Scheduler
from ponder.engine.writing import Draft, Writer
from ponder.gallery import default_folder, read
from ponder.items import parse
from ponder.plotting import pyplot
from think import place

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from transformers import PreTrainedTokenizerBase

    from ponder.engine.trace import ThinkMode
    from ponder.model.backbone import Prepared
    from ponder.model.thinker import Thinker

LENGTHS = (16, 32, 64, 128, 256)
RATIO = "reasoning_of_latent"
ALONE = 12  # items that are also run one by one


@dataclass(frozen=True)
class Took:
    """What some items took.

    Attributes:
        seconds: end to end.
        reasoning_seconds: of that, thinking.
        tokens: of the thoughts, per item.
    """

    seconds: float
    reasoning_seconds: float
    tokens: float


class OfLength(Writer):
    """A writer whose thoughts all have so many tokens."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, length: int) -> None:
        super().__init__(tokenizer, length)
        self._length = length

    def write(self, drafts: Sequence[Draft], logits: torch.Tensor) -> None:
        for draft, token in zip(drafts, logits.argmax(dim=-1).tolist(), strict=True):
            draft.tokens.append(token)
            draft.unread = 1
            draft.is_done = len(draft.tokens) >= self._length


def run(
    thinker: Thinker, items: Sequence[Prepared], think: ThinkMode, length: int | None = None
) -> Took:
    """Run items through one scheduler, their thoughts of a length or as they come."""
    tokenizer = thinker.backbone.processor.tokenizer
    writer = (
        Writer(tokenizer, thinker.config.max_thought_tokens)
        if length is None
        else OfLength(tokenizer, length)
    )
    scheduler = Scheduler(thinker, Budget.of(thinker.backbone.device), think, 0.0, writer)
    start = clock(thinker.backbone.device)
    traces = [trace for _, trace in scheduler.run(items)]
    return Took(
        clock(thinker.backbone.device) - start,
        sum(trace.think_ms for trace in traces) / 1000,
        float(np.mean([trace.thought_tokens for trace in traces])),
    )


def one_by_one(thinker: Thinker, items: Sequence[Prepared], think: ThinkMode) -> Took:
    """Run items alone, and return what they took together."""
    took = [run(thinker, [item], think) for item in items]
    return Took(
        sum(one.seconds for one in took),
        sum(one.reasoning_seconds for one in took),
        float(np.mean([one.tokens for one in took])),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="nano-think")
    parser.add_argument("--items", type=int, default=96)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path, help="the ratio over the length of thoughts")
    options = parser.parse_args()
    plt = pyplot("the curve") if options.plot else None
    thinker = ponder.load(options.model).saved.trained_thinker()
    rows = read(default_folder("full"), "test", ("picture", "caption")).to_pylist()[: options.items]
    values = [row["picture"] if i % 2 else row["caption"] for i, row in enumerate(rows)]
    items = [
        thinker.backbone.prepare(parse({"text": v} if isinstance(v, str) else v, str(i)), str(i))
        for i, v in enumerate(values)
    ]
    items = thinker.backbone.see_ahead(items)  # the vision tower is no part of thinking
    run(thinker, items[:8], "always")
    run(thinker, items[:8], "latent")  # both warm
    found = {}
    print(f"{len(items)} items on {place()}\n")
    print(f"{'':<24}{'tokens':>8}{'seconds':>9}{'thinking':>10}{'of latent':>11}")
    for name, work, some in (
        ("", run, items),
        (", one by one", one_by_one, items[:ALONE]),
    ):
        never, latent, always = (work(thinker, some, m) for m in ("never", "latent", "always"))
        for mode, took in (("never", never), ("latent", latent), ("always", always)):
            times = took.reasoning_seconds / latent.reasoning_seconds
            show(f"{mode}{name}", took, times)
            found[f"{mode}{name}"] = asdict(took) | {RATIO: times}
        print(f"latent{name}: {latent.seconds / never.seconds:.2f} of never, end to end\n")
        found[f"latent{name}"]["of_never"] = latent.seconds / never.seconds
    latent = run(thinker, items, "latent")
    for length in LENGTHS:
        took = run(thinker, items, "always", length)
        times = took.reasoning_seconds / latent.reasoning_seconds
        show(f"always, {length} tokens", took, times)
        found[f"always, {length} tokens"] = asdict(took) | {RATIO: times}
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if options.plot:
        draw(plt, found, options.plot)


def draw(plt: Any, found: dict[str, dict[str, float]], path: Path) -> None:
    """Draw how many times as long as latent steps it takes to write thoughts of each length."""
    curve = [found[f"always, {length} tokens"] for length in LENGTHS]
    figure, axes = plt.subplots(figsize=(6, 3.4))
    lengths, times = ([at[key] for at in curve] for key in ("tokens", RATIO))
    axes.plot(lengths, times, "o-", label="thoughts of a given length")
    axes.plot(found["always"]["tokens"], found["always"][RATIO], "D", label="the model's own")
    axes.axhline(30, color="grey", lw=0.8, ls="--")
    axes.set(xlabel="tokens a thought", ylabel="time to write it, of latent steps'")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def show(name: str, took: Took, times: float) -> None:
    """Print a line of the table."""
    print(
        f"{name:<24}{took.tokens:>8.1f}{took.seconds:>9.2f}{took.reasoning_seconds:>10.2f}"
        f"{times:>11.1f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
