"""`ponder train`: train the parts ponder adds to a frozen backbone."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

app = App(name="train", help="Train the parts ponder adds.")


@app.command
def align(config: Path, /, *, out: Path = Path("runs/align")) -> None:
    """Teach `nano` to see: train its connector and read-out on the Gallery.

    A killed run goes on from its last checkpoint when the same command is given again.

    Args:
        config: YAML with the recipe, such as configs/align.yaml.
        out: folder of the run: metrics.jsonl, curves.png, checkpoint, and the trained model.
    """
    from ponder.cli.console import stages, stdout
    from ponder.train.align import AlignConfig
    from ponder.train.align import align as run
    from ponder.train.config import read_config

    recipe = read_config(config, AlignConfig)
    with stages() as report:
        scores = run(recipe, out, report)
    stdout.print(f"trained model: {out / 'model'}", soft_wrap=True, highlight=False)
    for name, value in scores.items():
        stdout.print(f"{name}: {value:.1%}", highlight=False)


@app.command
def sft(config: Path, /, *, out: Path = Path("runs/sft")) -> None:
    """Teach a model to think and to read out, on the Gallery's tasks.

    A killed run goes on from its last checkpoint when the same command is given again. To train
    on several devices, start it with accelerate's launcher.

    Args:
        config: YAML with the recipe, such as configs/sft.yaml.
        out: folder of the run: metrics.jsonl, curves.png, checkpoint, and the trained model.
    """
    from ponder.cli.console import stages, stdout
    from ponder.train.config import read_config
    from ponder.train.sft import SftConfig
    from ponder.train.sft import sft as run

    recipe = read_config(config, SftConfig)
    with stages() as report:
        values = run(recipe, out, report)
    stdout.print(f"trained model: {out / 'model'}", soft_wrap=True, highlight=False)
    for name, value in values.items():
        stdout.print(f"{name}: {value:.4f}", highlight=False)


@app.command
def rl(config: Path, /, *, out: Path = Path("runs/rl")) -> None:
    """Improve a model's thoughts by the embeddings they lead to; train the gate again afterwards.

    A killed run goes on from its last checkpoint when the same command is given again.

    Args:
        config: YAML with the recipe, such as configs/rl.yaml.
        out: folder of the run: metrics.jsonl, curves.png, checkpoint, and the trained model.
    """
    from ponder.cli.console import stages, stdout
    from ponder.train.config import read_config
    from ponder.train.rl import RlConfig
    from ponder.train.rl import rl as run

    recipe = read_config(config, RlConfig)
    with stages() as report:
        values = run(recipe, out, report)
    stdout.print(f"trained model: {out / 'model'}", soft_wrap=True, highlight=False)
    for name, value in values.items():
        stdout.print(f"{name}: {value:.4f}", highlight=False)


@app.command
def gate(config: Path, /, *, out: Path = Path("runs/gate")) -> None:
    """Teach a model when a thought pays, from what its own thoughts do to its own embeddings.

    Args:
        config: YAML with the recipe, such as configs/gate.yaml.
        out: folder of the run: metrics.jsonl, routing.json, and the model with its gate.
    """
    from rich import box
    from rich.table import Table

    from ponder.cli.console import stages, stdout
    from ponder.train.config import read_config
    from ponder.train.gating import GateConfig, train_gate

    recipe = read_config(config, GateConfig)
    with stages() as report:
        rows = train_gate(recipe, out, report)
    table = Table(title="Routing on dev; gains are of the reciprocal rank", box=box.SIMPLE_HEAD)
    for name in rows[0]:
        table.add_column(name.replace("_", " "))
    for row in rows:
        table.add_row(*(f"{v:.3f}" if isinstance(v, float) else str(v) for v in row.values()))
    stdout.print(table)
    stdout.print(f"trained model: {out / 'model'}", soft_wrap=True, highlight=False)
