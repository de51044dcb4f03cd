"""`ponder status`: say what an index holds."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ponder.cli.arguments import UserPath, index_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ponder.index.upkeep import Status


def status(
    *,
    index_dir: Annotated[UserPath | None, Parameter(name="--index")] = None,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> None:
    """Say what an index holds: folders, files, kinds, model, size, latest run and its errors.

    Args:
        index_dir: the index's folder; by default index.lance in ponder's cache folder
            ($PONDER_HOME).
        as_json: print it as a JSON object.
    """
    from dataclasses import asdict

    from ponder.cli.console import give, say
    from ponder.index.upkeep import status as look

    found = look(index_folder(index_dir))
    if as_json:
        give(json.dumps(asdict(found), indent=1))
        return
    for line in _lines(found):
        say(line)


def _lines(found: Status) -> Iterator[str]:
    from ponder.index.report import ERRORS

    yield f"index:    {found.path} ({found.bytes / 1e6:,.1f} MB)"
    for table in found.models:
        yield f"model:    {table.model} ({table.dim} dimensions, fingerprint {table.fingerprint})"
    kinds = ", ".join(
        f"{count:,} {kind}{'s' * (count != 1)}" for kind, count in found.kinds.items()
    )
    yield f"files:    {found.files:,}" + (f" ({kinds})" if kinds else "")
    if found.unfinished:
        yield f"          {found.unfinished:,} not read to the end; index again to go on"
    for i, root in enumerate(found.roots):
        gone = " (not there now)" if root in found.missing else ""
        yield f"{'' if i else 'folders:':10}{root}{gone}"
    if found.last_run:
        ended = datetime.fromtimestamp(found.last_run["ended"]).strftime("%Y-%m-%d %H:%M")
        run = {name: int(value) for name, value in found.last_run.items()}
        yield (
            f"last run: {ended}, {run['seconds']:,} s: {run['added']:,} added, "
            f"{run['changed']:,} changed, {run['unchanged']:,} unchanged, "
            f"{run['forgotten']:,} forgotten"
        )
    if told := found.errors + found.partial:
        yield f"problems: {found.errors:,} not read, {found.partial:,} in part; {told:,} reasons in"
        yield f"          {found.path}/{ERRORS}"
