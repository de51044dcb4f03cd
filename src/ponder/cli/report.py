"""`ponder report`: when thinking helps a model, when it hurts, and what it costs."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def report(
    model: str,
    /,
    *,
    split: Literal["dev", "test"] = "test",
    tasks: str = "all",
    out: Path = Path("runs/report"),
) -> None:
    """Write a page on when thinking helps a model: by task, over its cost, and case by case.

    Every item is embedded without a thought, with one, and as the gate decides. A stopped run goes
    on when the same command is given again.

    Args:
        model: the folder of a model with a gate.
        split: `test` holds concepts no training has seen; choose recipes on `dev`.
        tasks: `all`, or names with commas between; built first if they are not there.
        out: folder of the report: report.md, its figures, report.json.
    """
    from ponder.cli.console import stages, stdout
    from ponder.engine.model import load
    from ponder.eval.gallery import built_tasks, task_names
    from ponder.eval.report import write_report
    from ponder.gallery import build, default_folder
    from ponder.gallery.tasks import build_tasks
    from ponder.gallery.tasks import default_folder as tasks_folder

    names = task_names(tasks)
    with stages() as progress:
        gallery = build("full", default_folder("full"), progress)
        built = build_tasks(gallery, tasks_folder(), progress)
        found = write_report(load(model), built_tasks(built, names, split), out, progress)
    for name, figures in found["modes"].items():
        stdout.print(f"{name}: hit@1 {figures['hit@1']:.1%}", highlight=False)
    stdout.print(f"report: {out / 'report.md'}", soft_wrap=True, highlight=False)
