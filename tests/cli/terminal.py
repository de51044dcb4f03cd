"""The command line as a person meets it: in a terminal of so many columns, or in a pipe."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SCRIPT = Path(__file__).with_name("small_ponder.py")
DEADLINE_S = 60
_STYLES = re.compile(r"\x1b\[[0-9;]*m")


def command(*arguments: object) -> list[str]:
    return [sys.executable, str(SCRIPT), *map(str, arguments)]


def piped(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run it in a pipe."""
    return subprocess.run(
        command(*arguments),
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def in_terminal(
    *arguments: object,
    columns: int = 80,
    during: Callable[[subprocess.Popen[bytes], str], None] = lambda process, screen: None,
    **environment: str,
) -> tuple[int, str]:
    """Run it in a pseudo-terminal.

    Args:
        arguments: of the command.
        columns: of the terminal.
        during: called with the process and all output so far, whenever there is more.
        environment: variables beside those of this process.

    Returns:
        The exit status, and all output, styles and all.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    process = subprocess.Popen(
        command(*arguments),
        env=os.environ | {"TERM": "xterm-256color"} | environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # Ctrl-C typed is a signal
    )
    os.close(theirs)
    output, deadline = b"", time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        if not select.select([ours], [], [], 0.05)[0]:
            continue
        try:
            output += os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        during(process, output.decode("utf-8", "replace"))
    else:
        process.kill()
    os.close(ours)
    return process.wait(), output.decode("utf-8", "replace").replace("\r\n", "\n")


def unstyled(screen: str) -> str:
    """Return a screen's text without colours."""
    return _STYLES.sub("", screen)
