from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from ponder.index import ranking
from ponder.index.codes import Codes
from ponder.index.ranking import Coded, Exact, open_ranking
from ponder.index.store import LanceStore, schema

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def gaussian(n: int, dim: int, seed: int = 0) -> np.ndarray:
    return unit(np.random.default_rng(seed).standard_normal((n, dim)))


def fill(folder: Path, vectors: np.ndarray, files: int = 10) -> LanceStore:
    n, dim = vectors.shape
    store = LanceStore(folder, "f" * 64, "test", dim)
    columns: dict[str, object] = {
        field.name: pa.nulls(n, field.type) for field in schema(dim) if field.name != "vector"
    }
    columns["id"] = [f"{i:05d}" for i in range(n)]
    columns["file"] = [str(i * files // n) for i in range(n)]
    columns["vector"] = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), dim)
    store.write(pa.table(columns, schema=schema(dim)))
    return store


@pytest.mark.parametrize("dim", [64, 100, 384])
def test_estimates_are_close_to_the_dot_products(dim: int) -> None:
    rows = gaussian(2000, dim) + np.float32(0.05)  # off centre, as embeddings are
    codes = Codes.build(rows)
    query = gaussian(1, dim, seed=1)[0]
    assert np.corrcoef(codes.scores(query), rows @ query)[0, 1] > 0.85


def test_estimates_do_not_depend_on_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = gaussian(5000, 64)
    query = gaussian(1, 64, seed=1)[0]
    whole = Codes.build(rows).scores(query)
    monkeypatch.setattr("ponder.index.codes.BLOCK", 700)
    assert np.allclose(Codes.build(rows).scores(query), whole, atol=1e-2)


def test_equal_rows_and_a_zero_query_do_no_harm() -> None:
    rows = np.repeat(gaussian(1, 128), 50, axis=0)
    codes = Codes.build(rows)
    assert np.isfinite(codes.scores(rows[0])).all()
    assert np.isfinite(codes.scores(np.zeros(128, np.float32))).all()


def test_saved_codes_are_the_same(tmp_path: Path) -> None:
    rows = gaussian(500, 96)
    codes = Codes.build(rows)
    codes.save(tmp_path / "codes.npz")
    query = gaussian(1, 96, seed=1)[0]
    assert np.array_equal(Codes.load(tmp_path / "codes.npz").scores(query), codes.scores(query))
    assert [path.name for path in tmp_path.iterdir()] == ["codes.npz"]


def test_exact_ranking_breaks_ties_by_position_and_bears_any_k() -> None:
    rows = np.array([[1, 0], [0, 1], [1, 0], [0.6, 0.8], [1, 0]], dtype=np.float32)
    exact = Exact(rows)
    for k in (1, 2, 3, 4, 5, 9):
        positions, scores = exact.top(np.array([1, 0], np.float32), k)
        assert positions.tolist() == [0, 2, 4, 3, 1][:k]
        assert scores.tolist() == pytest.approx([1, 1, 1, 0.6, 0][:k])


def test_coded_ranking_finds_what_the_exact_one_finds() -> None:
    centres = gaussian(40, 128, seed=3)
    rng = np.random.default_rng(4)
    rows = unit(centres[rng.integers(0, 40, 6000)] + 0.07 * rng.standard_normal((6000, 128)))
    coded = Coded(Codes.build(rows), rows)
    exact = Exact(rows)
    found = 0
    for query in unit(centres + 0.07 * rng.standard_normal((40, 128))):
        positions, scores = coded.top(query, 10)
        truth, best = exact.top(query, 10)
        assert np.allclose(scores, rows[positions] @ query, atol=1e-6)
        assert scores[0] == pytest.approx(best[0])
        found += len(set(positions) & set(truth))
    assert found >= 0.99 * 400


def test_the_ranking_goes_by_size_and_keeps_codes_for_the_current_version_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking, "EXACT_ROWS", 1000)
    rows = gaussian(2000, 64)
    store = fill(tmp_path, rows)
    assert isinstance(open_ranking(store, tmp_path, 64), Coded)
    (first,) = tmp_path.glob("ranking-*")
    for name in ("codes.npz", "vectors.npy"):
        (first / name).write_bytes(b"damaged")
        coded = open_ranking(store, tmp_path, 64)
        assert (first / name).stat().st_size > 1000
    assert coded.top(rows[1500], 1)[0].tolist() == [1500]
    store.write(store.schema.empty_table(), ["0", "1"])  # 400 rows go, positions move up
    coded = open_ranking(store, tmp_path, 64)
    assert coded.top(rows[1500], 1)[0].tolist() == [1100]
    (second,) = tmp_path.glob("*ranking-*")
    assert second != first
    store.write(store.schema.empty_table(), [str(i) for i in range(6)])
    assert isinstance(open_ranking(store, tmp_path, 64), Exact)


def test_positions_and_takes_agree_after_deletes_and_compaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = gaussian(300, 16)
    store = fill(tmp_path, rows)

    def order() -> Iterator[str]:
        for batch in store.scan(["id"]):
            yield from batch.column("id").to_pylist()

    positions = np.array([7, 250, 7, 0, 123])
    for change in ("nothing", "delete", "compact"):
        if change == "delete":
            store.write(store.schema.empty_table(), ["1"])
        if change == "compact":
            monkeypatch.setattr("ponder.index.store.FRAGMENTS", 0)
            store.compact()
        store.version()
        ids = list(order())
        taken = store.take(positions, ["id", "vector"])
        assert taken.column("id").to_pylist() == [ids[p] for p in positions]
        assert np.array_equal(taken.column("vector")[1].as_py(), rows[int(ids[250])].tolist())
    assert store.take(np.array([], dtype=np.int64), ["id"]).num_rows == 0
