"""What verbs have in common on the command line."""

from __future__ import annotations

from collections.abc import Sequence  # noqa: TC003 (read at run time)
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter, Token

from ponder.home import home
from ponder.paths import expanded


def _expand(kind: Any, tokens: Sequence[Token]) -> Path:
    return expanded(tokens[0].value)


UserPath = Annotated[Path, Parameter(converter=_expand)]
"""A path of which the shell may have left a `~` or `$NAME`, as it does in `--index=~/x`."""


def index_folder(given: Path | None) -> Path:
    """Return the folder of the index: the one given, else the one in ponder's cache folder."""
    return given or home() / "index.lance"
