"""`ponder eval`: measure retrieval quality."""

from __future__ import annotations

import json
import sys
from pathlib import Path  # noqa: TC003 (cyclopts reads the annotation)
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from ponder.engine.trace import ThinkMode  # noqa: TC001 (read at run time, for the command line)
from ponder.errors import PonderError

if TYPE_CHECKING:
    from ponder.eval.gallery import Task
    from ponder.eval.run import Scores

app = App(name="eval", help="Measure retrieval quality.")

COLUMNS = {
    "hit@1": "hit@1",
    "hit@5": "hit@5",
    "hit@10": "hit@10",
    "ndcg@5": "nDCG@5",
    "queries": "queries",
    "candidates": "among",
    "thought_tokens": "thought",
    "ms_per_item": "ms/item",
}
"""Scores shown, and what their columns are called on an 80-column terminal."""


@app.command
def gallery(
    *,
    split: Literal["dev", "test"] = "test",
    think: ThinkMode = "never",
    model: str = "nano",
    part: Literal["demo", "full"] = "full",
    tasks: str = "",
    json_file: Annotated[Path | None, Parameter(name="--json")] = None,
) -> None:
    """Measure a model on the Gallery: captions to pictures, pictures to captions, style to style.

    With `--tasks`, also on what needs thought: changes, languages, flags, clocks, charts, pages.

    Args:
        split: `test` holds concepts no training has seen; choose recipes on `dev`.
        think: which queries and candidates to think about before embedding.
        model: `nano` or a saved model's folder.
        part: of the Gallery; `full` is the one figures are reported on.
        tasks: `all`, or names with commas between; built first if they are not there, which needs
            a Debian system. By default the three that the Gallery alone is enough for.
        json_file: write the scores there.
    """
    from rich import box
    from rich.table import Table

    from ponder.cli.console import stages, stdout
    from ponder.engine.model import load
    from ponder.eval.gallery import built_tasks, task_names
    from ponder.eval.gallery import tasks as plain_tasks
    from ponder.eval.run import evaluate
    from ponder.gallery import build, default_folder
    from ponder.gallery.tasks import build_tasks
    from ponder.gallery.tasks import default_folder as tasks_folder

    names = task_names(tasks)
    if names and part != "full":
        raise PonderError("--tasks needs --part full")
    with stages() as report:
        folder = build(part, default_folder(part), report)
        built = build_tasks(folder, tasks_folder(), report) if names else None
    chosen = built_tasks(built, names, split) if built else plain_tasks(folder, split)
    table = Table(title=f"Gallery {split}, {model}, think={think}", box=box.SIMPLE_HEAD)
    table.add_column("task")
    for name in COLUMNS.values():
        table.add_column(name, justify="right")

    def add(task: Task, scores: Scores) -> None:
        table.add_row(task.name, *(_show(column, scores[column]) for column in COLUMNS))

    result = evaluate(load(model), chosen, add, think)
    stdout.print(table)
    result |= {"model": model, "think": think, "command": " ".join(["ponder", *sys.argv[1:]])}
    if json_file:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def _show(column: str, value: float) -> str:
    if column in ("queries", "candidates"):
        return f"{value:,}"
    return f"{value:.1f}" if column in ("ms_per_item", "thought_tokens") else f"{100 * value:.1f} %"
