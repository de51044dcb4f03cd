"""`ponder forget`: drop files from an index."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from ponder.cli.arguments import UserPath, index_folder


def forget(
    *paths: UserPath,
    index_dir: Annotated[UserPath | None, Parameter(name="--index")] = None,
) -> None:
    """Drop files and folders from an index, whether they still exist or not.

    The files themselves are left alone. What still lies under a folder that is indexed comes back
    the next time that folder is indexed.

    Args:
        paths: files, and folders with all below them.
        index_dir: the index's folder; by default index.lance in ponder's cache folder
            ($PONDER_HOME).
    """
    from ponder.cli.console import say
    from ponder.errors import PonderError
    from ponder.index.upkeep import forget as run

    if not paths:
        raise PonderError("give the PATHs to forget; `ponder status` lists what is indexed")
    folder = index_folder(index_dir)
    count = run(folder, paths)
    say(f"{count:,} file{'s' if count != 1 else ''} forgotten")
