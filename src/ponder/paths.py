"""Paths as people write them, and as they are printed."""

from __future__ import annotations

import os
from pathlib import Path


def expanded(path: Path | str) -> Path:
    """Return the path with a leading `~` or `~user` and every `$NAME` put in full, as a shell does.

    A path that exists as it is written is taken as it is, for a file may be called `$a` or `~`.
    """
    if os.path.lexists(path):
        return Path(path)
    return Path(os.path.expandvars(os.path.expanduser(path)))  # noqa: PTH111 (bears unknown users)


def printable(path: Path | str) -> str:
    """Return the path as valid Unicode, other bytes written out in hex."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
