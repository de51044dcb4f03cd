"""The Gallery's tasks as training pairs: what is right for what, and what the backbone sees."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image

from ponder.gallery.tasks import default_folder
from ponder.gallery.tasks.schema import VERSION, Candidate, PictureStore, Query, Task, write_task
from ponder.items import parse
from ponder.progress import silent
from ponder.train.task_pairs import TaskPairs, load_pairs
from tests.thinkers import picture, thinker

if TYPE_CHECKING:
    from pathlib import Path

    from ponder.model.thinker import Thinker

COUNT = 20  # more than are seen at a time


def png(seed: int) -> bytes:
    file = io.BytesIO()
    picture(seed).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def made() -> Thinker:
    return thinker("nano")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A task whose query i is answered by candidate i, and query 0 by the last one too."""
    monkeypatch.setenv("PONDER_HOME", str(tmp_path))
    queries = [
        Query(
            id=f"q{i}",
            concept=f"c{i}",
            part="easy",
            right=f"a{i}",
            text=f"which is number {i}?",
            picture=png(i) if i % 3 else None,
            reasoning="It counts." if i % 2 else "",
            answer=f"number {i}",
        )
        for i in range(COUNT)
    ]
    candidates = [
        Candidate(f"a{i}", f"c{i}", text=f"number {i}", answer=f"number {i}")
        for i in reversed(range(COUNT))
    ]
    pictures = PictureStore()
    write_task(default_folder() / "flag", {"dev": Task(queries, candidates)}, pictures)
    pictures.write(default_folder() / "pictures")
    (default_folder() / "manifest.json").write_text(json.dumps({"version": VERSION}))
    return tmp_path


def load(made: Thinker, most: int | None = None) -> TaskPairs:
    [task] = load_pairs(["flag"], "dev", made.backbone, silent, most)
    return task


@pytest.mark.usefixtures("home")
def test_each_query_has_its_own_answer(made: Thinker) -> None:
    task = load(made)
    assert task.right == [[COUNT - 1 - i] for i in range(COUNT)]
    assert task.relevance([0, 5]).nonzero().tolist() == [[0, COUNT - 1], [1, COUNT - 6]]
    decode = made.backbone.processor.tokenizer.decode
    for i, query in enumerate(task.queries):
        assert f"number {i}" in decode(query.row.input_ids)
        reasoning = "It counts." if i % 2 else ""
        assert decode(query.thought) == f"<think>{reasoning}</think><answer>number {i}</answer>"
        assert decode(query.brief) == f"<think></think><answer>number {i}</answer>"


@pytest.mark.usefixtures("home")
def test_pictures_seen_ahead_give_the_vectors_of_pictures(made: Thinker) -> None:
    entry = load(made).queries[1]
    value = {"image": Image.open(io.BytesIO(png(1))), "text": "which is number 1?"}
    row = made.backbone.prepare(parse(value, "item"), "item")
    ahead, now = (
        made.embed(made.read_out(made.read([one]), [one])).detach() for one in (entry.row, row)
    )
    assert torch.allclose(ahead, now, atol=1e-5)


@pytest.mark.usefixtures("home")
def test_what_was_prepared_is_read_again(made: Thinker, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load(made)
    with monkeypatch.context() as patched:
        patched.setattr(made.backbone, "prepare", None)
        again = load(made)
    for one, other in zip(first.queries, again.queries, strict=True):
        assert (one.row.name, one.row.start, one.row.stop) == (
            other.row.name,
            other.row.start,
            other.row.stop,
        )
        assert torch.equal(one.row.input_ids, other.row.input_ids)
        assert torch.equal(one.row.positions, other.row.positions)
        assert one.row.media.keys() == other.row.media.keys()
        for key, value in one.row.media.items():
            assert torch.equal(value, other.row.media[key])


@pytest.mark.usefixtures("home")
def test_another_connector_sees_anew(made: Thinker) -> None:
    before = load(made).queries[1].row.media["image_features"]
    with torch.no_grad():
        for parameter in made.backbone.model.model.connector.parameters():
            parameter.add_(0.1)
    try:
        after = load(made).queries[1].row.media["image_features"]
    finally:
        with torch.no_grad():
            for parameter in made.backbone.model.model.connector.parameters():
                parameter.sub_(0.1)
    assert not torch.allclose(before, after)


@pytest.mark.usefixtures("home")
def test_a_draw_pairs_what_belongs_together(made: Thinker) -> None:
    task = load(made)
    batch = task.draw(8, 0.0, seed=1)
    decode = made.backbone.processor.tokenizer.decode
    for query, positive in zip(batch.queries.thoughts, batch.positives.thoughts, strict=True):
        answer = decode(query).partition("<answer>")[2]
        assert decode(positive).partition("<answer>")[2] == answer
    again = task.draw(8, 0.0, seed=1)
    assert np.array_equal(batch.group, again.group)
    brief = task.draw(8, 1.0, seed=1)
    assert all("<think></think>" in decode(thought) for thought in brief.queries.thoughts)


@pytest.mark.usefixtures("home")
def test_fewer_queries_are_the_first_of_all(made: Thinker) -> None:
    whole, part = load(made), load(made, most=3)
    assert [q.row.name for q in part.queries] == [q.row.name for q in whole.queries[:3]]
    assert part.right == whole.right[:3]
    assert len(part.candidates) == COUNT
