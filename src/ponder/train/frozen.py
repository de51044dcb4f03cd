"""What the frozen towers say of the training data, computed once and kept.

Neither tower learns, so a picture's features and a caption's states never change: training reads
them from here and spends its time on the parts that do.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image, ImageEnhance

from ponder.engine.batching import ahead, by_length
from ponder.gallery import read
from ponder.gallery.tasks import default_folder as tasks_folder
from ponder.gallery.tasks import read_task
from ponder.items import Item
from ponder.model.pull import nano_folder
from ponder.model.saved import PREPROCESSING
from ponder.model.thoughts import thought_ids
from ponder.train.cached import cached

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor

    from ponder.gallery.concepts import Split
    from ponder.model.backbone import Backbone
    from ponder.progress import Progress

CAPTION_BATCH_TOKENS = 2048
PICTURE_BATCH = 8


@dataclass(frozen=True)
class Pictures:
    """One split's pictures.

    Attributes:
        features: (N, views, K, F) bfloat16, what the connector takes.
        concept: (N,) number of the row's concept.
        is_base: (N,) whether the row is no skin-tone or other variant.
        captions: for each row, its captions as positions among the pooled states: the English name,
            other English texts, and names in other languages; either of the last may be empty.
        words: for each row, the tokens of its English captions.
    """

    features: Tensor
    concept: Tensor
    is_base: Tensor
    captions: list[tuple[int, list[int], list[int]]]
    words: list[list[int]]


@dataclass(frozen=True)
class Described:
    """Pictures of one split of a task, and the thoughts about them.

    Attributes:
        features: (N, K, F) bfloat16, what the connector takes.
        words: for each picture, the tokens of the thought about it.
    """

    features: Tensor
    words: list[list[int]]


def freeze(
    backbone: Backbone,
    gallery: Path,
    split: Split,
    languages: Sequence[str],
    layers: Sequence[int],
    views: int,
    report: Progress,
) -> tuple[Pictures, Tensor]:
    """Return what the towers say of one split, from the cache where it was computed before.

    Args:
        backbone: `nano`, its towers already in place.
        gallery: folder of the built Gallery.
        split: which split.
        languages: of the captions to keep; English always leads.
        layers: hidden states to pool.
        views: pictures made of each picture; the first is the picture itself.
        report: called with a stage's name, steps done and steps in all.

    Returns:
        The pictures, and the pooled states (N, layers * H) of every distinct caption, in float16.
    """
    rows = read(gallery, split).to_pylist()
    texts, captions = _captions(rows, languages)
    numbers = {name: i for i, name in enumerate(sorted({row["concept"] for row in rows}))}

    pooled = pool_texts(backbone, texts, layers, report)
    manifest = json.loads((gallery / "manifest.json").read_text(encoding="utf-8"))
    key = {"gallery": manifest, "split": split, "views": views}
    features = _features(backbone, key, rows, views, report)
    tokenizer = backbone.processor.tokenizer
    english = [" , ".join(texts[i] for i in (name, *longer)) for name, longer, _ in captions]
    pictures = Pictures(
        features,
        torch.tensor([numbers[row["concept"]] for row in rows]),
        torch.tensor([not row["variant"] for row in rows]),
        captions,
        tokenizer([f" {text}" for text in english], add_special_tokens=False)["input_ids"],
    )
    return pictures, pooled


def freeze_task(backbone: Backbone, task: str, split: Split, report: Progress) -> Described:
    """Return what the vision tower says of a task's queries, from the cache if it said so before.

    Args:
        backbone: `nano`, its towers already in place.
        task: whose queries each have one picture, which their thoughts are about.
        split: which split.
        report: called with a stage's name, steps done and steps in all.

    Raises:
        PonderError: the task was not built.
    """
    rows = read_task(tasks_folder(), task, split).queries.to_pylist()
    key = {"pictures": [hashlib.sha256(row["picture"]).hexdigest() for row in rows]}
    features = _features(backbone, key, rows, 1, report)
    tokenizer = backbone.processor.tokenizer
    words = [thought_ids(tokenizer, row["reasoning"] or "", row["answer"]) for row in rows]
    return Described(features.squeeze(1), words)


def pool_texts(
    backbone: Backbone,
    texts: Sequence[str],
    layers: Sequence[int],
    report: Progress,
) -> Tensor:
    """Return pooled states (N, layers * H) in float16 of any texts, from the cache if there."""
    key = {"texts": list(texts), "layers": list(layers)}
    return _cached(backbone, key, lambda: _pool_captions(backbone, texts, layers, report))


def _captions(
    rows: list[dict[str, Any]], languages: Sequence[str]
) -> tuple[list[str], list[tuple[int, list[int], list[int]]]]:
    positions: dict[str, int] = defaultdict(lambda: len(positions))
    captions = []
    for row in rows:
        name = positions[row["caption"]]
        english: list[int] = []
        foreign: list[int] = []
        for caption in row["captions"]:
            if caption["language"] not in languages:
                continue
            is_english = caption["language"] == "en"
            if not is_english and caption["kind"] != "name":
                continue
            position = positions[caption["text"]]
            chosen = english if is_english else foreign
            if position != name and position not in chosen:
                chosen.append(position)
        captions.append((name, english, foreign))
    return list(positions), captions


def _features(
    backbone: Backbone,
    key: dict[str, Any],
    rows: list[dict[str, Any]],
    views: int,
    report: Progress,
) -> Tensor:
    """Return what the connector takes of rows' pictures, (N, views, K, F), from the cache if there.

    `key` says which pictures and views they are.
    """
    config = backbone.model.config
    key = key | {"regions_side": config.regions_side, "stage_channels": config.stage_channels}
    return _cached(backbone, key, lambda: _pool_pictures(backbone, rows, views, report))


def _cached(backbone: Backbone, key: dict[str, Any], make: Callable[[], Tensor]) -> Tensor:
    """Return what `make` made before for the same key and the same towers, else make it now."""
    key = key | {
        "towers": json.loads((nano_folder() / "manifest.json").read_text(encoding="utf-8")),
        "dtype": str(backbone.model.dtype),
        "chat_template": backbone.processor.chat_template,
        "preprocessing": PREPROCESSING,
    }
    return cached(key, lambda: {"values": make()})["values"]


@torch.inference_mode()
def _pool_captions(
    backbone: Backbone,
    texts: Sequence[str],
    layers: Sequence[int],
    report: Progress,
) -> Tensor:
    prepared = [backbone.prepare(Item((text,)), text) for text in texts]
    pooled = torch.empty(len(texts), len(layers) * backbone.hidden_size, dtype=torch.float16)
    done = 0
    for batch in by_length([len(row) for row in prepared], CAPTION_BATCH_TOKENS):
        pooled[batch] = backbone.pool([prepared[i] for i in batch], layers).text.half()
        done += len(batch)
        report("captions", done, len(texts))
    return pooled


@torch.inference_mode()
def _pool_pictures(
    backbone: Backbone,
    rows: list[dict[str, Any]],
    views: int,
    report: Progress,
) -> Tensor:
    def pixels(start: int) -> Tensor:
        pictures = []
        for i, row in enumerate(rows[start : start + PICTURE_BATCH], start):
            picture = Image.open(io.BytesIO(row["picture"])).convert("RGB")
            pictures += [picture, *(_augment(picture, i, view) for view in range(1, views))]
        values: Tensor = backbone.processor.image_processor(pictures)["pixel_values"]
        return values

    pooled: list[Tensor] = []
    for batch in ahead(pixels, range(0, len(rows), PICTURE_BATCH), depth=4):
        features = backbone.model.model.pool_pictures(batch.to(backbone.model.dtype))
        pooled.append(features.unflatten(0, (-1, views)).bfloat16())  # (b, views, K, F)
        report("pictures", min(len(pooled) * PICTURE_BATCH, len(rows)), len(rows))
    return torch.cat(pooled)


def _augment(picture: Image.Image, row: int, view: int) -> Image.Image:
    """Shift, scale, turn and tint a picture a little; the same row and view give the same.

    Nothing is mirrored: arrows, letters and flags would change their meaning.
    """
    random = np.random.default_rng([row, view])
    side = max(picture.size)
    square = Image.new("RGB", (side, side), "white")
    square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    angle = random.uniform(-12, 12)
    turned = square.rotate(angle, Image.Resampling.BICUBIC, fillcolor="white")
    size = int(side * random.uniform(0.7, 1.2))
    left, top = (int((side - size) * random.uniform(0.2, 0.8)) for _ in range(2))
    framed = Image.new("RGB", (size, size), "white")
    framed.paste(turned, (-left, -top))
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        framed = enhance(framed).enhance(random.uniform(0.75, 1.25))
    return framed
