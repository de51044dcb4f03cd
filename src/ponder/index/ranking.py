"""Finding the rows nearest to a query: exactly while they are few, by codes beyond that."""

from __future__ import annotations

import logging
import os
import shutil
import zipfile
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ponder.index.codes import Codes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from ponder.index.store import Store

    Ranked = tuple[NDArray[np.int64], NDArray[np.float32]]

logger = logging.getLogger(__name__)

EXACT_ROWS = 20_000  # up to here every vector fits in memory and one product takes 8 ms
RESCORED = 1500  # candidates scored exactly, at least
RESCORED_PER_HIT = 16


class Ranking(Protocol):
    """Ranks the rows of one version of a store."""

    def top(self, query: NDArray[np.float32], k: int) -> Ranked:
        """Return positions and cosines of the `k` best rows, best first."""


def open_ranking(store: Store, folder: Path, dim: int) -> Ranking:
    """Choose a ranking by size and load what it needs.

    Beyond `EXACT_ROWS` the codes, and the vectors in the order of their positions, are kept in a
    folder in `folder`: LanceDB takes ten times as long to look up the candidates' vectors. They are
    of the store's current version only, and made again when they are missing, old or damaged; where
    they cannot be written they stay in memory.
    """
    rows = sum(batch.num_rows for batch in store.scan(["part"]))
    if rows <= EXACT_ROWS:
        return Exact(np.concatenate([np.empty((0, dim), np.float32), *_vectors(store)]))
    kept = folder / f"ranking-{store.version()}"
    try:
        return Coded.load(kept)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        pass
    unfinished = folder / f".ranking-{os.getpid()}"
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        Coded.save(unfinished, _vectors(store), (rows, dim))
        for old in folder.glob("ranking-*"):
            shutil.rmtree(old, ignore_errors=True)
        unfinished.rename(kept)
    except OSError as error:  # a full disk or one that may not be written to: memory will do
        logger.warning("%s: %s; what searching needs is made anew each time", folder, error)
        shutil.rmtree(unfinished, ignore_errors=True)
        vectors = np.concatenate(list(_vectors(store)))
        return Coded(Codes.build(vectors), vectors)
    return Coded.load(kept)


def _vectors(store: Store) -> Iterator[NDArray[np.float32]]:
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
    """Codes in memory; the exact vectors of the likeliest rows from a file."""

    def __init__(self, codes: Codes, rows: NDArray[np.float32]) -> None:
        if len(codes) != len(rows):
            raise ValueError(f"codes of {len(codes)} rows do not fit {len(rows)} vectors")
        self._codes = codes
        self._rows = rows

    @classmethod
    def load(cls, folder: Path) -> Coded:
        """Open what `save` wrote."""
        rows = np.load(folder / "vectors.npy", mmap_mode="r", allow_pickle=False)
        return cls(Codes.load(folder / "codes.npz"), rows)

    @staticmethod
    def save(folder: Path, blocks: Iterable[NDArray[np.float32]], shape: tuple[int, int]) -> None:
        """Write the vectors of a store, and their codes, into an empty folder."""
        rows = np.lib.format.open_memmap(
            folder / "vectors.npy", mode="w+", dtype=np.float32, shape=shape
        )
        start = 0
        for block in blocks:
            rows[start : start + len(block)] = block
            start += len(block)
        rows.flush()
        Codes.build(rows).save(folder / "codes.npz")

    def top(self, query: NDArray[np.float32], k: int) -> Ranked:
        """See `Ranking`."""
        likely = np.sort(_best(self._codes.scores(query), max(RESCORED, RESCORED_PER_HIT * k)))
        # Not `@`: for so small a product BLAS waits longer for its threads than it computes.
        scores = np.einsum("nd,d->n", self._rows[likely], query)
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
