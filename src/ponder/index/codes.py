"""Two bits a dimension: a scan over every row that is small enough to stay in memory.

Each vector, less the mean of all, is written as whole numbers 0..3 and these as bit planes, so that
a dot product becomes a few ANDs and bit counts over 64 dimensions at a time. The best rows by that
estimate are to be scored again exactly. One bit is half the size and enough where vectors cluster,
as most do; where they do not, it takes thousands of rows to rescore before the true ones are among
them (`benchmarks/search.py` has both kinds).

The estimate of a dot product follows RaBitQ (arXiv 2405.12497): the code's own dot product, times a
factor for each row that makes it right for the row itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

ROW_BITS = 2
QUERY_BITS = 2
LEVEL_WIDTH = (
    0.996  # in standard deviations: with four levels, loses least of a normal distribution
)
BLOCK = 16384  # rows treated at a time: their counters fit the processor's second cache


@dataclass(frozen=True)
class Codes:
    """The coded rows, N of D dimensions in W = D / 64 words, rounded up.

    Attributes:
        mean: (D,) what was taken off every vector.
        planes: (ROW_BITS, W, N) uint64, the lowest bit first; rows lie side by side, so that one
            operation treats a whole block of them.
        sums: (N,) the sum of each row's numbers.
        factors: (N,) what makes an estimate right for the row itself.
    """

    mean: NDArray[np.float32]
    planes: NDArray[np.uint64]
    sums: NDArray[np.float32]
    factors: NDArray[np.float32]

    @classmethod
    def build(cls, rows: NDArray[np.float32]) -> Codes:
        """Code vectors (N, D), N at least 1; they may be a file mapped into memory."""
        blocks = range(0, len(rows), BLOCK)
        total = sum(rows[start : start + BLOCK].sum(axis=0, dtype=np.float64) for start in blocks)
        mean = (total / len(rows)).astype(np.float32)
        parts = [_code(rows[start : start + BLOCK] - mean) for start in blocks]
        planes, sums, factors = zip(*parts, strict=True)
        return cls(
            mean, np.concatenate(planes, axis=2), np.concatenate(sums), np.concatenate(factors)
        )

    def __len__(self) -> int:
        return len(self.sums)

    def scores(self, query: NDArray[np.float32]) -> NDArray[np.float32]:
        """Estimate the dot product of a query (D,) with every row, less a constant; (N,)."""
        numbers = _numbers(query[None], QUERY_BITS)
        planes = _planes(numbers, QUERY_BITS)[:, :, 0]  # (QUERY_BITS, W)
        # sum (u - a)(v - b) over dimensions, a and b the middles of the ranges of u and v; what
        # does not depend on the row is left out.
        middle = (2**QUERY_BITS - 1) / 2
        shift = float(numbers.sum(dtype=np.int64)) * (2**ROW_BITS - 1) / 2
        shift -= middle * (2**ROW_BITS - 1) / 2 * len(query)
        scores = np.empty(len(self), dtype=np.float32)
        # One thread: each of these operations is too short to be worth handing to another.
        for start in range(0, len(self), BLOCK):
            block = slice(start, start + BLOCK)
            dots = _dots(self.planes[:, :, block], planes)
            scores[block] = (dots - middle * self.sums[block] - shift) * self.factors[block]
        return scores

    def save(self, path: Path) -> None:
        """Write to a file."""
        np.savez(path, mean=self.mean, planes=self.planes, sums=self.sums, factors=self.factors)

    @classmethod
    def load(cls, path: Path) -> Codes:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(**{name: arrays[name] for name in ("mean", "planes", "sums", "factors")})


def _code(
    block: NDArray[np.float32],
) -> tuple[NDArray[np.uint64], NDArray[np.float32], NDArray[np.float32]]:
    numbers = _numbers(block, ROW_BITS)
    centred = numbers - np.float32((2**ROW_BITS - 1) / 2)
    own = np.einsum("nd,nd->n", block, centred)
    squares = np.einsum("nd,nd->n", block, block)
    # A row equal to the mean has no direction and scores the constant.
    factors = np.divide(squares, own, out=np.zeros_like(own), where=own > 0)
    return _planes(numbers, ROW_BITS), numbers.sum(axis=1, dtype=np.float32), factors


def _numbers(block: NDArray[np.float32], bits: int) -> NDArray[np.uint8]:
    """Write each row (N, D) as whole numbers 0..2^bits - 1, by its own spread."""
    spread = np.sqrt(np.mean(block * block, axis=1, keepdims=True))
    width = np.maximum(spread * np.float32(LEVEL_WIDTH), np.finfo(np.float32).tiny)
    levels = np.floor(block / width) + 2 ** (bits - 1)
    numbers: NDArray[np.uint8] = np.clip(levels, 0, 2**bits - 1).astype(np.uint8)
    return numbers


def _planes(numbers: NDArray[np.uint8], bits: int) -> NDArray[np.uint64]:
    """Split numbers (N, D) into bit planes (bits, W, N)."""
    missing = -numbers.shape[1] % 64
    padded = np.pad(numbers, ((0, 0), (0, missing)))
    packed = [np.packbits((padded >> bit) & 1, axis=1).view(np.uint64).T for bit in range(bits)]
    return np.ascontiguousarray(np.stack(packed))


def _dots(rows: NDArray[np.uint64], query: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """Dot products of whole numbers, rows (bits, W, n) against one query (bits, W); (n,)."""
    n = rows.shape[2]
    dots = np.zeros(n, dtype=np.uint32)
    both = np.empty(n, dtype=np.uint64)
    ones = np.empty(n, dtype=np.uint8)
    for i, row_plane in enumerate(rows):
        counts = np.zeros((len(query), n), dtype=np.uint16)
        # Words outside, query planes inside: each word of the rows comes from memory once.
        for row_word, query_words in zip(row_plane, query.T, strict=True):
            for count, query_word in zip(counts, query_words, strict=True):
                np.bitwise_and(row_word, query_word, out=both)
                count += np.bitwise_count(both, out=ones)
        for j, count in enumerate(counts):
            dots += count.astype(np.uint32) << np.uint32(i + j)
    return dots
