"""`ponder eval`: measure retrieval quality."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from ponder.cli.arguments import UserPath  # noqa: TC001 (read at run time)
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
    json_file: Annotated[UserPath | None, Parameter(name="--json")] = None,
    out: UserPath = Path("runs/gallery"),
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
        out: where vectors are kept: a stopped run goes on when the same command is given again.
    """
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from ponder.cli.console import plain, stages, stdout
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
    table = Table(
        title=escape(plain(f"Gallery {split}, {model}, think={think}")), box=box.SIMPLE_HEAD
    )
    table.add_column("task")
    for name in COLUMNS.values():
        table.add_column(name, justify="right")

    def add(task: Task, scores: Scores) -> None:
        table.add_row(task.name, *(_show(column, scores[column]) for column in COLUMNS))

    loaded = load(model)
    with stages() as report:
        result = evaluate(loaded, chosen, think, out / "vectors", report, add)
    stdout.print(table)
    result |= {"model": model, "think": think, "command": " ".join(["ponder", *sys.argv[1:]])}
    if json_file:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


@app.command
def mmeb(
    *,
    data: UserPath = Path("mmeb-v2"),
    tasks: str = "",
    think: ThinkMode = "never",
    model: str = "nano",
    limit: int | None = None,
    out: UserPath = Path("runs/mmeb"),
    list_tasks: Annotated[bool, Parameter(name="--list", negative="")] = False,
) -> None:
    """Measure a model on MMEB-V2: 78 tasks of images, videos and document pages.

    Scores are hit@1, or nDCG@5 for pages, as the official code computes them; beside them stands
    the value with ties against the model and every gain at its page. A stopped run goes on, and
    means and submission hold every task measured into the same folder.

    Args:
        data: the unpacked bundle TIGER-Lab/MMEB-V2, the annotation repositories in OWNER/NAME.
        tasks: names, groups or modalities, with commas between; all by default.
        think: which queries and candidates to think about before embedding.
        model: `nano` or a saved model's folder.
        limit: most queries of a task, for a trial; its scores count in no mean.
        out: where scores, rankings, traces, vectors and the submission are written.
        list_tasks: list the tasks and stop.
    """
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from ponder.cli.console import give, plain, say, stages, stdout
    from ponder.engine.model import load
    from ponder.eval.mmeb.layout import Layout
    from ponder.eval.mmeb.run import TaskScore, read_scores, run_tasks
    from ponder.eval.mmeb.submission import means, submission
    from ponder.eval.mmeb.tasks import MmebTask, chosen_tasks

    chosen = chosen_tasks(tasks)
    if list_tasks:
        for task in chosen:
            give(f"{task.name}\t{task.group}\t{task.metric}\t{task.queries}")
        return
    table = Table(title=escape(plain(f"MMEB-V2, {model}, think={think}")), box=box.SIMPLE_HEAD)
    for name in ("task", "group"):
        table.add_column(name)
    for name in ("queries", "among", "reference", "correct", "thought", "ms/item"):
        table.add_column(name, justify="right")
    failed: dict[str, str] = {}

    def add(task: MmebTask, result: TaskScore | PonderError) -> None:
        if not isinstance(result, TaskScore):
            failed[task.name] = str(result)
            return
        values = (result.reference[task.metric], result.correct[task.metric])
        table.add_row(
            task.name,
            task.group,
            f"{result.queries:,}" + ("" if result.is_whole else f" of {task.queries:,}"),
            f"{result.candidates:,}",
            *(f"{100 * value:.1f} %" for value in values),
            f"{result.thought_tokens:.1f}",
            f"{result.ms_per_item:.1f}",
        )

    loaded = load(model)
    with stages() as progress:
        scores = run_tasks(loaded, chosen, Layout(data), out, think, limit, progress, add)
    stdout.print(table)
    for reason in failed.values():
        say(f"not measured: {reason}")
    if not scores:
        raise PonderError("no task could be measured")
    every = read_scores(out)
    by_reference, correct = means(every), means(every, is_reference=False)
    for name, mean in by_reference.items():
        if mean.measured:
            say(f"{name}: {mean}, correct {correct[name]}")
    (out / "submission.json").write_text(
        json.dumps(submission(loaded, every), indent=2) + "\n", encoding="utf-8"
    )


def _show(column: str, value: float) -> str:
    if column in ("queries", "candidates"):
        return f"{value:,}"
    return f"{value:.1f}" if column in ("ms_per_item", "thought_tokens") else f"{100 * value:.1f} %"
