"""`ponder gallery`: build the Gallery data set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ponder.cli.arguments import UserPath  # noqa: TC001 (read at run time)

if TYPE_CHECKING:
    from pathlib import Path


def gallery(
    *,
    part: Literal["demo", "full"] = "demo",
    out: UserPath | None = None,
    tasks: bool = False,
) -> None:
    """Build the Gallery from pinned packages, fetched through your own package clients.

    Args:
        part: `demo` is emoji in two styles and needs npm; `full` adds stamps and clip art and
            needs a Debian system too.
        out: where to; the cache folder by default. A second call is instant.
        tasks: build the tasks too, of the part `full`, into the cache folder.
    """
    from ponder.cli.console import say, stages
    from ponder.gallery import build, default_folder
    from ponder.gallery.shards import read_manifest

    part = "full" if tasks else part
    with stages() as report:
        folder = build(part, out or default_folder(part), report)
    say(folder)
    manifest = read_manifest(folder)
    for split, counts in manifest["counts"].items():
        styles = ", ".join(f"{rows:,} {style}" for style, rows in counts["styles"].items())
        say(f"{split}: {counts['rows']:,} pictures of {counts['concepts']:,} concepts ({styles})")
    for reason, count in manifest["left_out"].items():
        say(f"left out, {reason}: {count:,}")
    if tasks:
        _tasks(folder)


def _tasks(gallery: Path) -> None:
    from ponder.cli.console import say, stages
    from ponder.gallery.tasks import build_tasks, default_folder
    from ponder.gallery.tasks.schema import read_manifest

    with stages() as report:
        folder = build_tasks(gallery, default_folder(), report)
    say(folder)
    for name, splits in read_manifest(folder)["counts"].items():
        counts = ", ".join(
            f"{split} {count['easy']:,} easy {count['hard']:,} hard of {count['candidates']:,}"
            for split, count in splits.items()
        )
        say(f"{name}: {counts}")
