"""Annotated records as training pairs: drawn alike, grouped by what is right, past what is bad."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import torch
from accelerate import Accelerator
from PIL import Image

from ponder.errors import PonderError
from ponder.train.record_pairs import RecordPairs, load_records
from ponder.train.sft import BAD, Sft, SftConfig, list_bad
from tests.thinkers import CONFIG, thinker

if TYPE_CHECKING:
    from pathlib import Path

    from ponder.model.thinker import Thinker

COLOURS = ("red", "blue", "green", "white")


@pytest.fixture(scope="module")
def made() -> Thinker:
    return thinker("llava", CONFIG)


def row(number: int, **changes: object) -> dict[str, object]:
    colour = COLOURS[number % 4]
    thought = {"think": "It has a colour.", "answer": colour}
    return {
        "data_info": {"data_type": "test", "dataset_name": "colours", "data_id": str(number)},
        "query": {"text": f"what colour? {number}", "image": f"{colour}.png", "thought": thought},
        "positive": {"text": colour, "thought": thought},
        "negatives": [{"text": COLOURS[(number + 1) % 4]}],
    } | changes


@pytest.fixture
def file(tmp_path: Path) -> Path:
    for colour in COLOURS:
        Image.new("RGB", (32, 32), colour).save(tmp_path / f"{colour}.png")
    rows = [row(i) for i in range(8)]
    rows.append(row(8, positive={"text": "red"}))  # no thought on one side
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


def load(file: Path, made: Thinker) -> RecordPairs:
    [source], _ = load_records([file], {}, made.backbone)
    return source


def test_rows_without_thoughts_are_left_out_and_named(file: Path, made: Thinker) -> None:
    sources, bad = load_records([file], {}, made.backbone)
    assert [(source.name, len(source)) for source in sources] == [("colours", 8)]
    assert [(one.number, "annotate" in one.reason) for one in bad] == [(9, True)]


def test_a_draw_is_the_same_for_a_seed_and_has_all_sides(file: Path, made: Thinker) -> None:
    source = load(file, made)
    one, same, other = (source.draw(5, 0.5, seed) for seed in (3, 3, 4))
    assert [row.name for row in one.rows] == [row.name for row in same.rows]
    assert one.thoughts == same.thoughts
    assert [row.name for row in one.rows] != [row.name for row in other.rows]
    assert len(one.queries.rows) == len(one.positives.rows) == len(one.negatives) == 5
    assert any(row.media for row in one.queries.rows)


def test_equal_answers_are_one_group_and_a_negative_has_the_group_of_its_text(
    file: Path, made: Thinker
) -> None:
    batch = load(file, made).draw(8, 0.0, 0)
    words = [tuple(row.input_ids.tolist()) for row in batch.positives.rows]
    wrong = [tuple(row.input_ids.tolist()) for row in batch.negatives]
    for i, group in enumerate(batch.group):
        for j, other in enumerate(batch.group):
            assert (group == other) == (words[i] == words[j])
        for j, other in enumerate(batch.negative_group):
            assert (group == other) == (words[i] == wrong[j])
        assert batch.negative_group[i] != group


def test_what_cannot_be_read_is_replaced_and_reported(
    file: Path, made: Thinker, tmp_path: Path
) -> None:
    (tmp_path / "red.png").write_bytes(b"no picture")
    source = load(file, made)
    batch = source.draw(8, 0.0, 0)
    assert len(batch.queries.rows) == 6
    assert set(source.bad) == {"colours, 0", "colours, 4"}
    list_bad(tmp_path / BAD, [], [source])
    listed = [json.loads(line) for line in (tmp_path / BAD).read_text().splitlines()]
    assert all("red.png" in one["reason"] for one in listed)
    for colour in COLOURS:
        (tmp_path / f"{colour}.png").write_bytes(b"")
    with pytest.raises(PonderError, match="nothing of colours"):
        load(file, made).draw(2, 0.0, 0)


def test_records_are_learnt(file: Path) -> None:
    config = SftConfig(
        batch=4,
        reasoning_learning_rate=5e-3,
        embedding_learning_rate=5e-3,
        query_learning_rate=5e-3,
        temperature=0.1,
        steps=10,
    )
    learner = thinker("llava", CONFIG)
    trainer = Sft(config, learner, Accelerator(cpu=True), [load(file, learner)])
    values = [trainer.step(step) for step in range(config.steps)]
    assert all(torch.isfinite(torch.tensor(list(row.values()))).all() for row in values)
    for name in ("language", "no_think"):
        assert values[-1][name] < 0.8 * values[0][name], name
