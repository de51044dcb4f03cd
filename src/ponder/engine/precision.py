"""Smaller vectors: fewer dimensions, fewer bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Precision = Literal["float32", "int8", "binary"]


def truncate(rows: NDArray[np.float32], dim: int | None) -> NDArray[np.float32]:
    """Keep the first `dim` of the dimensions and make the rows unit vectors again.

    Args:
        rows: (n, D) unit rows.
        dim: how many to keep; None for all.

    Raises:
        ValueError: `dim` is not in 1..D.
    """
    if dim is None or dim == rows.shape[1]:
        return rows
    if not 1 <= dim < rows.shape[1]:
        raise ValueError(f"truncate_dim={dim}, but the vectors have {rows.shape[1]} dimensions")
    kept = rows[:, :dim]
    unit: NDArray[np.float32] = kept / np.maximum(
        np.linalg.norm(kept, axis=1, keepdims=True), 1e-12
    )
    return unit


def quantize(
    rows: NDArray[np.float32], precision: Precision
) -> NDArray[np.float32] | NDArray[np.int8]:
    """Store unit rows (n, D) in fewer bits.

    `int8` scales each row by its own largest value to -127..127, which leaves its direction, and so
    every cosine, as it was up to rounding. `binary` keeps the signs, eight to a byte, (n, D / 8),
    offset by 128 as sentence-transformers does.

    Raises:
        ValueError: the precision is unknown, or D is no multiple of 8 for `binary`.
    """
    if precision == "float32":
        return rows
    if precision == "int8":
        largest = np.abs(rows).max(axis=1, keepdims=True)
        scaled: NDArray[np.int8] = np.rint(rows * (127.0 / np.maximum(largest, 1e-12))).astype(
            np.int8
        )
        return scaled
    if precision == "binary":
        if rows.shape[1] % 8:
            raise ValueError(f"binary needs a multiple of 8 dimensions, not {rows.shape[1]}")
        return (np.packbits(rows > 0, axis=1).astype(np.int16) - 128).astype(np.int8)
    raise ValueError(f"unknown precision {precision!r}; choose float32, int8 or binary")


def dequantize(rows: NDArray[np.generic], dim: int) -> NDArray[np.float32]:
    """Return float32 rows (n, dim) with the cosines of rows in any precision."""
    if rows.dtype == np.int8 and rows.shape[1] * 8 == dim:
        signs = np.unpackbits((rows.astype(np.int16) + 128).astype(np.uint8), axis=1)
        return signs.astype(np.float32) * 2 - 1
    return cast("NDArray[np.float32]", rows.astype(np.float32))
