"""Runs of MMEB-V2 beside the published figures, as one page to read."""

from __future__ import annotations

import base64
import csv
import io
import json
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ponder.eval.mmeb.charts import pareto, radar, triggers
from ponder.eval.mmeb.run import TaskScore, read_scores
from ponder.eval.mmeb.submission import OVERALL, Mean, means
from ponder.eval.mmeb.tasks import read_tasks
from ponder.media import DEFAULT_LIMITS, MediaError, fit, read_picture
from ponder.plotting import pyplot

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Scores = dict[str, TaskScore]
SHOWN = 3  # worst, and slowest, queries of each run
SHOWN_PICTURES = 4
THUMBNAIL = 160  # pixels
PUBLISHED = "published"
_STYLE = """
:root { color-scheme: light; --line: #d8d8d8; --dim: #666; --own: #eef4fb }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 84rem; padding: 0 1.2rem;
       color: #1a1a1a; background: #fff }
h1 { font-size: 1.6rem } h2 { font-size: 1.2rem; margin-top: 2.4rem }
p { max-width: 46rem } .note { color: var(--dim) }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px }
th, td { padding: .25rem .45rem; border-bottom: 1px solid var(--line); text-align: right;
         white-space: nowrap }
th:first-child, td:first-child { text-align: left }
tr.own { background: var(--own); font-weight: 600 }
figure { margin: 1rem 0 } figure img { max-width: 100% }
.case { border: 1px solid var(--line); border-radius: .5rem; padding: .8rem 1rem; margin: .8rem 0 }
.case img { max-height: 110px; margin-right: .4rem; border: 1px solid var(--line) }
.case q { display: block; color: var(--dim); quotes: none }
"""


def write_runs_report(folders: Sequence[Path], out: Path) -> Path:
    """Write `report.html`, which needs no other file, and `report.md`.

    Args:
        folders: of `ponder eval mmeb`, one a model and think mode.
        out: where to; made if missing.

    Returns:
        The path of the page.

    Raises:
        PonderError: a folder holds no scores, or those of several models.
        MissingExtraError: matplotlib is not installed.
    """
    plt = pyplot("a report")
    runs = {_named(folder, scores): scores for folder, scores in _read(folders).items()}
    published = read_baselines()
    out.mkdir(parents=True, exist_ok=True)
    groups = _groups(runs, published)
    tasks = _tasks(runs, published)
    costs = _costs(runs)
    figures = [("Quality by group", radar(plt, runs, _published(published)))]
    if len(runs) > 1:
        figures.append(("Quality over thought tokens", pareto(plt, runs)))
    if any(score.thought_share for scores in runs.values() for score in scores.values()):
        figures.append(("How often it thinks", triggers(plt, runs)))
    cases = "".join(_cases(name, folder) for name, folder in zip(runs, folders, strict=True))
    shown = "".join(
        f'<h2>{name}</h2><figure><img alt="{name}" src="{_data(png, "png")}"></figure>'
        for name, png in figures
    )
    html = (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>MMEB-V2</title>\n<style>{_STYLE}</style>\n<h1>MMEB-V2</h1>\n"
        f"<p>{_NOTE}</p><h2>By group</h2>{_html(groups)}{shown}"
        f"<h2>By task</h2>{_html(tasks)}<h2>What it cost</h2>{_html(costs)}{cases}</html>\n"
    )
    (out / "report.html").write_text(html, encoding="utf-8")
    pages = (("By group", groups), ("By task", tasks), ("What it cost", costs))
    parts = [f"# MMEB-V2\n\n{_NOTE}\n"]
    parts += [f"## {title}\n\n{_markdown(rows)}" for title, rows in pages]
    (out / "report.md").write_text("\n".join(parts), encoding="utf-8")
    return out / "report.html"


_NOTE = (
    "Per cent: hit@1, for document pages nDCG@5. What is marked published is from the papers and "
    "score files of others, not measured here, and partly of other prompts and frames; the rest "
    "was measured with ponder. A mean that lacks a task says how many it has. Values in brackets "
    "count ties against the model and every gain at its page."
)

Table = list[list[str]]  # the first row is the head


