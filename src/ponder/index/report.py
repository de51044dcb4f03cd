"""What a run did, and what it could not do."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from ponder.paths import printable

if TYPE_CHECKING:
    from pathlib import Path

    from ponder.index.files import Skipped


ERRORS = "errors.parquet"


@dataclass
class Report:
    """What a run did, in files unless it says otherwise.

    Attributes:
        added: new in the index.
        changed: had rows and have other ones now.
        unchanged: not read, being as they were.
        forgotten: gone, or no longer readable.
        ignored: how many of each suffix that ponder does not read, and how many are hidden; as in
            `Found`.
        embedded: units that went through the model.
        thought: units it thought about first.
        thought_tokens: how long those thoughts are together.
        skipped: what is not in the index though it lies under the paths, with the reason.
        absent: folders that seem to be on a drive that is not mounted, each with the reason; the
            files under them are kept.
        partial: what is in the index only in part, and what was left out when it was read.
        seconds: how long the run took.
    """

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    forgotten: int = 0
    ignored: Counter[str] = field(default_factory=Counter)
    embedded: int = 0
    thought: int = 0
    thought_tokens: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    absent: list[Skipped] = field(default_factory=list)
    partial: list[Skipped] = field(default_factory=list)
    seconds: float = 0.0

    def counts(self) -> dict[str, float]:
        """Return all but the lists, by name."""
        named = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: value for name, value in named if isinstance(value, int | float)}


def write_errors(report: Report, path: Path) -> None:
    """Write what was skipped, and what is in only in part, in place of what the file holds."""
    told = report.skipped + report.partial
    columns = {
        "path": [printable(one.path) for one in told],
        "raw_path": [os.fsencode(one.path) for one in told],
        "reason": [printable(one.reason) for one in told],
        "is_partial": [False] * len(report.skipped) + [True] * len(report.partial),
    }
    schema = pa.schema(
        [
            ("path", pa.string()),
            ("raw_path", pa.binary()),
            ("reason", pa.string()),
            ("is_partial", pa.bool_()),
        ]
    )
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    pq.write_table(pa.table(columns, schema=schema), unfinished)
    unfinished.replace(path)
