"""`python run_index.py INDEX FOLDER DELAY_S`: one indexing run that a test can kill."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from colours import Colours

from ponder.index import ingest
from ponder.index.index import Index

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np

    from ponder.engine.trace import Trace


class Slow(Colours):
    """Takes its time, and like a real model reads a window ahead of what it yields."""

    def __init__(self, delay_s: float) -> None:
        super().__init__()
        self._delay_s = delay_s

    def stream(
        self, items: Iterable[tuple[Any, Any]], **options: Any
    ) -> Iterator[tuple[Any, np.ndarray, Trace]]:
        window = []
        for pair in items:
            window.append(pair)
            if len(window) == 7:
                yield from self._slowly(window, options)
                window = []
        yield from self._slowly(window, options)

    def _slowly(
        self, window: list[Any], options: dict[str, Any]
    ) -> Iterator[tuple[Any, np.ndarray, Trace]]:
        for pair in super().stream(window, **options):
            time.sleep(self._delay_s)
            yield pair


if __name__ == "__main__":
    ingest.COMMIT_S = 0.05  # many small commits, so that kills fall into them
    report = Index(sys.argv[1], Slow(float(sys.argv[3]))).add(sys.argv[2])
    print(report.embedded, len(report.skipped))  # noqa: T201
