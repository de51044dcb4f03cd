"""A report of a real model: resumed, complete, and true to what `encode` gives."""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ponder.engine.model import Model
from ponder.errors import ThinkModeError
from ponder.eval.both_ways import BothWays, embed_both_ways
from ponder.eval.gallery import Task
from ponder.eval.report import write_report
from ponder.model.saved import Saved
from ponder.progress import silent
from tests.thinkers import picture, rolling, thinker, with_config

if TYPE_CHECKING:
    from pathlib import Path

    from ponder.model.thinker import Thinker


def png(seed: int) -> bytes:
    file = io.BytesIO()
    picture(seed).save(file, "PNG")
    return file.getvalue()


def task(name: str, count: int = 12) -> Task:
    queries = [
        {"image": png(i), "text": f"what is {i}?"} if i % 2 else png(i) for i in range(count)
    ]
    candidates = [f"number {i}" for i in range(count)]
    return Task(name, queries, candidates, np.arange(count), [str(i) for i in range(count)])


def model_of(made: Thinker) -> Model:
    return Model(Saved("tiny", made.backbone, made.readout, made, {}))


@pytest.fixture(scope="module")
def model() -> Model:
    return model_of(thinker("nano"))


def both_ways(model: Model, source: Task, folder: Path) -> tuple[BothWays, int]:
    """Return the task in every mode, and how many embeddings were announced as done."""
    done: list[int] = []
    return embed_both_ways(model, source, folder, done.append), sum(done)


@pytest.mark.parametrize("made", [thinker("nano"), rolling("nano")], ids=["two ways", "latent"])
def test_what_is_kept_is_what_encode_gives(made: Thinker, tmp_path: Path) -> None:
    model, source = model_of(made), task("colours")
    both, done = both_ways(model, source, tmp_path)
    assert both.queries.vectors.keys() == set(model.think_modes)
    assert done == 24 * len(model.think_modes)
    for mode in model.think_modes:
        vectors, traces = model.encode_query(source.queries, think=mode, return_trace=True)
        assert np.allclose(both.queries.vectors[mode], vectors, atol=1e-4)
        assert both.queries.tokens[mode].tolist() == [t.thought_tokens for t in traces]
        assert (both.queries.milliseconds[mode] > 0).all()
    assert (both.candidates.tokens["always"] > 0).all()
    assert all(thought.startswith("<think>") for thought in both.candidates.thoughts)
    steps = made.latent.config.steps if made.latent else 0
    assert both.queries.cosines.shape == (12, steps) if steps else not both.queries.cosines.size


def test_what_was_embedded_is_not_embedded_again(model: Model, tmp_path: Path) -> None:
    first, _ = both_ways(model, task("colours"), tmp_path)
    again, _ = both_ways(model, task("colours"), tmp_path)
    for mode, took in first.queries.milliseconds.items():
        assert np.array_equal(took, again.queries.milliseconds[mode])
    for mode, vectors in first.candidates.vectors.items():
        assert np.array_equal(vectors, again.candidates.vectors[mode])


def test_another_task_of_the_same_name_is_embedded_again(model: Model, tmp_path: Path) -> None:
    both_ways(model, task("colours"), tmp_path)
    assert len(both_ways(model, task("colours", 8), tmp_path)[0].queries) == 8


def test_a_page_has_every_task_and_every_picture_it_shows(model: Model, tmp_path: Path) -> None:
    found = write_report(model, [task("colours"), task("shapes", 9)], tmp_path, silent)
    page = (tmp_path / "report.md").read_text()
    assert json.loads((tmp_path / "report.json").read_text()) == json.loads(json.dumps(found))
    assert found["tasks"].keys() == {"colours", "shapes"}
    assert found["modes"]["oracle"]["ms_per_item"] is None
    for name in ("never", "always", "auto", "random", "oracle", "colours", "shapes"):
        assert f"| {name} |" in page
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", page)
    assert {"pareto.png", "routing.png"} < set(pictures)
    assert all((tmp_path / name).exists() for name in pictures)
    overall = found["modes"]["oracle"]["hit@1"]
    assert overall >= max(found["modes"][name]["hit@1"] for name in ("never", "always"))


def test_where_the_gate_picks_none_there_is_nothing_to_draw(tmp_path: Path) -> None:
    shut = with_config(thinker("nano"), thresholds={"query": 2.0, "document": 2.0})
    write_report(model_of(shut), [task("colours")], tmp_path, silent)
    assert "`auto` thinks about none" in (tmp_path / "report.md").read_text()
    assert not (tmp_path / "routing.png").exists()


def test_latent_steps_are_drawn(tmp_path: Path) -> None:
    made = rolling("nano")
    assert made.latent is not None
    found = write_report(model_of(made), [task("colours"), task("shapes", 9)], tmp_path, silent)
    assert {"latent", "auto-latent"} < found["modes"].keys()
    for row in found["latent"].values():
        assert sum(row["experts"]) == pytest.approx(1)
        assert len(row["experts"]) == made.latent.config.experts
        assert len(row["cosines"]) == made.latent.config.steps
    assert found["modes"]["latent"]["thought_tokens"] == 0
    assert "latent - never" in found["differences"]
    page = (tmp_path / "report.md").read_text()
    assert "| latent |" in page
    assert "(latent.png)" in page
    assert (tmp_path / "latent.png").stat().st_size > 0


def test_a_model_without_a_gate_is_refused(tmp_path: Path) -> None:
    made = thinker("nano")
    made.gate = None
    with pytest.raises(ThinkModeError, match="no gate"):
        write_report(model_of(made), [task("colours")], tmp_path, silent)
