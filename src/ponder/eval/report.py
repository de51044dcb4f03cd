"""`ponder report`: when thinking helped, when it hurt, and what it cost, as a page to read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from ponder.engine.trace import THINK_MODES
from ponder.errors import ThinkModeError
from ponder.eval.both_ways import embed_both_ways
from ponder.eval.cases import cases
from ponder.eval.latent_use import FIGURE, draw_latent_use, latent_use
from ponder.eval.routing import RESAMPLES, Routing, Scored, interval, mean
from ponder.plotting import pyplot
from ponder.progress import counted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ponder.engine.model import Model
    from ponder.eval.both_ways import BothWays
    from ponder.eval.gallery import Task
    from ponder.eval.routing import Point
    from ponder.progress import Progress


MARKERS = "osD^v"  # of the think modes; hollow, since some fall on one point


def write_report(model: Model, tasks: Sequence[Task], folder: Path, progress: Progress) -> Any:
    """Embed every task in every mode and write `report.md`, its figures and `report.json`.

    Args:
        model: with a gate.
        tasks: of one split.
        folder: of the report; vectors are kept in it, so that a stopped run goes on.
        progress: told how much of each task is embedded.

    Returns:
        What `report.json` holds.

    Raises:
        ThinkModeError: the model has no gate.
        MissingExtraError: matplotlib is not installed.
    """
    if not model.has_gate:
        raise ThinkModeError(f"{model.name} has no gate to report on; train one")
    plt = pyplot("a report")
    both = []
    for task in tasks:
        total = (len(task.queries) + len(task.candidates)) * len(model.think_modes)
        advance = counted(progress, f"embed {task.name}", total)
        both.append(embed_both_ways(model, task, folder / "vectors", advance))
    routing = Routing(both)
    modes, random = routing.modes(), routing.random()
    curve, random_curve = routing.curve(), routing.random_curve()
    found: dict[str, Any] = {
        "model": model.name,
        "fingerprint": model.fingerprint,
        "modes": {name: _figures(scored) for name, scored in modes.items()},
        "random": _random(random),
        "differences": _differences(modes),
        "tasks": {task.task: _of_task(modes, random, i, task) for i, task in enumerate(both)},
        "curve": [vars(point) for point in curve],
        "random_curve": [vars(point) for point in random_curve],
    }
    folder.mkdir(parents=True, exist_ok=True)
    if model.experts is not None:
        found["latent"] = latent_use(both, model.experts)
        draw_latent_use(plt, found["latent"], folder)
    text = json.dumps(found, indent=1, allow_nan=False)
    (folder / "report.json").write_text(text + "\n", encoding="utf-8")
    _draw(plt, folder, found, curve, random_curve)
    shown = cases(both, tasks, modes["never"].ranks, modes["always"].ranks, folder)
    (folder / "report.md").write_text(f"{_page(found)}\n{shown}", encoding="utf-8")
    return found


def _figures(scored: Scored) -> dict[str, Any]:
    return {
        "hit@1": mean(scored.hits()),
        "hit@1_interval": interval(scored.hits()),
        "ndcg@5": mean(scored.gains()),
        "thought_tokens": _cost(scored.tokens),
        "ms_per_item": _cost(scored.ms),
    }


def _random(draws: Sequence[Scored]) -> dict[str, Any]:
    hits = [mean(draw.hits()) for draw in draws]
    return {
        "hit@1": float(np.mean(hits)),
        "hit@1_interval": [float(q) for q in np.quantile(hits, [0.025, 0.975])],
        "ndcg@5": float(np.mean([mean(draw.gains()) for draw in draws])),
        "thought_tokens": float(np.mean([np.mean(draw.tokens) for draw in draws])),
        "ms_per_item": None,
    }


def _differences(modes: dict[str, Scored]) -> dict[str, Any]:
    """Return by how much `auto` beats the constant modes, and ways of thinking each other."""
    pairs = [("auto", "never"), ("auto", "always"), ("always", "never")]
    if "latent" in modes:
        pairs += [("latent", "never"), ("latent", "always"), ("auto-latent", "latent")]
    return {
        f"{one} - {other}": {
            name: {
                "mean": mean(values(modes[one])) - mean(values(modes[other])),
                "interval": interval(values(modes[one]), values(modes[other])),
            }
            for name, values in {"hit@1": Scored.hits, "ndcg@5": Scored.gains}.items()
        }
        for one, other in pairs
    }


def _of_task(
    modes: dict[str, Scored], random: Sequence[Scored], i: int, task: BothWays
) -> dict[str, Any]:
    return {
        "hit@1": {name: float(scored.hits()[i].mean()) for name, scored in modes.items()}
        | {"random": float(np.mean([draw.hits()[i].mean() for draw in random]))},
        "ndcg@5": {name: float(scored.gains()[i].mean()) for name, scored in modes.items()},
        "thought_tokens": {name: modes[name].tokens[i] for name in ("always", "auto")},
        "trigger_rate": {
            "queries": float((task.queries.tokens["auto"] > 0).mean()),
            "candidates": float((task.candidates.tokens["auto"] > 0).mean()),
        },
        "queries": len(task.queries),
        "candidates": len(task.candidates),
    }


def _page(found: dict[str, Any]) -> str:
    modes = found["modes"] | {"random": found["random"]}
    order = [*(mode for mode in THINK_MODES if mode in modes), "random", "oracle"]
    overall = [
        [
            name,
            _percent(modes[name]["hit@1"]),
            _range(modes[name].get("hit@1_interval")),
            _percent(modes[name]["ndcg@5"]),
            _number(modes[name]["thought_tokens"]),
            _number(modes[name]["ms_per_item"]),
        ]
        for name in order
    ]
    differences = [
        [pair, name, _percent(row["mean"]), _range(row["interval"])]
        for pair, rows in found["differences"].items()
        for name, row in rows.items()
    ]
    by_task = [
        [task]
        + [_percent(row["hit@1"][name]) for name in order]
        + [_number(row["thought_tokens"]["always"]), _number(row["thought_tokens"]["auto"])]
        + [_percent(row["trigger_rate"][side]) for side in ("queries", "candidates")]
        + [f"{row['queries']} / {row['candidates']}"]
        for task, row in found["tasks"].items()
    ]
    return "\n".join(
        [
            f"# When {found['model']} thinks\n",
            "Means of the tasks, in per cent. Intervals are 95 %: of a paired bootstrap over "
            f"queries ({RESAMPLES:,} draws) and, for `random`, over draws of who thinks. `random` "
            "thinks as often as `auto`; `oracle` takes the better of `never` and `always` for each "
            "query.\n",
            _table(["", "hit@1", "interval", "nDCG@5", "tokens/item", "ms/item"], overall),
            _table(["difference", "of", "mean", "interval"], differences),
            "![Quality over thought tokens](pareto.png)\n",
            "## By task\n",
            "hit@1, thought tokens per item, and the share of queries and candidates that `auto` "
            "thinks about.\n",
            _table(
                ["task", *order, "tokens always", "auto", "queries", "candidates", "of"], by_task
            ),
            "![How often it thinks](routing.png)\n"
            if _ever_thinks(found)
            else "`auto` thinks about none.\n",
            *(
                [
                    "## Latent steps\n",
                    f"![Which experts take part, and how far a step moves the state]({FIGURE})\n",
                ]
                if "latent" in found
                else []
            ),
        ]
    )


def _draw(
    plt: Any,
    folder: Path,
    found: dict[str, Any],
    curve: Sequence[Point],
    random_curve: Sequence[Point],
) -> None:
    figure, axis = plt.subplots(figsize=(7, 4.2))
    for name, points in (("the gate chooses", curve), ("chosen at random", random_curve)):
        axis.plot([p.tokens for p in points], [100 * p.hit for p in points], "o-", ms=3, label=name)
    for marker, name in zip(MARKERS, THINK_MODES, strict=True):
        if mode := found["modes"].get(name):
            at = mode["thought_tokens"], 100 * mode["hit@1"]
            axis.plot(*at, marker, ms=9, fillstyle="none", mew=1.5, label=name)
    axis.set(xlabel="thought tokens per item", ylabel="hit@1, mean of the tasks, %")
    axis.legend(frameon=False)
    axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(folder / "pareto.png", dpi=110)
    plt.close(figure)

    if not _ever_thinks(found):
        (folder / "routing.png").unlink(missing_ok=True)
        return
    names = list(found["tasks"])
    places = np.arange(len(names))
    figure, axis = plt.subplots(figsize=(7, 0.42 * len(names) + 1.2))
    for shift, side in ((-0.2, "queries"), (0.2, "candidates")):
        rates = [100 * found["tasks"][name]["trigger_rate"][side] for name in names]
        axis.barh(places + shift, rates, 0.38, label=side)
    axis.set_yticks(places, names)
    axis.invert_yaxis()
    axis.set(xlabel="thought about by auto, %", xlim=(0, 100))
    axis.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(folder / "routing.png", dpi=110)
    plt.close(figure)


def _ever_thinks(found: dict[str, Any]) -> bool:
    return any(any(row["trigger_rate"].values()) for row in found["tasks"].values())


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _range(bounds: Sequence[float] | None) -> str:
    return f"{_percent(bounds[0])} to {_percent(bounds[1])}" if bounds else ""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _cost(of_tasks: Sequence[float]) -> float | None:
    """Return the mean of the tasks' costs; None where it was not run."""
    found = float(np.mean(of_tasks))
    return None if np.isnan(found) else found
