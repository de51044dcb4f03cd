"""A training run's folder: its metrics as JSON lines, its checkpoint, and its curves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch

from ponder.plotting import pyplot

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

METRICS = "metrics.jsonl"
CHECKPOINT = "checkpoint.pt"


class Run:
    """The folder of one run; a killed run goes on from its last checkpoint."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def resume(self) -> dict[str, Any] | None:
        """Return the last checkpoint, or None; metrics written after it are dropped."""
        path = self.folder / CHECKPOINT
        if not path.exists():
            (self.folder / METRICS).unlink(missing_ok=True)
            return None
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        rows = [row for row in read_metrics(self.folder) if row["step"] < state["step"]]
        part = self.folder / f"{METRICS}.part"
        part.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        part.replace(self.folder / METRICS)
        return state

    def checkpoint(self, state: dict[str, Any]) -> None:
        """Keep `state`, whose `step` is the next step to do, in place of the last one."""
        part = self.folder / f"{CHECKPOINT}.part"
        torch.save(state, part)
        part.replace(self.folder / CHECKPOINT)

    def log(self, step: int, **values: float | str) -> None:
        """Append one line of metrics."""
        with (self.folder / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Return a run's metrics, one dict a line."""
    lines = (folder / METRICS).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def plot(rows: Iterable[dict[str, Any]], path: Path) -> None:
    """Draw every metric over the steps into one picture.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    plt = pyplot("curves")
    rows = list(rows)
    names = sorted({k for row in rows for k, v in row.items() if isinstance(v, float)})
    figure, axes = plt.subplots(len(names), 1, figsize=(8, 2.2 * len(names)), sharex=True)
    for axis, name in zip([axes] if len(names) == 1 else axes, names, strict=True):
        points = [(row["step"], row[name]) for row in rows if name in row]
        axis.plot(*zip(*points, strict=True), linewidth=1)
        axis.set_ylabel(name)
        axis.grid(alpha=0.3)
    axes[-1].set_xlabel("step")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
