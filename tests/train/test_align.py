"""Training `nano` to see: it learns, and a killed run goes on as if nothing had happened."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from ponder.model.backbone import Backbone
from ponder.model.processor import NanoImageProcessor, NanoProcessor
from ponder.train.align import AlignConfig, Aligner, fit
from ponder.train.frozen import Pictures
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
    return Backbone(tiny_nano, NanoProcessor(NanoImageProcessor(), tokenizer, None, 5), {})


def frozen(seed: int, hidden: int) -> tuple[Pictures, torch.Tensor]:
    """Forty made-up pictures whose captions can be told from their grids."""
    random = torch.Generator().manual_seed(seed)
    grids = torch.randn(40, 2, 320, 7, 7, generator=random).bfloat16()
    own = grids.float().mean(dim=(1, 3, 4))[:, : 3 * hidden]
    pooled = torch.nn.functional.pad(own, (0, 3 * hidden - own.shape[1])).half()
    captions = [(i, [i], []) for i in range(40)]
    pictures = Pictures(grids, torch.arange(40), torch.ones(40, dtype=torch.bool), captions)
    return pictures, pooled


def train(backbone: Backbone, folder: Path, stop: int | None = None) -> list[dict[str, float]]:
    """Train from the same start; where `stop` is given, die at that step."""

    def report(stage: str, done: int, total: int) -> None:
        if done == stop:
            raise KeyboardInterrupt

    aligner = Aligner(CONFIG, backbone, frozen(0, backbone.hidden_size))
    try:
        fit(aligner, frozen(1, backbone.hidden_size), Run(folder), report)
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
