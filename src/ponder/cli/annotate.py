"""`ponder annotate`: have a teacher write thoughts for training pairs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ponder.cli.arguments import UserPath  # noqa: TC001 (read at run time)
from ponder.train.annotate import AnnotateConfig  # noqa: TC001 (read at run time)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ponder.train.annotate import Report


def annotate(
    source: UserPath,
    target: UserPath,
    /,
    *,
    config: Annotated[AnnotateConfig, Parameter(name="*")],
    root: Annotated[list[str] | None, Parameter(negative="")] = None,
) -> None:
    """Write thoughts for training pairs with any OpenAI-compatible chat endpoint.

    The API key is taken from $OPENAI_API_KEY, if it is set. Run it again after a kill: what is
    finished is not done again. Records that failed or were rejected go to errors.jsonl beside
    TARGET; delete it to try them again.

    Args:
        source: the pairs, a JSON list or one object a line.
        target: the JSONL file to write or to go on with.
        config: the teacher and how to ask it.
        root: SCHEME=FOLDER, where the media of scheme:// lie; a FOLDER alone is that of paths
            without a scheme, by default SOURCE's. Give it once for each scheme.
    """
    from ponder.cli.console import progress, say
    from ponder.train.annotate import ERRORS
    from ponder.train.annotate import annotate as run
    from ponder.train.records import read_root

    report: Report | None = None
    try:
        with progress() as display:
            task = display.add_task("Annotating", total=None)

            def tell(counts: Report) -> None:
                nonlocal report
                report = counts
                display.update(task, completed=counts.records.total())

            roots = dict(map(read_root, root or []))
            key = os.environ.get("OPENAI_API_KEY", "").strip() or None
            report = run(source, target, config, roots=roots, api_key=key, tell=tell)
    finally:  # also after Ctrl-C, since what was spent was spent
        if report is not None:
            for line in _lines(report, config, target.with_name(ERRORS)):
                say(line)


def _lines(report: Report, config: AnnotateConfig, errors: Path) -> Iterator[str]:
    """Return the closing report."""
    told = []
    for outcome in ("accepted", "rejected", "failed"):
        blind, sighted = report.records[outcome, "blind"], report.records[outcome, "sighted"]
        told.append(f"{blind + sighted} {outcome} ({blind} blind, {sighted} sighted)")
    yield ", ".join(told)
    yield f"{report.finished} finished before, {report.repeated} repeated, {report.bad} bad rows"
    price = f", cost {report.cost(config):.2f}" if config.price_in or config.price_out else ""
    tokens = f"{report.tokens_in:,} tokens in, {report.tokens_out:,} out{price}"
    yield f"{tokens}, in {report.seconds:.1f} s"
    if report.bad or any(outcome != "accepted" for outcome, _ in report.records):
        yield f"reasons are in {errors}"
