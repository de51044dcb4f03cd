"""The one place that prints: results to stdout, progress and errors to stderr."""

from __future__ import annotations

import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from ponder.paths import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import TaskID

    from ponder.progress import Progress as Report

stdout = Console()
stderr = Console(stderr=True)

# What a terminal obeys, breaks a line at, or turns the writing direction by; and what is no text.
_OBEYED = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def plain(text: object) -> str:
    r"""Return text as one line that a terminal shows and does not obey.

    File names and snippets come from anywhere. Control characters, line breaks and the marks that
    turn the writing direction are written out.

    Example:
        >>> plain("a\x1b[2Jb\n")
        'a\\x1b[2Jb\\n'
    """
    line = printable(text) if isinstance(text, Path) else str(text)
    return _OBEYED.sub(lambda found: found[0].encode("unicode_escape").decode(), line)


def say(line: object) -> None:
    """Print a line of results, as it is but for what `plain` writes out."""
    stdout.print(plain(line), soft_wrap=True, highlight=False, markup=False)


def give(text: str) -> None:
    """Print text for another program, exactly as it is."""
    print(text, file=stdout.file)


def note(line: object) -> None:
    """Print a line about the results to stderr, likewise."""
    stderr.print(plain(line), soft_wrap=True, highlight=False, markup=False)


def progress() -> Progress:
    """Return a progress display on stderr; it draws nothing where stderr is no terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=stderr,
        disable=not stderr.is_terminal,
    )


@contextmanager
def stages() -> Iterator[Report]:
    """Show the stages of long work, a bar each, as `report(stage, done, total)` names them."""
    bars: dict[str, TaskID] = {}
    with progress() as display:

        def report(stage: str, done: int, total: int) -> None:
            if stage not in bars:
                bars[stage] = display.add_task(stage, total=total)
            display.update(bars[stage], completed=done, total=total)

        yield report


@contextmanager
def bar(before: str, during: str) -> Iterator[Callable[[int, int], None]]:
    """Show one bar: `before` until the first call of what is yielded, which takes (done, total)."""
    with progress() as display:
        task = display.add_task(before, total=None)
        yield lambda done, total: display.update(
            task, description=during, completed=done, total=total
        )
