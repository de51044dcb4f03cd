"""`ponder gallery`: build the Gallery data set."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (cyclopts reads the annotation)
from typing import Literal


def gallery(*, part: Literal["demo", "full"] = "demo", out: Path | None = None) -> None:
    """Build the Gallery from pinned packages, fetched through your own package clients.

    Args:
        part: `demo` is emoji in two styles and needs npm; `full` adds stamps and clip art and
            needs a Debian system too.
        out: where to; the cache folder by default. A second call is instant.
    """
    from ponder.cli.console import progress, stdout
    from ponder.gallery import build, default_folder
    from ponder.gallery.shards import read_manifest

    with progress() as display:
        stages = {
            stage: display.add_task(stage, start=False, total=None) for stage in ("fetch", "render")
        }

        def show(stage: str, done: int, total: int) -> None:
            display.start_task(stages[stage])
            display.update(stages[stage], completed=done, total=total)

        folder = build(part, out or default_folder(part), show)
    stdout.print(str(folder), soft_wrap=True, highlight=False)
    manifest = read_manifest(folder)
    for split, counts in manifest["counts"].items():
        styles = ", ".join(f"{rows:,} {style}" for style, rows in counts["styles"].items())
        stdout.print(
            f"{split}: {counts['rows']:,} pictures of {counts['concepts']:,} concepts ({styles})",
            soft_wrap=True,
            highlight=False,
        )
    for reason, count in manifest["left_out"].items():
        stdout.print(f"left out, {reason}: {count:,}", highlight=False)
