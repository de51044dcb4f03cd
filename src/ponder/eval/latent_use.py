"""Which experts latent steps use, task by task, and how far each step moves the state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ponder.eval.both_ways import BothWays

FIGURE = "latent.png"


def latent_use(tasks: Sequence[BothWays], experts: int) -> dict[str, dict[str, list[float]]]:
    """Return what latent steps did, for each task.

    Args:
        tasks: embedded with latent steps.
        experts: N, how many there are to choose from.

    Returns:
        By task: `experts`, the share (N) of all choices that fell on each, and `cosines`, the mean
        cosine (K) between the states before and after each step.
    """
    found = {}
    for task in tasks:
        sides = (task.queries, task.candidates)
        chosen = np.concatenate([side.experts.ravel() for side in sides])
        counts = np.bincount(chosen, minlength=experts)
        cosines = np.concatenate([side.cosines for side in sides])
        found[task.task] = {
            "experts": (counts / max(1, counts.sum())).tolist(),
            "cosines": cosines.mean(axis=0).tolist(),
        }
    return found


def draw_latent_use(plt: Any, found: dict[str, dict[str, list[float]]], folder: Path) -> None:
    """Draw both side by side into `folder/latent.png`."""
    shares = np.array([row["experts"] for row in found.values()])
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 0.34 * len(found) + 1.6))
    if shares.size:
        image = left.imshow(100 * shares, cmap="Blues", vmin=0, aspect="auto")
        figure.colorbar(image, ax=left, label="of a task's choices, %")
    left.set_xticks(range(shares.shape[1]))
    left.set_yticks(range(len(found)), list(found))
    left.set(xlabel="expert")
    right.set_prop_cycle(color=plt.get_cmap("tab20").colors)  # more tasks than colours by default
    right.xaxis.get_major_locator().set_params(integer=True)
    for task, row in found.items():
        right.plot(range(1, len(row["cosines"]) + 1), row["cosines"], "o-", ms=3, label=task)
    right.set(xlabel="latent step", ylabel="cosine to the state before")
    right.grid(alpha=0.3)
    right.legend(frameon=False, fontsize=6)
    figure.tight_layout()
    figure.savefig(folder / FIGURE, dpi=110)
    plt.close(figure)
