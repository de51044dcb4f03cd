"""What a change of recipe does to retrieval: models side by side on the Gallery's tasks.

    python benchmarks/ablations.py BASE OTHER... [--modes never always] [--tasks all] [--json FILE]

Each argument is the folder of a training run, its model in `model`. Every item is embedded in each
mode; the vectors are kept in the run's folder (as `ponder eval gallery --out RUN/eval` keeps them),
so a stopped comparison goes on. Printed is the mean of the tasks' hit@1 in per cent, and the
difference to BASE with the 95 % interval of a paired bootstrap over the queries they share.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ponder
from ponder.engine.trace import THINK_MODES
from ponder.eval.gallery import built_tasks, embed_task, task_names
from ponder.eval.metrics import ranks
from ponder.eval.routing import interval, mean
from ponder.gallery.tasks import default_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from ponder.engine.trace import ThinkMode
    from ponder.eval.gallery import Task

    Hits = list[NDArray[np.float64]]


def hits(run: Path, tasks: Sequence[Task], modes: Sequence[ThinkMode]) -> dict[str, Hits]:
    """Return for each mode and task (Q,), 1 where what is right came first."""
    model = ponder.load(run / "model")
    cache = run / "eval" / "vectors"
    found: dict[str, Hits] = {mode: [] for mode in modes}
    for mode in modes:
        for task in tasks:
            print(f"{run}, {mode}: {task.name}", flush=True)
            queries, candidates = embed_task(model, task, mode, cache, done)
            scores = queries.vectors @ candidates.vectors.T
            found[mode].append((ranks(scores, task.right) == 1).astype(float))
    return found


def done(_: int) -> None:
    """Say nothing: each task is a line already."""


def compare(found: Hits, base: Hits, names: Sequence[str]) -> dict[str, Any]:
    return {
        "hit@1": mean(found),
        "difference": mean(found) - mean(base),
        "interval": interval(found, base),
        "tasks": {name: float(part.mean()) for name, part in zip(names, found, strict=True)},
    }


def cells(found: dict[str, Any]) -> str:
    low, high = (f"{100 * bound:+.1f}" for bound in found["interval"])
    return f"{found['hit@1']:.1%} | {100 * found['difference']:+.1f} ({low} to {high})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--modes", nargs="+", choices=THINK_MODES, default=["never", "always"])
    parser.add_argument("--tasks", default="all")
    parser.add_argument("--split", default="test", choices=["dev", "test"])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    tasks = built_tasks(default_folder(), task_names(options.tasks), options.split)
    every = {str(run): hits(run, tasks, options.modes) for run in options.runs}
    base = every[str(options.runs[0])]
    names = [task.name for task in tasks]
    result = {
        name: {mode: compare(of_run[mode], base[mode], names) for mode in options.modes}
        for name, of_run in every.items()
    }
    print(f"\n| recipe | {' | '.join(f'{mode} | difference' for mode in options.modes)} |")
    print("| --- |" + " --- | --- |" * len(options.modes))
    for name, of_modes in result.items():
        print(f"| {name} | {' | '.join(map(cells, of_modes.values()))} |")
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
