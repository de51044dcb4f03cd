"""Smaller vectors: fewer dimensions, fewer bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast, get_args

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Precision = Literal["float32", "int8", "binary"]


def check_smaller(dim: int, truncate_dim: int | None, precision: Precision) -> None:
    """Check, before any work, that vectors can be made smaller so.

    Args:
        dim: D, dimensions of the vectors.
        truncate_dim: how many to keep; None for all.
        precision: what the rest is stored in.

    Raises:
        ValueError: `truncate_dim` is not in 1..D, the precision is unknown, or what is kept is no
            multiple of 8 for `binary`.
    """
    if truncate_dim is not None and not 1 <= truncate_dim <= dim:
        raise ValueError(f"truncate_dim={truncate_dim}, but the vectors have {dim} dimensions")
    if precision not in get_args(Precision):
        raise ValueError(f"unknown precision {precision!r}; choose float32, int8 or binary")
    kept = dim if truncate_dim is None else truncate_dim
    if precision == "binary" and kept % 8:
        raise ValueError(f"binary needs a multiple of 8 dimensions, not {kept}")


def truncate(rows: NDArray[np.float32], dim: int | None) -> NDArray[np.float32]:
    """Keep the first `dim` of the dimensions and make the rows unit vectors again.

    Args:
        rows: (n, D) unit rows.
        dim: how many to keep; None for all.

    Raises:
        ValueError: `dim` is not in 1..D.
    """
    check_smaller(rows.shape[1], dim, "float32")
    if dim is None or dim == rows.shape[1]:
        return rows
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
    check_smaller(rows.shape[1], None, precision)
    if precision == "float32":
        return rows
    if precision == "int8":
        largest = np.abs(rows).max(axis=1, keepdims=True)
        scaled: NDArray[np.int8] = np.rint(rows * (127.0 / np.maximum(largest, 1e-12))).astype(
            np.int8
        )
        return scaled
    return (np.packbits(rows > 0, axis=1).astype(np.int16) - 128).astype(np.int8)


def dequantize(rows: NDArray[np.generic], dim: int) -> NDArray[np.float32]:
    """Return float32 rows (n, dim) with the cosines of rows in any precision."""
    if rows.dtype == np.int8 and rows.shape[1] * 8 == dim:
        signs = np.unpackbits((rows.astype(np.int16) + 128).astype(np.uint8), axis=1)
        return signs.astype(np.float32) * 2 - 1
    return cast("NDArray[np.float32]", rows.astype(np.float32))
