"""`ponder embed`: JSONL in, Parquet out."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ponder.cli.arguments import UserPath  # noqa: TC001 (read at run time)
from ponder.engine.trace import ThinkMode  # noqa: TC001 (read at run time, for the command line)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ponder.index.jsonl import EmbedReport

SHOWN = 5  # bad lines listed; the rest is in the file of errors


def embed(
    source: UserPath,
    target: UserPath,
    /,
    *,
    model: str = "nano",
    think: ThinkMode = "never",
    strict: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Embed each line of a JSONL file into a row of a Parquet file.

    A line is an object with any of text, image, video, document, page, instruction and an optional
    id; the third line goes by "line 3" if it has none. The columns are id, line, item, what
    happened to it (mode, gate, thought, tokens, times) and vector. Run it again after a kill or
    with more lines: finished ids are not embedded again. Bad lines of out.parquet are listed in
    out.errors.parquet; if no line could be embedded, the exit code is 1.

    Args:
        source: the JSONL file; media paths in it are taken from the working folder.
        target: the Parquet file to write or to go on with.
        model: a model's name or folder.
        think: which lines to think about first; auto leaves it to the model's gate.
        strict: exit with 1 if any line is bad.
    """
    import ponder
    from ponder.cli.console import note, progress, say
    from ponder.index.jsonl import embed_jsonl

    done = 0
    try:
        encoder = ponder.load(model)
        with progress() as display:
            task = display.add_task("Embedding", total=None)

            def tell(so_far: int) -> None:
                nonlocal done
                done = so_far
                display.update(task, completed=done)

            report = embed_jsonl(source, target, encoder, think=think, tell=tell)
    except KeyboardInterrupt:
        note(f"Stopped: {done:,} rows are done and kept; the same command goes on from there.")
        raise
    for line in _lines(report, target):
        say(line)
    if report.bad and (strict or not report.embedded + report.finished):
        sys.exit(1)


def _lines(report: EmbedReport, target: Path) -> Iterator[str]:
    """Yield the closing report."""
    from ponder.index.jsonl import errors_of
    from ponder.paths import printable

    yield f"{report.embedded} embedded, {report.finished} finished before, {len(report.bad)} bad"
    if report.cut:
        yield f"{report.cut} longer than the model reads, and cut: see the column cut_tokens"
    for line in list(report.bad)[:SHOWN]:
        yield f"  line {line}: {report.bad[line]}"
    if len(report.bad) > SHOWN:
        yield f"  and {len(report.bad) - SHOWN} more, in {printable(errors_of(target))}"
