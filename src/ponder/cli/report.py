"""`ponder report`: when thinking helps a model, when it hurts, and what it costs."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from ponder.cli.arguments import UserPath  # noqa: TC001 (read at run time)
from ponder.errors import PonderError
from ponder.paths import expanded


def report(
    *sources: str,
    split: Literal["dev", "test"] = "test",
    tasks: str = "all",
    out: UserPath = Path("runs/report"),
) -> None:
    """Write a page on when thinking helps a model, or on runs of MMEB-V2 beside published figures.

    For a model every item of the Gallery's tasks is embedded without a thought, with one, and as
    the gate decides. A stopped run goes on when the same command is given again.

    Args:
        sources: the folder of one model with a gate, or folders that `ponder eval mmeb` wrote.
        split: `test` holds concepts no training has seen; choose recipes on `dev`.
        tasks: `all`, or names with commas between; built first if they are not there.
        out: folder of the report: report.md and its figures or, of runs, report.html.

    Raises:
        PonderError: the sources are neither.
    """
    from ponder.cli.console import say, stages
    from ponder.engine.model import load
    from ponder.eval.gallery import built_tasks, task_names
    from ponder.eval.mmeb.report import write_runs_report
    from ponder.eval.report import write_report
    from ponder.gallery import build, default_folder
    from ponder.gallery.tasks import build_tasks
    from ponder.gallery.tasks import default_folder as tasks_folder

    folders = [expanded(source) for source in sources]
    if folders and all((folder / "submission.json").is_file() for folder in folders):
        page = write_runs_report(folders, out)
        say(f"report: {page}")
        return
    if len(sources) != 1:
        raise PonderError("give one model's folder, or folders that `ponder eval mmeb` wrote")
    names = task_names(tasks)
    with stages() as progress:
        gallery = build("full", default_folder("full"), progress)
        built = build_tasks(gallery, tasks_folder(), progress)
        found = write_report(load(sources[0]), built_tasks(built, names, split), out, progress)
    for name, figures in found["modes"].items():
        say(f"{name}: hit@1 {figures['hit@1']:.1%}")
    say(f"report: {out / 'report.md'}")