def read_baselines() -> dict[str, dict[str, float]]:
    """Return the published main metric of each model and task, as fractions."""
    found: dict[str, dict[str, float]] = {}
    with files(__package__).joinpath("baselines.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            task = row.pop("task")
            for model, value in row.items():
                found.setdefault(model, {})[task] = float(value)
    return found


def _read(folders: Sequence[Path]) -> dict[Path, Scores]:
    return {folder: read_scores(folder) for folder in folders}


def _named(folder: Path, scores: Scores) -> str:
    first = next(iter(scores.values()))
    return f"{first.model}, {first.think} ({folder.name})"


def _published(published: Mapping[str, Mapping[str, float]]) -> list[dict[str, Mean]]:
    return [_published_means(values) for values in published.values()]


def _published_means(values: Mapping[str, float]) -> dict[str, Mean]:
    """Return the means of published values as if they had been measured."""
    made = {}
    for task in read_tasks():
        metrics = {task.metric: values[task.name]}
        counts = (task.queries, task.queries, 0, 0.0, 0.0, 0.0)
        made[task.name] = TaskScore(task.name, "", "", "never", metrics, metrics, *counts)
    return means(made)


def _groups(runs: Mapping[str, Scores], published: Mapping[str, Mapping[str, float]]) -> Table:
    overall = ["All", *OVERALL.values()]
    names = overall + [name for name in means({}) if name not in overall]
    rows = [["model", *names]]
    for model, values in published.items():
        found = _published_means(values)
        rows.append([f"{model}, {PUBLISHED}", *(_percent(found[name].value) for name in names)])
    for run, scores in runs.items():
        found = means(scores)
        rows.append([run, *(_cell(found[name]) for name in names)])
    return rows


def _tasks(runs: Mapping[str, Scores], published: Mapping[str, Mapping[str, float]]) -> Table:
    rows = [["task", "group", f"best {PUBLISHED}", "by", *runs]]
    for task in read_tasks():
        measured = [scores.get(task.name) for scores in runs.values()]
        if not any(measured):
            continue
        best = max(published, key=lambda model: published[model][task.name])
        cells = []
        for score in measured:
            if score is None:
                cells.append("")
                continue
            value, correct = score.reference[task.metric], score.correct[task.metric]
            text = _percent(value) + ("" if value == correct else f" ({_percent(correct)})")
            some = "" if score.is_whole else f", {score.queries} of {score.protocol_queries:,}"
            cells.append(text + some)
        rows.append([task.name, task.group, _percent(published[best][task.name]), best, *cells])
    return rows


def _costs(runs: Mapping[str, Scores]) -> Table:
    rows = [["run", "thought tokens/item", "thought about", "ms/item", "slowest task", "ms/item"]]
    for run, scores in runs.items():
        every = list(scores.values())
        slowest = max(every, key=lambda score: score.ms_per_item)
        rows.append(
            [
                run,
                f"{np.mean([score.thought_tokens for score in every]):.1f}",
                f"{100 * np.mean([score.thought_share for score in every]):.0f} %",
                f"{np.mean([score.ms_per_item for score in every]):.1f}",
                slowest.task,
                f"{slowest.ms_per_item:.1f}",
            ]
        )
    return rows


def _cases(run: str, folder: Path) -> str:
    """Return the queries a run ranked worst and those it took longest over, one a task."""
    found: dict[str, list[dict[str, Any]]] = {}
    for task in read_tasks():
        path = folder / task.modality / f"{task.name}_pred.jsonl"
        if path.is_file():
            lines = path.read_text(encoding="utf-8").splitlines()
            found[task.name] = [json.loads(line) for line in lines]
    orders: dict[str, Callable[[dict[str, Any]], float]] = {
        "Worst": lambda row: row["correct"]["mrr@10"],
        "Slowest": lambda row: -row["ms"],
    }
    parts = []
    for title, order in orders.items():
        first = {task: min(rows, key=order) for task, rows in found.items()}
        ranked = sorted((order(row), task) for task, row in first.items())
        shown = "".join(_case(task, first[task]) for _, task in ranked[:SHOWN])
        parts.append(f"<h2>{title} queries of {escape(run)}</h2>{shown}")
    return "".join(parts)


def _case(task: str, row: dict[str, Any]) -> str:
    pictures = "".join(map(_thumbnail, row["pictures"][:SHOWN_PICTURES]))
    thought = f"<q>{escape(row['thought'])}</q>" if row["thought"] else ""
    first, right = (escape(str(row[name][0])) for name in ("prediction", "label"))
    return (
        f'<div class="case"><b>{escape(task)}</b><p>{pictures}{escape(row["text"])}</p>{thought}'
        f"<p>right: {right}<br>came first: {first}<br>{row['ms']:.0f} ms</p></div>"
    )


def _thumbnail(path: str) -> str:
    try:
        picture = fit(read_picture(Path(path), DEFAULT_LIMITS), THUMBNAIL)
    except MediaError:
        return ""  # the bundle has moved since; the words remain
    stream = io.BytesIO()
    picture.save(stream, "jpeg", quality=85)
    return f'<img alt="" src="{_data(stream.getvalue(), "jpeg")}">'


def _data(encoded: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(encoded).decode()}"


def _html(rows: Table) -> str:
    head, *body = rows
    lines = [f"<tr>{''.join(f'<th>{escape(cell)}</th>' for cell in head)}</tr>"]
    for row in body:
        own = "" if PUBLISHED in row[0] else ' class="own"' if head[0] == "model" else ""
        lines.append(f"<tr{own}>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>")
    return f'<div class="wide"><table>{"".join(lines)}</table></div>'


def _markdown(rows: Table) -> str:
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"


def _cell(mean: Mean) -> str:
    if mean.measured == mean.tasks:
        return _percent(mean.value)
    return f"{_percent(mean.value)} ({mean.measured}/{mean.tasks})" if mean.measured else ""
