"""Thinking through one scheduler, next to the pipeline one writes first.

    python benchmarks/think.py [--items 192] [--json FILE]
    python benchmarks/think.py --backbone qwen3-vl-4b      # random weights, wants a GPU

The peer goes batch by batch: `generate` under the reasoning adapter until the batch's last thought
is done, then a second full pass over input and thought, then the read-out. For `auto` it first
embeds everything without a thought to ask the gate. Both sides have the same weights in the same
dtype, the same items in the same length-sorted batches, the same thoughts and the same read-out,
and the vectors are compared. The peer's rows a batch are the best of a few. `of always` is the
peer's time for `always` over ours.

The adapters are random (they cost what trained ones cost), so no thought would end by itself: each
item's length is drawn from a log-normal distribution of median 32 tokens, cut at 128. `nano` runs
in float32, where both sides must agree; the larger backbones in bfloat16.

Beside the peer stand the machine's floors: reading at the rate of one large matrix product, writing
at the rate at which memory hands over the weights, once a token.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import (
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
    StoppingCriteria,
    StoppingCriteriaList,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from machine import bandwidth, clock, matmul_rate
from ponder.engine.budget import Budget
from ponder.engine.scheduler import Scheduler
from ponder.engine.writing import Draft, Writer
from ponder.gallery import default_folder, read
from ponder.items import parse
from ponder.model.adapters import ADAPTERS
from ponder.model.backbone import Backbone
from ponder.model.families import MROPE, join_media, pictures_only
from ponder.model.saved import load_saved
from ponder.model.thinker import Thinker, ThinkerConfig

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.families import template, tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ponder.engine.trace import ThinkMode
    from ponder.items import Item
    from ponder.model.backbone import Prepared

QWEN = {
    "qwen3-vl-2b": (
        {"hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 28}
        | {"num_attention_heads": 16},
        {"hidden_size": 1024, "depth": 24, "intermediate_size": 4096},
    ),
    "qwen3-vl-4b": (
        {"hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36}
        | {"num_attention_heads": 32},
        {"hidden_size": 1024, "depth": 24, "intermediate_size": 4096},
    ),
}
LONGEST = 128
RATES = (0.0, 0.25, 0.5, 1.0)
PEER_ROWS = (16, 32)
GATE_ROUNDS = 9
WORDS = ("a", "red", "bicycle", "leans", "on", "the", "wall", "in", "sun", "and", "what", "is")


class Scripted(Writer):
    """A writer that cuts the thought of each item at a length of its own."""

    def __init__(self, thinker: Thinker, lengths: Sequence[int]) -> None:
        super().__init__(thinker.backbone.processor.tokenizer, LONGEST)
        self._lengths = lengths
        self._own: dict[int, int] = {}

    def start(self, item: int) -> Draft:
        draft = super().start(item)
        self._own[id(draft)] = self._lengths[item]
        return draft

    def write(self, drafts: Sequence[Draft], logits: torch.Tensor) -> None:
        super().write(drafts, logits)
        for draft in drafts:
            if not draft.is_done and len(draft.tokens) >= self._own[id(draft)]:
                self.close(draft)


class AtLength(StoppingCriteria):
    """Ends each row of `generate` at a length of its own."""

    def __init__(self, start: int, lengths: Sequence[int]) -> None:
        self._ends = torch.tensor([start + length for length in lengths])

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        return (input_ids.shape[1] >= self._ends).to(input_ids.device)


class Peer:
    """The straightforward pipeline."""

    def __init__(self, thinker: Thinker, rows: int, lengths: Sequence[int]) -> None:
        self.thinker, self.rows, self.lengths = thinker, rows, lengths
        self.writer = Scripted(thinker, lengths)

    @torch.inference_mode()
    def run(self, items: Sequence[Prepared], threshold: float | None) -> NDArray[np.float32]:
        """Return vectors; think where the gate says so, or everywhere for a threshold of None."""
        thinker = self.thinker
        vectors = np.empty((len(items), thinker.dim), dtype=np.float32)
        order = sorted(range(len(items)), key=lambda i: -len(items[i]))
        chosen = order
        if threshold is not None:
            chosen = []
            for batch in self._batches(order):
                rows = [items[i] for i in batch]
                states = thinker.read_out(thinker.read(rows), rows)
                vectors[batch] = thinker.embed(states).cpu()
                gates = thinker.decide(states).tolist()
                chosen += [i for i, gate in zip(batch, gates, strict=True) if gate >= threshold]
        for batch in self._batches(chosen):
            thoughts = self._write(batch, [items[i] for i in batch])
            whole = [items[i].followed_by(ids) for i, ids in zip(batch, thoughts, strict=True)]
            vectors[batch] = thinker.embed(thinker.read_out(thinker.read(whole), whole)).cpu()
        return vectors

    def _write(self, batch: list[int], rows: list[Prepared]) -> list[list[int]]:
        """Return each row's thought, from one `generate`."""
        model, tokenizer = self.thinker.backbone.model, self.thinker.backbone.processor.tokenizer
        drafts = [self.writer.start(i) for i in batch]
        prompts = [torch.cat([row.input_ids, torch.tensor(drafts[0].tokens)]) for row in rows]
        longest = max(map(len, prompts))
        ids = torch.full((len(rows), longest), tokenizer.pad_token_id)
        mask = torch.zeros_like(ids)
        for i, prompt in enumerate(prompts):
            ids[i, longest - len(prompt) :] = prompt
            mask[i, longest - len(prompt) :] = 1
        device = self.thinker.backbone.device
        media = join_media([row.media for row in rows])
        if model.config.model_type in MROPE and media:  # which finds its positions by this
            media["mm_token_type_ids"] = (ids == model.config.image_token_id).long()
        lengths = [self.lengths[i] - len(drafts[0].tokens) for i in batch]
        self.thinker.adapters.use("reasoning")
        written = model.generate(
            input_ids=ids.to(device),
            attention_mask=mask.to(device),
            **{key: value.to(device) for key, value in media.items()},
            max_new_tokens=max(lengths),
            do_sample=False,
            stopping_criteria=StoppingCriteriaList([AtLength(longest, lengths)]),
        )
        for draft, row, length in zip(drafts, written[:, longest:].tolist(), lengths, strict=True):
            new = row[:length]
            if tokenizer.eos_token_id in new:
                new = new[: new.index(tokenizer.eos_token_id)]
            draft.tokens += new
            self.writer.close(draft)
        return [draft.tokens for draft in drafts]

    def _batches(self, order: Sequence[int]) -> list[list[int]]:
        return [list(order[i : i + self.rows]) for i in range(0, len(order), self.rows)]


