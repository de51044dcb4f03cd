"""`python small_ponder.py ARGUMENTS`: the command line with the small encoder as its model."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1] / "index"))
from colours import Colours

import ponder
from ponder.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator


class Slow(Colours):
    """Takes `$DELAY_S` for an item."""

    def stream(self, *items: Any, **options: Any) -> Iterator[Any]:
        for result in super().stream(*items, **options):
            time.sleep(float(os.environ.get("DELAY_S", "0")))
            yield result


if __name__ == "__main__":
    vars(ponder)["load"] = Slow
    main()
