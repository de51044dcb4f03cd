"""What a saved model tells of a stage it was trained in, so that it can be done again."""

from __future__ import annotations

import subprocess
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ponder.packages import sha256

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from _typeshed import DataclassInstance

PACKAGES = ("ponder", "torch", "transformers")


def stage_record(
    name: str, recipe: DataclassInstance, values: Mapping[str, float], data: Iterable[Path]
) -> dict[str, Any]:
    """Return the record of a stage.

    Args:
        name: of the stage, as on the command line.
        recipe: its configuration.
        values: its last losses, and what was measured on dev.
        data: files that say what it learnt from: a data set's manifest, files of records.

    Returns:
        `stage`, `recipe`, `values`, `versions` of packages, the `commit` of ponder's checkout if it
        runs from one, and `data`, the sha256 of each file by its name.
    """
    return {
        "stage": name,
        "recipe": asdict(recipe),
        "values": dict(values),
        "versions": {package: _version(package) for package in PACKAGES},
        "commit": _commit(),
        "data": {f"{path.parent.name}/{path.name}": sha256(path) for path in data},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Return the commit that ponder runs from; None where it is installed without its checkout."""
    here = Path(__file__).parent
    command = ["git", "-C", str(here), "ls-files", "--error-unmatch", Path(__file__).name]
    try:
        subprocess.run(command, check=True, capture_output=True)
        found = subprocess.run(
            ["git", "-C", str(here), "rev-parse", "HEAD"],
            check=True,
            capture_output=True,
            text=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()
