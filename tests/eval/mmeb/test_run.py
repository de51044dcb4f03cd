"""A run of real tasks by a real model: resumed, complete, and honest about what is missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from ponder.engine.model import Model
from ponder.errors import PonderError
from ponder.eval.mmeb.layout import Layout
from ponder.eval.mmeb.run import TaskScore, read_scores, run_tasks
from ponder.eval.mmeb.submission import submission
from ponder.eval.mmeb.tasks import MmebTask, chosen_tasks
from ponder.model.saved import Saved
from ponder.progress import silent
from tests.eval.mmeb.bundle import COLOURS, encoded, picture
from tests.thinkers import thinker

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("VOC2007", "MSVD", "ViDoSeek-doc")


def small(*names: str) -> list[MmebTask]:
    return [replace(task, queries=6) for task in chosen_tasks(",".join(names))]


def run(
    model: Model, bundle: Path, out: Path, *names: str, think: str = "never"
) -> tuple[dict[str, TaskScore], dict[str, str]]:
    failed = {}

    def report(task: MmebTask, result: TaskScore | PonderError) -> None:
        if isinstance(result, PonderError):
            failed[task.name] = str(result)

    tasks = small(*(names or NAMES))
    return run_tasks(model, tasks, Layout(bundle), out, think, None, silent, report), failed


def test_the_scores_are_those_of_encode(nano: Model, bundle: Path, tmp_path: Path) -> None:
    scores, failed = run(nano, bundle, tmp_path)
    assert not failed
    assert set(scores) == set(NAMES)
    words = [f"a {colour} ball" for colour in COLOURS]
    shown = nano.encode_query(
        [encoded(picture(colour)) for colour in COLOURS],
        instruction="Represent the given image for classification",
    )
    similar = nano.similarity(shown, nano.encode_document([{"text": word} for word in words]))
    hits = float((similar.argmax(axis=1) == np.arange(6)).mean())
    assert scores["VOC2007"].correct["hit@1"] == pytest.approx(hits)
    assert 0 < scores["VOC2007"].correct["hit@5"] <= 1
    assert scores["MSVD"].candidates == 6
    kept = json.loads((tmp_path / "image/VOC2007_score.json").read_text())
    assert kept == scores["VOC2007"].reference | {"num_pred": 6, "num_data": 6}
    lines = (tmp_path / "visdoc/ViDoSeek-doc_pred.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["label"] == [1, 2]


def test_a_second_run_embeds_nothing(nano: Model, bundle: Path, tmp_path: Path) -> None:
    first, _ = run(nano, bundle, tmp_path)
    blocks = sorted((tmp_path / "vectors").rglob("*.parquet"))
    assert len(blocks) == 6
    times = [block.stat().st_mtime_ns for block in blocks]
    lost = blocks.pop(0)
    table = pq.read_table(lost)
    lost.unlink()
    again, _ = run(nano, bundle, tmp_path)
    assert again == first or again.keys() == first.keys()  # times of the lost block may differ
    for name in NAMES:
        assert again[name].reference == first[name].reference
    assert [block.stat().st_mtime_ns for block in blocks] == times[1:]
    assert pq.read_table(lost)["vector"].equals(table["vector"])


def test_what_fails_does_not_stop_the_others(nano: Model, bundle: Path, tmp_path: Path) -> None:
    scores, failed = run(nano, bundle, tmp_path, "HMDB51", "VOC2007")
    assert list(scores) == ["VOC2007"]
    assert "HMDB51: no annotations" in failed["HMDB51"]
    made = submission(nano, scores)
    assert made["metrics"]["image"]["VOC2007"] == "FILE_N/A"  # six queries are not the protocol's
    assert made["metrics"]["visdoc"]["ViDoSeek-page-fixed"] == "FILE_N/A"
    assert sum(map(len, made["metrics"].values())) == 78


def test_a_folder_gathers_the_tasks_of_one_model_and_mode(
    nano: Model, bundle: Path, tmp_path: Path
) -> None:
    run(nano, bundle, tmp_path, "VOC2007")
    run(nano, bundle, tmp_path, "MSVD")
    assert set(read_scores(tmp_path)) == {"VOC2007", "MSVD"}
    with pytest.raises(PonderError, match=r"VOC2007 of .*think=never; give this run a folder"):
        run(nano, bundle, tmp_path, "MSVD", think="always")


def test_thoughts_are_counted(bundle: Path, tmp_path: Path) -> None:
    made = thinker("nano")
    model = Model(Saved("tiny", made.backbone, made.readout, made, {}))
    never, _ = run(model, bundle, tmp_path / "never", "VOC2007")
    always, _ = run(model, bundle, tmp_path / "always", "VOC2007", think="always")
    assert (never["VOC2007"].thought_tokens, never["VOC2007"].thought_share) == (0, 0)
    assert always["VOC2007"].thought_share == 1
    assert always["VOC2007"].thought_tokens > 0
    line = (tmp_path / "always/image/VOC2007_pred.jsonl").read_text().splitlines()[0]
    assert json.loads(line)["thought"].startswith("<think>")


def test_vectors_that_are_no_numbers_are_no_score(bundle: Path, tmp_path: Path) -> None:
    made = thinker("nano")
    with torch.no_grad():
        made.queries.vectors.fill_(float("nan"))
    model = Model(Saved("tiny", made.backbone, made.readout, made, {}))
    scores, failed = run(model, bundle, tmp_path, "VOC2007")
    assert not scores
    assert "VOC2007, query 0: the length of its vector is nan" in failed["VOC2007"]


def test_the_command_says_what_is_missing_when_nothing_is_there(tmp_path: Path) -> None:
    args = ["eval", "mmeb", "--data", str(tmp_path / "[none]"), "--tasks", "HMDB51"]
    done = subprocess.run(
        [sys.executable, "-m", "ponder", *args, "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "400"},
    )
    assert done.returncode == 1
    assert f"{tmp_path}/[none]/VLM2Vec/HMDB51" in done.stdout
    assert "no task could be measured" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_command_measures_a_trial_and_says_so(bundle: Path, tmp_path: Path) -> None:
    args = ["eval", "mmeb", "--data", str(bundle), "--tasks", "VOC2007,HMDB51", "--limit", "3"]
    done = subprocess.run(
        [sys.executable, "-m", "ponder", *args, "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"COLUMNS": "160"},
    )
    assert "3 of 1,000" in done.stdout
    assert "not measured: HMDB51: no annotations" in done.stdout
    assert "I-CLS" in done.stdout
    assert "All:" not in done.stdout
    assert (
        json.loads((tmp_path / "submission.json").read_text())["metadata"]["model_name"] == "nano"
    )
