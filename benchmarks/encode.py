"""Throughput of `encode` for text, pictures and both, next to a peer and to the arithmetic floor.

    python benchmarks/encode.py [--items 400] [--json FILE]

(a) sentence-transformers `encode` over the same SmolLM2 weights, mean pooling, the same dtype and
the same texts, of mixed lengths. (b) the same pictures without OpenVINO. (c) the floor: the
multiplications of the matrix products and convolutions over the rate this machine reaches on one
large matrix product in that dtype. Rounds alternate between the contenders and the best round of
each counts.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ponder
from machine import matmul_rate
from ponder.engine.model import Model
from ponder.gallery import default_folder, read
from ponder.items import Item, parse
from ponder.model.pull import nano_folder
from ponder.model.saved import load_saved

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

ROUNDS = 3


def texts(count: int) -> list[str]:
    """Return captions of the Gallery and runs of them, as long as queries and passages are."""
    captions = read(default_folder("demo"), "test", ["caption"])["caption"].to_pylist()
    draw = random.Random(0)
    lengths = [draw.choice((1, 1, 1, 2, 4, 8, 24)) for _ in range(count)]
    return [", ".join(draw.choices(captions, k=length)) for length in lengths]


def pictures(count: int) -> list[Any]:
    """Decoded pictures of the Gallery."""
    files = read(default_folder("demo"), "test", ["picture"])["picture"].to_pylist()
    return [parse(files[i % len(files)], str(i)).pictures[0] for i in range(count)]


def peer(dtype: torch.dtype) -> Any:
    """Return sentence-transformers over the same language model, mean pooling."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    folder = str(nano_folder() / "language")
    transformer = Transformer(folder, model_kwargs={"dtype": dtype})
    width = transformer.get_embedding_dimension()
    return SentenceTransformer(modules=[transformer, Pooling(width, "mean"), Normalize()])


def flops(unfused: Model, items: list[Any]) -> float:
    """Count the operations of every matrix product and convolution that `encode` does.

    In PyTorch, since its counter does not see what OpenVINO runs.
    """
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        unfused.encode(items)
    return float(counter.get_total_flops())


def seconds(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=400)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    model = ponder.load("nano")
    dtype = model._backbone.model.dtype
    words, seen = texts(options.items), pictures(options.items)
    inputs: dict[str, list[Any]] = {
        "text": [{"text": text} for text in words],
        "picture": list(seen),
        "mixed": [Item((picture, text[:60])) for picture, text in zip(seen, words, strict=True)],
    }
    rate = matmul_rate(dtype)
    other = peer(dtype)
    contenders: dict[str, Callable[[], Any]] = {
        kind: (lambda items=items: model.encode(items)) for kind, items in inputs.items()
    }
    unfused = Model(load_saved("nano"))
    contenders["picture, without OpenVINO"] = lambda: unfused.encode(inputs["picture"])
    contenders["sentence-transformers, text"] = lambda: other.encode(words, show_progress_bar=False)
    best = dict.fromkeys(contenders, float("inf"))
    for contender in contenders.values():  # warm up
        contender()
    for _ in range(ROUNDS):
        for name, contender in contenders.items():
            best[name] = min(best[name], seconds(contender))
    result: dict[str, Any] = {
        "items": options.items,
        "dtype": str(dtype),
        "cores": os.cpu_count(),
        "matmul_gflops": rate / 1e9,
        "items_per_s": {name: options.items / took for name, took in best.items()},
        "share_of_floor": {
            kind: flops(unfused, items) / rate / best[kind] for kind, items in inputs.items()
        },
        "text_ratio_to_peer": best["sentence-transformers, text"] / best["text"],
    }
    for name, value in result["items_per_s"].items():
        share = result["share_of_floor"].get(name)
        floor = f"  {share:5.0%} of the floor" if share else ""
        print(f"{name:30} {value:8.1f} items/s{floor}")
    print(f"text, ponder / sentence-transformers: {result['text_ratio_to_peer']:.2f}x")
    print(f"{dtype} matrix products: {rate / 1e9:.0f} GFLOP/s on {os.cpu_count()} cores")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
