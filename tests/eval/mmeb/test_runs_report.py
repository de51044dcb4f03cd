"""The page on runs: complete, self-contained, and clear about what was measured and what not."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ponder.engine.model import Model
from ponder.errors import PonderError
from ponder.eval.mmeb.layout import Layout
from ponder.eval.mmeb.report import read_baselines, write_runs_report
from ponder.eval.mmeb.run import run_tasks
from ponder.eval.mmeb.tasks import chosen_tasks, read_tasks
from ponder.model.saved import Saved
from ponder.progress import silent
from tests.thinkers import thinker

if TYPE_CHECKING:
    from pathlib import Path

    from ponder.engine.trace import ThinkMode

MODES: tuple[ThinkMode, ...] = ("never", "always")


@pytest.fixture(scope="module")
def runs(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    made = thinker("nano")
    model = Model(Saved("<tiny>", made.backbone, made.readout, made, {}))
    tasks = [replace(task, queries=6) for task in chosen_tasks("VOC2007,MSVD")]
    folders = []
    for mode in MODES:
        folder = tmp_path_factory.mktemp(mode)
        run_tasks(model, tasks, Layout(bundle), folder, mode, None, silent, lambda *_: None)
        folders.append(folder)
    return folders


def test_published_figures_cover_every_task() -> None:
    published = read_baselines()
    names = {task.name for task in read_tasks()}
    assert all(set(values) == names for values in published.values())
    assert len(published) == 8
    # The mean its makers print: (36 * 64.9 + 18 * 34.7 + 24 * 68.6) / 78 with the pages mended.
    values = published["VLM2Vec-V2.0-Qwen2VL-2B"].values()
    assert sum(values) / 78 == pytest.approx(0.591, abs=5e-4)


def test_the_page_needs_no_other_file(runs: list[Path], tmp_path: Path) -> None:
    page = write_runs_report(runs, tmp_path).read_text()
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert page.count("<h2>Worst queries of &lt;tiny&gt;") == 2
    assert page.count("<h2>Slowest queries of &lt;tiny&gt;") == 2
    assert "<tiny>" not in page
    assert "<h2>How often it thinks</h2>" in page
    assert "VLM2Vec-V2.0-Qwen2VL-2B, published" in page
    assert "&lt;think&gt;" in page  # a thought of the run that thinks
    assert page.count("data:image/jpeg") >= 2  # what a worst query shows


def test_a_mean_of_a_few_tasks_says_so(runs: list[Path], tmp_path: Path) -> None:
    write_runs_report(runs[:1], tmp_path)
    lines = (tmp_path / "report.md").read_text().splitlines()
    (own,) = (line for line in lines if line.startswith("| <tiny>, never") and "/" in line)
    assert re.search(r"\(2/78\) \|.*\(1/10\) \|.*\(1/5\) \|", own)
    (task,) = (line for line in lines if line.startswith("| VOC2007"))
    assert "I-CLS" in task


def test_a_folder_without_scores_or_of_two_models_is_refused(
    runs: list[Path], tmp_path: Path
) -> None:
    with pytest.raises(PonderError, match="no task of MMEB-V2 was measured here"):
        write_runs_report([tmp_path], tmp_path / "out")
    mixed = tmp_path / "mixed"
    for folder, kind in zip(runs, ("image", "video"), strict=True):
        (mixed / kind).mkdir(parents=True)
        for path in (folder / kind).glob("*_ponder.json"):
            (mixed / kind / path.name).write_text(path.read_text())
    with pytest.raises(PonderError, match="several models or think modes"):
        write_runs_report([mixed], tmp_path / "out")
