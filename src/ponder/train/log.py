"""A training run's folder: its metrics as JSON lines, its checkpoint, and its curves."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch

from ponder.errors import ConfigError
from ponder.plotting import pyplot

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from _typeshed import DataclassInstance

METRICS = "metrics.jsonl"
CHECKPOINT = "checkpoint.pt"


class Run:
    """The folder of one run; a killed run goes on from its last checkpoint.

    Args:
        folder: of the run; made if missing.
        recipe: the stage's configuration, which lies in every checkpoint.

    Raises:
        ConfigError: the folder has a checkpoint of another recipe, which this one must not take
            for its own.
    """

    def __init__(self, folder: Path, recipe: DataclassInstance) -> None:
        self.folder = folder
        self._recipe = asdict(recipe)
        folder.mkdir(parents=True, exist_ok=True)
        if state := self._read():
            self._check(state.get("recipe"))

    def resume(self) -> dict[str, Any] | None:
        """Return the last checkpoint, or None; metrics written after it are dropped."""
        state = self._read()
        if state is None:
            (self.folder / METRICS).unlink(missing_ok=True)
            return None
        rows = [row for row in read_metrics(self.folder) if row["step"] < state["step"]]
        part = self.folder / f"{METRICS}.part"
        part.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        part.replace(self.folder / METRICS)
        return state

    def checkpoint(self, state: dict[str, Any]) -> None:
        """Keep `state`, whose `step` is the next step to do, in place of the last one."""
        part = self.folder / f"{CHECKPOINT}.part"
        torch.save(state | {"recipe": self._recipe}, part)
        part.replace(self.folder / CHECKPOINT)

    def log(self, step: int, **values: float | str) -> None:
        """Append one line of metrics."""
        with (self.folder / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")

    def _read(self) -> dict[str, Any] | None:
        path = self.folder / CHECKPOINT
        if not path.exists():
            return None
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return state

    def _check(self, kept: dict[str, Any] | None) -> None:
        if kept == self._recipe:
            return
        if kept is None:
            what = "says nothing of its recipe, as those of earlier versions"
        else:
            key = next(k for k in kept | self._recipe if kept.get(k) != self._recipe.get(k))
            what = f"is of another recipe: {key} is {kept.get(key)!r} there and "
            what += f"{self._recipe.get(key)!r} now"
        raise ConfigError(
            f"{self.folder / CHECKPOINT} {what}; train into another folder with --out, or delete "
            "the checkpoint to start again"
        )


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
