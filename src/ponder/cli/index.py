"""`ponder index`: make files searchable."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ponder.cli.arguments import UserPath, index_folder
from ponder.engine.trace import ThinkMode  # noqa: TC001 (read at run time, for the command line)

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator
    from pathlib import Path

    from ponder.index.files import Skipped
    from ponder.index.report import Report

SHOWN = 20  # files listed that were skipped, or are in only in part; all are in errors.parquet
TOGETHER = 5  # more files of one reason than this share a line
SUFFIXES_SHOWN = 8


def index(
    *paths: UserPath,
    index_dir: Annotated[UserPath | None, Parameter(name="--index")] = None,
    model: str = "nano",
    think: ThinkMode = "never",
    re_embed: Annotated[bool, Parameter(negative=())] = False,
    strict: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Index pictures, PDF pages, videos and texts, so that they can be searched.

    Run it again at any time, also after a kill: only what is new or changed is embedded, and what
    is gone from under PATH is forgotten. Hidden files and installed packages (node_modules, Python
    environments) are left out. Files that cannot be read are skipped and listed, here and in
    errors.parquet in the index's folder; so are those of which something was left out. Ctrl-C
    keeps what is done.

    Args:
        paths: files, and folders with all below them.
        index_dir: the index's folder; by default index.lance in ponder's cache folder
            ($PONDER_HOME).
        model: a model's name or folder.
        think: which of what is embedded now to think about first; auto leaves it to the model's
            gate. Thoughts are kept beside the vectors.
        re_embed: embed every file of the index again, with another model than before.
        strict: exit with 1 if anything was skipped.
    """
    import ponder
    from ponder.cli.console import bar, note, say
    from ponder.errors import PonderError
    from ponder.index.folder import check_folder

    if bool(paths) == re_embed:
        raise PonderError("give the PATHs to index, or --re-embed alone")
    folder = index_folder(index_dir)
    check_folder(folder)
    done = total = 0
    try:
        encoder = ponder.load(model)
        with bar("Looking for files", "Indexing") as show:

            def tell(so_far: int, in_all: int) -> None:
                nonlocal done, total
                done, total = so_far, in_all
                show(done, total)

            if re_embed:
                report = ponder.Index.re_embed(folder, encoder, think=think, tell=tell)
            else:
                report = ponder.Index(folder, encoder).add(paths, think=think, tell=tell)
    except KeyboardInterrupt:
        note(
            f"Stopped: {done:,} of {total:,} files are in the index; the same command goes on "
            "from there."
            if total
            else "Stopped before anything was read; nothing is changed."
        )
        raise
    for line in _lines(report, folder):
        say(line)
    if strict and report.skipped:
        sys.exit(1)


def _lines(report: Report, folder: Path) -> Iterator[str]:
    """Yield the closing report."""
    from ponder.index.folder import index_flag
    from ponder.index.report import ERRORS
    from ponder.paths import printable

    rate = report.embedded / report.seconds if report.seconds else 0.0
    yield (
        f"{report.added} added, {report.changed} changed, {report.unchanged} unchanged, "
        f"{report.forgotten} forgotten, {len(report.skipped)} skipped, {_ignored(report.ignored)}"
    )
    yield (
        f"{report.embedded} embedded in {report.seconds:.1f} s ({rate:.1f}/s) into "
        f"{printable(folder)}"
    )
    if report.thought:
        each = report.thought_tokens / report.thought
        yield f"{report.thought} thought about first, {each:.0f} tokens each"
    for one in report.absent:
        yield (
            f"Kept, as a drive may not be mounted: {printable(one.path)}: {one.reason}. To drop "
            f"them: ponder forget {shlex.quote(printable(one.path))} {index_flag(folder)}"
        )
    for title, told in (("Skipped:", report.skipped), ("In part:", report.partial)):
        if told:
            yield title
        listed = _by_reason(told)
        yield from listed[:SHOWN]
        if len(listed) > SHOWN:
            yield f"  and {len(listed) - SHOWN} more, in {printable(folder / ERRORS)}"


def _by_reason(told: list[Skipped]) -> list[str]:
    """Return a line for each file, but one for all where many have the same reason."""
    from ponder.paths import printable

    by_reason: dict[str, list[str]] = {}
    for one in told:
        by_reason.setdefault(printable(one.reason), []).append(printable(one.path))
    lines = []
    for reason, paths in by_reason.items():
        if len(paths) > TOGETHER:
            lines.append(f"  {len(paths)} files, {paths[0]} and others: {reason}")
        else:
            lines += [f"  {path}: {reason}" for path in paths]
    return lines


def _ignored(counts: Counter[str]) -> str:
    """Say how many files of which suffixes are not read, and what else is left out."""
    from ponder.index.files import HIDDEN, INSTALLED

    suffixes = {name: count for name, count in counts.items() if name not in (HIDDEN, INSTALLED)}
    by_count = sorted(suffixes.items(), key=lambda one: (-one[1], not one[0], one[0]))
    shown, rest = by_count[:SUFFIXES_SHOWN], by_count[SUFFIXES_SHOWN:]
    parts = [f"{count} {suffix or 'without a suffix'}" for suffix, count in shown]
    if rest:
        parts.append(f"{sum(count for _, count in rest)} of {len(rest)} more suffixes")
    line = f"{sum(suffixes.values())} of other kinds"
    line += f": {', '.join(parts)}" if parts else ""
    line += f"; {counts[HIDDEN]} hidden" if counts[HIDDEN] else ""
    return line + (f"; {counts[INSTALLED]} folders of {INSTALLED}" if counts[INSTALLED] else "")
