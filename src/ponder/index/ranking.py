"""Finding the rows nearest to a query: exactly while they are few, by codes beyond that."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ponder.index.codes import Codes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from ponder.index.store import Store

    Ranked = tuple[NDArray[np.int64], NDArray[np.float32]]

EXACT_ROWS = 20_000  # up to here every vector is held in memory and a product takes 6 ms
RESCORED = 640  # candidates scored exactly, at least
RESCORED_PER_HIT = 16


class Ranking(Protocol):
    """Ranks the rows of one version of a store."""

    def top(self, query: NDArray[np.float32], k: int) -> Ranked:
        """Return positions and cosines of the `k` best rows, best first."""


def open_ranking(store: Store, folder: Path, dim: int) -> Ranking:
    """Choose a ranking by size and load what it needs.

    Codes are kept in `folder`, for a store's current version only; they are built again whenever
    they are missing, old or damaged.
    """
    if sum(batch.num_rows for batch in store.scan(["part"])) <= EXACT_ROWS:
        return Exact(np.concatenate([np.empty((0, dim), np.float32), *vectors(store)]))
    path = folder / f"codes-{store.version()}.npz"
    try:
        codes = Codes.load(path)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        codes = Codes.build(lambda: vectors(store), dim)
        codes.save(path)
        for old in folder.glob("codes-*.npz"):
            if old != path:
                old.unlink(missing_ok=True)
    return Coded(codes, store)


def vectors(store: Store) -> Iterator[NDArray[np.float32]]:
    """Read all vectors, in blocks (n, D)."""
    for batch in store.scan(["vector"]):
        column = batch.column("vector")
        yield column.flatten().to_numpy().reshape(len(column), column.type.list_size)


class Exact:
    """Every vector in memory, one product."""

    def __init__(self, rows: NDArray[np.float32]) -> None:
        self._rows = rows

    def top(self, query: NDArray[np.float32], k: int) -> Ranked:
        """See `Ranking`."""
        scores = self._rows @ query
        best = _best(scores, k)
        return best, scores[best]


class Coded:
    """Codes in memory, the exact vectors of the likeliest rows from the store."""

    def __init__(self, codes: Codes, store: Store) -> None:
        self._codes = codes
        self._store = store

    def top(self, query: NDArray[np.float32], k: int) -> Ranked:
        """See `Ranking`."""
        likely = np.sort(_best(self._codes.scores(query), max(RESCORED, RESCORED_PER_HIT * k)))
        column = self._store.take(likely, ["vector"]).column("vector").combine_chunks()
        scores = column.flatten().to_numpy().reshape(len(likely), len(query)) @ query
        best = _best(scores, k)
        return likely[best], scores[best]


def _best(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Return the positions of the `k` largest, largest first; of equals the first come first."""
    if k < len(scores):
        kept = np.argpartition(-scores, k)[:k]
        # Equals of the smallest kept are taken in order of position, so that results are stable.
        threshold = scores[kept].min()
        above = np.flatnonzero(scores > threshold)
        kept = np.concatenate([above, np.flatnonzero(scores == threshold)[: k - len(above)]])
    else:
        kept = np.arange(len(scores))
    order: NDArray[np.int64] = kept[np.argsort(-scores[kept], kind="stable")]
    return order
