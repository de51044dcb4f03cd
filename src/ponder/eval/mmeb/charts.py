"""Figures of runs of MMEB-V2, as PNG."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from ponder.errors import PonderError
from ponder.eval.mmeb.submission import OVERALL, means
from ponder.eval.mmeb.tasks import read_tasks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ponder.eval.mmeb.run import TaskScore
    from ponder.eval.mmeb.submission import Mean


def radar(
    plt: Any, runs: Mapping[str, Mapping[str, TaskScore]], published: Sequence[Mapping[str, Mean]]
) -> bytes:
    """Draw the mean of each group, a ring a run and one for the best that was published.

    Args:
        plt: `matplotlib.pyplot`.
        runs: the scores of each.
        published: the means of each published model.
    """
    names = [name for name in means({}) if name not in (*OVERALL.values(), "All")]
    turns = np.linspace(0, 2 * np.pi, len(names), endpoint=False)
    figure, axis = plt.subplots(figsize=(7.5, 6), subplot_kw={"projection": "polar"})
    edge = [max(100 * (found[name].value or 0) for found in published) for name in names]
    _ring(axis, turns, edge, "best published", {"color": "#999", "ls": "--"})
    for run, scores in runs.items():
        found = means(scores)
        values = [found[name].value for name in names]  # a group that was not measured is a gap
        drawn = [np.nan if value is None else 100 * value for value in values]
        _ring(axis, turns, drawn, run, {"marker": "o"})
    axis.set_xticks(turns, names)
    axis.set_ylim(0, 100)
    axis.legend(loc="upper left", bbox_to_anchor=(1.02, 1.05), frameon=False)
    return _png(plt, figure)


def _ring(
    axis: Any, turns: np.ndarray, values: Sequence[float], label: str, style: dict[str, Any]
) -> None:
    axis.plot([*turns, turns[0]], [*values, values[0]], label=label, ms=5, lw=1.4, **style)


def pareto(plt: Any, runs: Mapping[str, Mapping[str, TaskScore]]) -> bytes:
    """Draw quality over thought tokens, a point a run, over the tasks all of them measured.

    Raises:
        PonderError: there is no such task.
    """
    figure, axis = plt.subplots(figsize=(7, 4))
    common = set.intersection(*(set(scores) for scores in runs.values()))
    if not common:
        raise PonderError("the runs have no task in common")
    known = {task.name: task for task in read_tasks()}
    for run, scores in runs.items():
        quality = np.mean([scores[name].reference[known[name].metric] for name in common])
        tokens = np.mean([scores[name].thought_tokens for name in common])
        axis.plot(tokens, 100 * quality, "o", ms=8, label=run)
    axis.set(xlabel="thought tokens per item", ylabel=f"mean of {len(common)} tasks, %")
    axis.legend(frameon=False)
    axis.grid(alpha=0.3)
    return _png(plt, figure)


def triggers(plt: Any, runs: Mapping[str, Mapping[str, TaskScore]]) -> bytes:
    """Draw the share of each task's items that were thought about."""
    names = [task.name for task in read_tasks() if any(task.name in s for s in runs.values())]
    figure, axis = plt.subplots(figsize=(8, 0.24 * len(names) + 1.2))
    height = 0.8 / len(runs)
    for number, (run, scores) in enumerate(runs.items()):
        rates = [100 * scores[n].thought_share if n in scores else 0.0 for n in names]
        axis.barh(np.arange(len(names)) + number * height, rates, height, label=run)
    axis.set_yticks(np.arange(len(names)), names, fontsize=8)
    axis.invert_yaxis()
    axis.set(xlabel="items thought about, %", xlim=(0, 100))
    axis.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), frameon=False)
    return _png(plt, figure)


def _png(plt: Any, figure: Any) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=120, bbox_inches="tight")
    plt.close(figure)
    return stream.getvalue()