@dataclass
class Run:
    """What one side took for one mode."""

    vectors: NDArray[np.float32]
    seconds: float
    tokens: int


def nano() -> tuple[Thinker, list[Item]]:
    """Return `nano` with random adapters, and captions and pictures of the Gallery in turn."""
    saved = load_saved("nano", dtype=torch.float32, device="cpu")
    config = ThinkerConfig({"reasoning": 8, "embedding": 8})
    rows = read(default_folder("demo"), "test", ["picture", "caption"]).to_pylist()
    values = [row["picture"] if i % 2 else row["caption"] for i, row in enumerate(rows)]
    items = [parse(value, str(i)) for i, value in enumerate(values)]
    return Thinker.fresh(saved.backbone, config, saved.readout), items


def qwen(size: str) -> tuple[Thinker, list[Item]]:
    """Return a Qwen3-VL of random weights, and words and noise of 448 x 448 pixels in turn."""
    text, vision = QWEN[size]
    tokens = tokenizer("<|image_pad|>", "<|vision_start|>", "<|vision_end|>", "<|video_pad|>")
    config = Qwen3VLConfig(
        text_config={
            **text,
            "vocab_size": 151936,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 5e6,
                "mrope_section": [24, 20, 20],
            },
        },
        vision_config={**vision, "num_heads": 16, "out_hidden_size": text["hidden_size"]},
        tie_word_embeddings=True,
        image_token_id=tokens.convert_tokens_to_ids("<|image_pad|>"),
        video_token_id=tokens.convert_tokens_to_ids("<|video_pad|>"),
        vision_start_token_id=tokens.convert_tokens_to_ids("<|vision_start|>"),
        vision_end_token_id=tokens.convert_tokens_to_ids("<|vision_end|>"),
    )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(device):
        model = Qwen3VLForConditionalGeneration(config)
    torch.set_default_dtype(torch.float32)
    pictures = Qwen2VLImageProcessorPil(patch_size=16)
    processor = pictures_only(Qwen3VLProcessor)(
        pictures, tokens, chat_template=template("<|vision_start|><|image_pad|><|vision_end|>")
    )
    backbone = Backbone(model, processor, {"name": f"random Qwen3-VL-{size}"})
    draw = np.random.default_rng(0)
    words = [" ".join(draw.choice(WORDS, 12)) for _ in range(512)]
    noise = [draw.integers(0, 255, (448, 448, 3), dtype=np.uint8) for _ in range(16)]
    items = [parse(noise[i // 2 % 16] if i % 2 else words[i], str(i)) for i in range(512)]
    thinker = Thinker.fresh(backbone, ThinkerConfig())
    model.to(device=device, dtype=torch.bfloat16)
    return thinker, items


def contenders(backbone: str) -> tuple[Thinker, Thinker, list[Item]]:
    """Return ponder's thinker and the peer's, of the same weights, and the items.

    Like `ponder.load`, ours merges the adapters of a small model; the peer leaves that to PEFT.
    """

    def made() -> tuple[Thinker, list[Item]]:
        thinker, items = nano() if backbone == "nano" else qwen(backbone)
        torch.manual_seed(0)
        for parameter in [p for name in ADAPTERS for p in thinker.adapters.parameters(name)]:
            torch.nn.init.normal_(parameter, std=0.01)
        return thinker, items

    ours, items = made()
    if not ours.can_merge:
        return ours, ours, items
    ours.adapters.merge()
    return ours, made()[0], items


class Bench:
    """The items, the weights, and a count of the tokens the language model is given."""

    def __init__(self, thinker: Thinker, other: Thinker, items: Sequence[Item]) -> None:
        self.thinker, self.other = thinker, other
        self.items = [thinker.backbone.prepare(item, "item") for item in items]
        self.budget = Budget.of(thinker.backbone.device)
        draw = np.random.default_rng(0).lognormal(np.log(32), 0.7, len(items))
        self.lengths = [int(length) for length in draw.clip(12, LONGEST)]
        self._tokens = 0
        for one in {id(made): made for made in (thinker, other)}.values():
            decoder = one.backbone.model.get_decoder()
            decoder.register_forward_pre_hook(self._count, with_kwargs=True)

    def _count(self, _: Any, args: Any, kwargs: dict[str, Any]) -> None:
        self._tokens += kwargs["inputs_embeds"].shape[:2].numel()

    def timed(self, work: Callable[[], NDArray[np.float32]]) -> Run:
        """Do the work and take its time and tokens."""
        self._tokens = 0
        start = time.perf_counter()
        vectors = work()
        return Run(vectors, time.perf_counter() - start, self._tokens)

    def ours(self, think: ThinkMode, threshold: float = 0.0) -> Run:
        """Run the scheduler."""
        writer = Scripted(self.thinker, self.lengths)
        scheduler = Scheduler(self.thinker, self.budget, think, threshold, writer)
        return self.timed(lambda: np.stack([vector for vector, _ in scheduler.run(self.items)]))

    def gates(self) -> NDArray[np.float64]:
        """Return the gate's probability of each item."""
        writer = Scripted(self.thinker, self.lengths)
        results = Scheduler(self.thinker, self.budget, "auto", 2.0, writer).run(self.items)
        return np.array([trace.gate for _, trace in results])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=192)
    parser.add_argument("--backbone", choices=["nano", *QWEN], default="nano")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    thinker, other, items = contenders(options.backbone)
    bench = Bench(thinker, other, items[: options.items])
    gates = bench.gates()
    bench.ours("never")  # warms up
    trial = Bench(thinker, other, items[: max(PEER_ROWS)])
    rows = min(PEER_ROWS, key=lambda n: trial.timed(lambda: peer_of(trial, n, None)).seconds)
    print(f"{len(bench.items)} items, thoughts of {np.mean(bench.lengths):.0f} tokens on average,")
    print(f"on {place()}; the peer takes {rows} rows a batch\n")
    print(
        f"{'mode':<12}{'ours s':>9}{'peer s':>9}{'ratio':>7}{'of always':>11}{'ours tokens':>13}"
        f"{'peer tokens':>13}"
        f"{'largest difference':>20}"
    )
    longest = 0.0  # of the peer, thinking always
    found: dict[str, dict[str, float]] = {}
    modes = [("always", None)] + [(f"auto {rate:.0%}", threshold(gates, rate)) for rate in RATES]
    for name, at in modes:
        ours = bench.ours("always") if at is None else bench.ours("auto", at)
        peer = bench.timed(lambda at=at: peer_of(bench, rows, at))  # type: ignore[misc]
        longest = longest or peer.seconds
        difference = float(np.abs(ours.vectors - peer.vectors).max())
        found[name] = {
            "seconds": ours.seconds,
            "peer_seconds": peer.seconds,
            "tokens": ours.tokens,
            "peer_tokens": peer.tokens,
            "largest_difference": difference,
        }
        print(
            f"{name:<12}{ours.seconds:>9.2f}{peer.seconds:>9.2f}"
            f"{peer.seconds / ours.seconds:>7.2f}{longest / ours.seconds:>11.2f}"
            f"{ours.tokens:>13,}{peer.tokens:>13,}{difference:>20.1e}",
            flush=True,
        )
    found["gate"], found["floors"] = asking(bench), floors(bench)
    for name, value in (found["gate"] | found["floors"]).items():
        print(f"{name:<26}{value:>12,.2f}")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


def place() -> str:
    """Return what this runs on, in words."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else f"{os.cpu_count()} cores"


def asking(bench: Bench) -> dict[str, float]:
    """Return what `auto` costs next to `never` where the gate wants no thought."""
    rounds = [
        (bench.ours("auto", 2.0).seconds, bench.ours("never").seconds) for _ in range(GATE_ROUNDS)
    ]
    auto, never = (float(np.median(seconds)) for seconds in zip(*rounds, strict=True))
    ratio = float(np.median([one / other for one, other in rounds]))
    return {"never_seconds": never, "auto_0_seconds": auto, "auto_0_of_never": ratio}


def floors(bench: Bench, rows: int = 32, steps: int = 16) -> dict[str, float]:
    """Return what share of the machine's floors reading and writing reach."""
    thinker, device = bench.thinker, bench.thinker.backbone.device
    batch = bench.items[1::2][:rows]  # pictures
    # The peer's copy is never merged, so its weights are parameters still.
    named = bench.other.backbone.model.get_decoder().named_parameters()
    weights = sum(p.numel() for name, p in named if not re.search("embed_tokens|lora_", name))
    head = thinker.backbone.model.get_output_embeddings().weight
    with torch.inference_mode():
        thinker.read(batch)
        start = clock(device)
        context = thinker.read(batch)
        reading = clock(device) - start
        read_tokens = sum(map(len, batch))
        context, _ = thinker.extend(context, [[7]] * len(batch))
        start = clock(device)
        for _ in range(steps):
            context, states = thinker.extend(context, [[7]] * len(batch))
            thinker.logits(states[:, -1]).argmax(dim=-1).tolist()
        writing = (clock(device) - start) / steps
    held = sum(layer.keys.nbytes + layer.values.nbytes for layer in context.layers)
    moved = (weights + head.numel()) * head.element_size() + held
    return {
        "read_tokens_per_s": read_tokens / reading,
        "share_of_matmul_floor": 2
        * weights
        * read_tokens
        / reading
        / matmul_rate(head.dtype, device, 4096),
        "written_tokens_per_s": len(batch) / writing,
        "share_of_bandwidth_floor": moved / writing / bandwidth(device),
    }


def peer_of(bench: Bench, rows: int, at: float | None) -> NDArray[np.float32]:
    """Run the peer."""
    return Peer(bench.other, rows, bench.lengths).run(bench.items, at)


def threshold(gates: NDArray[np.float64], rate: float) -> float:
    """Return a threshold that this share of the items passes, as far from any as can be."""
    ranked = np.concatenate([[2.0], np.sort(gates)[::-1], [-1.0]])
    passing = round(rate * len(gates))
    return float(ranked[passing] + ranked[passing + 1]) / 2


if __name__ == "__main__":
    main()
