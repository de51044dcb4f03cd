"""Training `nano` to see: it learns, and a killed run goes on as if nothing had happened."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image

from ponder.gallery.shards import SCHEMA, write
from ponder.gallery.tasks.schema import VERSION, PictureStore, Query, Task, label, write_task
from ponder.model.backbone import Backbone
from ponder.model.processor import CHAT_TEMPLATE, NanoImageProcessor, NanoProcessor
from ponder.progress import silent
from ponder.train.align import AlignConfig, Aligner, fit
from ponder.train.frozen import Described, Pictures, freeze, freeze_task
from ponder.train.log import Run, plot, read_metrics

if TYPE_CHECKING:
    from pathlib import Path

    from ponder.model.nano import NanoForConditionalGeneration

pytestmark = pytest.mark.nano  # the tokenizer is the real one's

CONFIG = AlignConfig(steps=18, batch=16, learning_rate=3e-3, checkpoint_every=4)


@pytest.fixture(scope="module")
def backbone(tiny_nano: NanoForConditionalGeneration) -> Backbone:
    from transformers import AutoTokenizer

    from ponder.model.pull import nano_folder

    tokenizer = AutoTokenizer.from_pretrained(nano_folder() / "language")
    processor = NanoProcessor(NanoImageProcessor(), tokenizer, CHAT_TEMPLATE, 5)
    return Backbone(tiny_nano, processor, {})


def frozen(seed: int, backbone: Backbone) -> tuple[Pictures, torch.Tensor]:
    """Forty made-up pictures whose captions can be told from their features."""
    random = torch.Generator().manual_seed(seed)
    config = backbone.model.config
    shape = (40, 2, config.tokens_per_picture, config.region_features)
    features = torch.randn(shape, generator=random).bfloat16()
    pooled = features.float().mean(dim=(1, 2))[:, : 3 * backbone.hidden_size].half()
    captions = [(i, [i], []) for i in range(40)]
    words = [[1000 + i % 7, 2000 + i % 3, 3000] for i in range(40)]
    is_base = torch.ones(40, dtype=torch.bool)
    return Pictures(features, torch.arange(40), is_base, captions, words), pooled


def train(backbone: Backbone, folder: Path, stop: int | None = None) -> list[dict[str, float]]:
    """Train from the same start; where `stop` is given, die at that step."""

    def report(stage: str, done: int, total: int) -> None:
        if done == stop:
            raise KeyboardInterrupt

    split = frozen(0, backbone)
    task = Described(split[0].features[:, 0], split[0].words)
    aligner = Aligner(CONFIG, backbone, split, [task])
    try:
        fit(aligner, frozen(1, backbone), Run(folder, CONFIG), report)
    except KeyboardInterrupt:
        assert stop is not None
    return read_metrics(folder)


def test_the_loss_falls_and_only_the_new_parts_learn(backbone: Backbone, tmp_path: Path) -> None:
    towers = {name: value.clone() for name, value in backbone.model.state_dict().items()}
    rows = train(backbone, tmp_path)
    assert [row["step"] for row in rows] == list(range(18))
    assert rows[-1]["loss"] < rows[0]["loss"]
    after = backbone.model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in towers.items())
    plot(rows, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 1000


@pytest.mark.parametrize("stop", [3, 7, 14])
def test_a_killed_run_has_the_losses_of_one_left_alone(
    backbone: Backbone, tmp_path: Path, stop: int
) -> None:
    alone = train(backbone, tmp_path / "alone")
    train(backbone, tmp_path / "killed", stop)
    assert len(read_metrics(tmp_path / "killed")) == stop
    resumed = train(backbone, tmp_path / "killed")
    assert [row["loss"] for row in resumed] == [row["loss"] for row in alone]
    assert resumed[-1]["dev_recall@10"] == alone[-1]["dev_recall@10"]


def test_a_task_gives_its_pictures_and_the_thoughts_about_them(
    backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ponder.train.cached.home", lambda: tmp_path)
    monkeypatch.setattr("ponder.train.frozen.tasks_folder", lambda: tmp_path)
    pictures = [Image.new("RGB", (224, 224), colour) for colour in ("red", "blue")]
    queries = []
    for i, picture in enumerate(pictures):
        file = io.BytesIO()
        picture.save(file, "PNG")
        answer = label(f"colour {i}")
        queries.append(
            Query(
                id=f"q{i}",
                concept=f"c{i}",
                part="hard",
                right=answer.id,
                instruction="Name it.",
                picture=file.getvalue(),
                reasoning=f"I see {i}.",
                answer=f"colour {i}",
            )
        )
    store = PictureStore()
    answers = [label(f"colour {i}") for i in range(2)]
    write_task(tmp_path / "category", {"train": Task(queries, answers)}, store)
    store.write(tmp_path / "pictures")
    (tmp_path / "manifest.json").write_text(json.dumps({"version": VERSION}))

    described = freeze_task(backbone, "category", "train", silent)
    pixels = backbone.processor.image_processor(pictures)["pixel_values"]
    with torch.inference_mode():
        wanted = backbone.model.model.pool_pictures(pixels)
    assert torch.allclose(described.features.float(), wanted, rtol=0.01, atol=0.01)
    said = backbone.processor.tokenizer.decode(described.words[1])
    assert said == "<think>I see 1.</think><answer>colour 1</answer>"


def test_features_are_kept_until_regions_or_stages_change(
    backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ponder.train.cached.home", lambda: tmp_path)
    random = np.random.default_rng(0)
    pictures, rows = [], []
    for i in range(3):
        picture = Image.fromarray(random.integers(0, 255, (8, 8, 3), dtype=np.uint8))
        pictures.append(picture.resize((224, 224), Image.Resampling.NEAREST))
        file = io.BytesIO()
        pictures[-1].save(file, "PNG")
        row = dict.fromkeys(SCHEMA.names, "") | {"captions": [], "tags": [], "split": "train"}
        rows.append(row | {"id": str(i), "concept": str(i), "picture": file.getvalue()})
    write(tmp_path, rows, {})

    def look() -> tuple[torch.Tensor, set[str]]:
        done: set[str] = set()
        told = freeze(backbone, tmp_path, "train", ["en"], [0], 2, lambda name, *_: done.add(name))
        return told[0].features, done

    features, done = look()
    assert done == {"captions", "pictures"}
    again, done = look()
    assert torch.equal(features, again)
    assert not done
    # The first view is what the connector takes of the picture itself, to bfloat16's precision.
    pixels = backbone.processor.image_processor(pictures)["pixel_values"]
    with torch.inference_mode():
        wanted = backbone.model.model.pool_pictures(pixels)
    assert torch.allclose(features[:, 0].float(), wanted, rtol=0.01, atol=0.01)
    assert not torch.allclose(features[:, 1].float(), wanted, rtol=0.01, atol=0.01)

    config = backbone.model.config
    monkeypatch.setattr(config, "regions_side", 3)
    assert look()[0].shape == (3, 2, 10, config.region_features)
    monkeypatch.setattr(config, "stage_channels", (320, 80))
    assert look()[0].shape == (3, 2, 10, 1280 + 2 * (320 + 80))
