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
