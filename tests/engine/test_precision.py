"""Smaller vectors keep what they promise."""

from __future__ import annotations

import numpy as np
import pytest

from ponder.engine.precision import dequantize, quantize, truncate


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    values = np.random.default_rng(0).normal(size=(200, 64)).astype(np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def cosines(rows: np.ndarray) -> np.ndarray:
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit @ unit.T


def test_truncated_rows_are_unit_prefixes(rows: np.ndarray) -> None:
    short = truncate(rows, 16)
    assert np.allclose(np.linalg.norm(short, axis=1), 1, atol=1e-6)
    assert np.allclose(short / short[:, :1], rows[:, :16] / rows[:, :1], rtol=1e-4)
    with pytest.raises(ValueError, match="64 dimensions"):
        truncate(rows, 65)


def test_int8_keeps_cosines(rows: np.ndarray) -> None:
    small = quantize(rows, "int8")
    assert small.dtype == np.int8
    assert np.abs(cosines(dequantize(small, 64)) - cosines(rows)).max() < 0.02


def test_binary_keeps_signs_in_sentence_transformers_form(rows: np.ndarray) -> None:
    small = quantize(rows, "binary")
    assert small.shape == (200, 8)
    assert small.dtype == np.int8
    assert np.array_equal(dequantize(small, 64) > 0, rows > 0)
    # Checked against the packing that sentence-transformers documents: bits, then minus 128.
    first = int("".join(str(int(value > 0)) for value in rows[0, :8]), 2)
    assert int(small[0, 0]) == first - 128


def test_unknown_precision_is_refused(rows: np.ndarray) -> None:
    with pytest.raises(ValueError, match="float32, int8 or binary"):
        quantize(rows, "int4")  # type: ignore[arg-type]
