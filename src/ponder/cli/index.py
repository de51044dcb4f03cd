"""`ponder index`: make files searchable."""

from __future__ import annotations

import sys
from pathlib import Path  # noqa: TC003 (read at run time, for the command line)
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ponder.engine.trace import ThinkMode  # noqa: TC001 (read at run time, for the command line)
from ponder.home import home

if TYPE_CHECKING:
    from ponder.index.report import Report

SHOWN = 20  # skipped files listed; the rest is in errors.parquet


def index(
    *paths: Path,
    index_dir: Annotated[Path | None, Parameter(name="--index")] = None,
    model: str = "nano",
    think: ThinkMode = "never",
    re_embed: Annotated[bool, Parameter(negative=())] = False,
    strict: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Index pictures, PDF pages, videos and texts, so that they can be searched.

    Run it again at any time, also after a kill: only what is new or changed is embedded, and what
    is gone from under PATH is forgotten. Hidden files are left out. Files that cannot be read are
    skipped and listed, here and in errors.parquet in the index's folder.

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
    from ponder.cli.console import progress, stdout
    from ponder.errors import PonderError
    from ponder.index.index import ERRORS

    if bool(paths) == re_embed:
        raise PonderError("give the PATHs to index, or --re-embed alone")
    folder = index_dir or home() / "index.lance"
    encoder = ponder.load(model)
    with progress() as display:
        task = display.add_task("Indexing", total=None)

        def tell(done: int, total: int) -> None:
            display.update(task, completed=done, total=total)

        if re_embed:
            report = ponder.Index.re_embed(folder, encoder, think=think, tell=tell)
        else:
            report = ponder.Index(folder, encoder).add(paths, think=think, tell=tell)
    for line in _lines(report, folder, ERRORS):
        stdout.print(line, soft_wrap=True, highlight=False, markup=False)
    if strict and report.skipped:
        sys.exit(1)


def _lines(report: Report, folder: Path, errors: str) -> list[str]:
    """Return the closing report."""
    from ponder.paths import printable

    rate = report.embedded / report.seconds if report.seconds else 0.0
    lines = [
        f"{report.added} added, {report.changed} changed, {report.unchanged} unchanged, "
        f"{report.forgotten} forgotten, {len(report.skipped)} skipped, {report.ignored} of other "
        "kinds",
        f"{report.embedded} embedded in {report.seconds:.1f} s ({rate:.1f}/s) into "
        f"{printable(folder)}",
    ]
    if report.thought:
        each = report.thought_tokens / report.thought
        lines.append(f"{report.thought} thought about first, {each:.0f} tokens each")
    if report.skipped:
        lines.append("Skipped:")
        lines += [
            f"  {printable(one.path)}: {printable(one.reason)}" for one in report.skipped[:SHOWN]
        ]
    if len(report.skipped) > SHOWN:
        lines.append(f"  and {len(report.skipped) - SHOWN} more, in {printable(folder / errors)}")
    return lines
