"""`ponder train`: train the parts ponder adds to a frozen backbone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from cyclopts import App

from ponder.cli.arguments import UserPath  # noqa: TC001 (read at run time)

if TYPE_CHECKING:
    from collections.abc import Callable

    from ponder.progress import Progress

C = TypeVar("C")
R = TypeVar("R")

app = App(name="train", help="Train the parts ponder adds.")

ROUTING = {
    "trigger_rate": "thinks",
    "gain_always": "always",
    "gain_auto": "auto",
    "gain_oracle": "oracle",
    "thought_tokens": "tokens",
}
"""What columns of `routing.json` are called on an 80-column terminal."""


@app.command
def align(config: UserPath, /, *, out: UserPath = Path("runs/align")) -> None:
    """Teach `nano` to see: train its connector and read-out on the Gallery.

    A killed run goes on from its last checkpoint when the same command is given again.

    Args:
        config: YAML with the recipe, such as configs/align.yaml.
        out: folder of the run: metrics.jsonl, curves.png, checkpoint, and the trained model.
    """
    from ponder.train.align import AlignConfig
    from ponder.train.align import align as run

    _print(_train(config, AlignConfig, run, out), ".1%")


@app.command
def sft(config: UserPath, /, *, out: UserPath = Path("runs/sft")) -> None:
    """Teach a model to think and to read out, on the Gallery's tasks.

    A killed run goes on from its last checkpoint when the same command is given again. To train
    on several devices, start it with accelerate's launcher.

    Args:
        config: YAML with the recipe, such as configs/sft.yaml.
        out: folder of the run: metrics.jsonl, curves.png, checkpoint, and the trained model.
    """
    from ponder.train.sft import SftConfig
    from ponder.train.sft import sft as run

    _print(_train(config, SftConfig, run, out), ".4f")


@app.command
def rl(config: UserPath, /, *, out: UserPath = Path("runs/rl")) -> None:
    """Improve a model's thoughts by the embeddings they lead to; train the gate again afterwards.

    A killed run goes on from its last checkpoint when the same command is given again.

    Args:
        config: YAML with the recipe, such as configs/rl.yaml.
        out: folder of the run: metrics.jsonl, curves.png, checkpoint, and the trained model.
    """
    from ponder.train.rl import RlConfig
    from ponder.train.rl import rl as run

    _print(_train(config, RlConfig, run, out), ".4f")


@app.command
def latent(config: UserPath, /, *, out: UserPath = Path("runs/latent")) -> None:
    """Teach a model that thinks to think in latent steps, without text.

    A killed run goes on from its last checkpoint when the same command is given again. To train
    on several devices, start it with accelerate's launcher.

    Args:
        config: YAML with the recipe, such as configs/latent.yaml.
        out: folder of the run: metrics.jsonl, curves.png, checkpoint, and the trained model.
    """
    from ponder.train.latent import LatentConfig
    from ponder.train.latent import latent as run

    _print(_train(config, LatentConfig, run, out), ".4f")


@app.command
def gate(config: UserPath, /, *, out: UserPath = Path("runs/gate")) -> None:
    """Teach a model when a thought pays, from what its own thoughts do to its own embeddings.

    Args:
        config: YAML with the recipe, such as configs/gate.yaml.
        out: folder of the run: metrics.jsonl, routing.json, and the model with its gate.
    """
    from rich import box
    from rich.table import Table

    from ponder.cli.console import stdout
    from ponder.train.gating import GateConfig, train_gate

    rows = _train(config, GateConfig, train_gate, out)
    table = Table(title="Routing on dev; gains are of the reciprocal rank", box=box.SIMPLE_HEAD)
    for name in rows[0]:
        table.add_column(ROUTING.get(name, name))
    for row in rows:
        table.add_row(*(f"{v:.3f}" if isinstance(v, float) else str(v) for v in row.values()))
    stdout.print(table)


def _train(config: Path, kind: type[C], run: Callable[[C, Path, Progress], R], out: Path) -> R:
    """Run a stage with its recipe, and say where the model is."""
    from ponder.cli.console import say, stages
    from ponder.train.config import read_config

    recipe = read_config(config, kind)
    with stages() as report:
        found = run(recipe, out, report)
    say(f"trained model: {out / 'model'}")
    return found


def _print(values: dict[str, float], style: str) -> None:
    from ponder.cli.console import say

    for name, value in values.items():
        say(f"{name}: {value:{style}}")
