"""`ponder gallery`: build the Gallery data set."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (cyclopts reads the annotation)
from typing import Literal


def gallery(
    *,
    part: Literal["demo", "full"] = "demo",
    out: Path | None = None,
    tasks: bool = False,
) -> None:
    """Build the Gallery from pinned packages, fetched through your own package clients.

    Args:
        part: `demo` is emoji in two styles and needs npm; `full` adds stamps and clip art and
            needs a Debian system too.
        out: where to; the cache folder by default. A second call is instant.
        tasks: build the tasks too, of the part `full`, into the cache folder.
    """
    from ponder.cli.console import stages, stdout
    from ponder.gallery import build, default_folder
    from ponder.gallery.shards import read_manifest

    part = "full" if tasks else part
    with stages() as report:
        folder = build(part, out or default_folder(part), report)
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
    if tasks:
        _tasks(folder)


def _tasks(gallery: Path) -> None:
    from ponder.cli.console import stages, stdout
    from ponder.gallery.tasks import build_tasks, default_folder
    from ponder.gallery.tasks.schema import read_manifest

    with stages() as report:
        folder = build_tasks(gallery, default_folder(), report)
    stdout.print(str(folder), soft_wrap=True, highlight=False)
    for name, splits in read_manifest(folder)["counts"].items():
        counts = ", ".join(
            f"{split} {count['easy']:,} easy {count['hard']:,} hard of {count['candidates']:,}"
            for split, count in splits.items()
        )
        stdout.print(f"{name}: {counts}", soft_wrap=True, highlight=False)
