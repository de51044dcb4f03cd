"""Stage 1: the losses fall, a killed run goes on alike, and a loss that is no number stops it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from accelerate import Accelerator

from ponder.errors import ConfigError, PonderError
from ponder.progress import silent
from ponder.train.log import CHECKPOINT, Run, read_metrics
from ponder.train.sft import Sft, SftConfig, look, sft
from ponder.train.stage import run_steps
from tests.colour_task import COLOURS, tasks
from tests.thinkers import CONFIG, thinker

if TYPE_CHECKING:
    from pathlib import Path

RECIPE = SftConfig(
    steps=12,
    batch=6,
    reasoning_learning_rate=5e-3,
    embedding_learning_rate=5e-3,
    query_learning_rate=5e-3,
    readout_learning_rate=5e-3,
    temperature=0.1,
    checkpoint_every=5,
)


def trainer(family: str = "llava", config: SftConfig = RECIPE) -> Sft:
    made = thinker(family, replace(CONFIG, queries=2))
    return Sft(config, made, Accelerator(cpu=True), tasks(made.backbone))


def train(folder: Path, stop: int | None = None) -> list[dict[str, float]]:
    """Train from the same start; where `stop` is given, die at that step."""

    def report(stage: str, done: int, total: int) -> None:
        if done == stop:
            raise KeyboardInterrupt

    made = trainer()
    try:
        run_steps(
            made, Run(folder, RECIPE), report, lambda: look(made, tasks(made.thinker.backbone))
        )
    except KeyboardInterrupt:
        assert stop
    return read_metrics(folder)


@pytest.mark.parametrize("family", ["llava", "nano"])
def test_every_loss_falls(family: str) -> None:
    made = trainer(family, replace(RECIPE, own_thoughts=0.0))
    values = [made.step(step) for step in range(RECIPE.steps)]
    for name in ("language", "think", "no_think"):
        first, last = values[0][name], values[-1][name]
        assert last < 0.8 * first, name


def test_the_share_of_its_own_thoughts_grows() -> None:
    made = trainer(config=replace(RECIPE, steps=200))
    early, late = (
        sum(made.step(s)["own_thoughts"] for s in steps) for steps in (range(6), range(194, 200))
    )
    assert early < late
    made = trainer(config=replace(RECIPE, first_own_thoughts=1.0))
    assert all(made.step(step)["own_thoughts"] for step in range(3))


def test_without_the_loss_on_thoughts_only_what_reads_out_learns() -> None:
    made = trainer(config=replace(RECIPE, language=0.0, first_own_thoughts=1.0))
    before = {name: [p.clone() for p in part] for name, part in made.sides.items()}
    values = made.step(1)
    assert "language" not in values
    for name, part in made.sides.items():
        same = all(torch.equal(a, b) for a, b in zip(part, before[name], strict=True))
        assert same == (name == "reasoning"), name


def test_a_killed_run_goes_on_with_the_same_losses(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole")
    train(tmp_path / "killed", stop=8)
    assert train(tmp_path / "killed") == whole
    assert [row["step"] for row in whole] == list(range(RECIPE.steps))


def test_a_run_never_takes_another_recipes_checkpoint_for_its_own(tmp_path: Path) -> None:
    train(tmp_path, stop=8)
    with pytest.raises(ConfigError, match=r"batch is 6 there and 7 now; .* --out, or delete"):
        Run(tmp_path, replace(RECIPE, batch=7))
    with pytest.raises(ConfigError, match=r"checkpoint\.pt is of another recipe"):
        sft(replace(RECIPE, model="missing"), tmp_path, silent)  # before anything is loaded
    state = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    del state["recipe"]
    torch.save(state, tmp_path / CHECKPOINT)
    with pytest.raises(ConfigError, match="says nothing of its recipe"):
        Run(tmp_path, RECIPE)
    (tmp_path / CHECKPOINT).unlink()
    Run(tmp_path, replace(RECIPE, batch=7))


def test_dev_is_looked_at_without_learning() -> None:
    made = trainer()
    before = look(made, tasks(made.thinker.backbone))
    assert set(before) == {"dev_never", "dev_taught", "dev_always"}
    assert look(made, tasks(made.thinker.backbone)) == before
    assert all(p.grad is None for part in made.sides.values() for p in part)


def test_a_loss_that_is_no_number_stops_the_run() -> None:
    made = trainer()
    with torch.no_grad():
        made.thinker.queries.vectors.fill_(torch.nan)
    with pytest.raises(PonderError, match=r"step 3, colours: .*lower the learning rate"):
        made.step(3)


def test_batches_draw_each_query_once_and_mask_what_is_as_right() -> None:
    made = trainer()
    [task] = tasks(made.thinker.backbone)
    same = replace(task, right=[[0]] * len(COLOURS))
    assert same.draw(5, 0.0, seed=1).group.tolist() == [0] * 5
    batch = task.draw(100, 0.0, seed=1)
    assert len(batch.queries.rows) == len(COLOURS)
    assert len(set(batch.group.tolist())) == len(COLOURS)
    brief = task.draw(8, 1.0, seed=1).thoughts
    assert all(ids in [e.brief for e in task.queries + task.candidates] for ids in brief)
