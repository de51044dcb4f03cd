"""Search time and recall: ours, NumPy's exact product and LanceDB's flat scan, in one run.

    python benchmarks/search.py [--rows 100000] [--dim 1024] [--json out.json]

Two kinds of vectors: clustered ones, as embeddings of real collections are, and plain normal ones,
the worst case for any coding, where a query's neighbours are hardly nearer than the rest. Times are
of a whole search without the query's embedding: for ours and LanceDB with path, place, snippet and
thumbnail of the hits.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa

from ponder.index.hits import HIT_COLUMNS
from ponder.index.index import Index
from ponder.index.ranking import EXACT_ROWS, Exact
from ponder.index.store import LanceStore, schema

K = 10
BLOCK = 10_000
FINGERPRINT = "0" * 64


class Dim:
    """Stands where a model stands: searching by vector needs its name and size only."""

    name = "synthetic"
    fingerprint = FINGERPRINT

    def __init__(self, dim: int) -> None:
        self.dim = dim


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def make(kind: str, rows: int, queries: int, dim: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    both = rng.standard_normal((rows + queries, dim), dtype=np.float32)
    if kind == "clustered":
        centres = rng.standard_normal((1000, dim), dtype=np.float32)
        both += centres[rng.integers(0, len(centres), len(both))]
    both = unit(both)
    return both[:rows], both[rows:]


def fill(folder: Path, vectors: np.ndarray) -> LanceStore:
    """A table as indexing makes it, with thumbnails of the usual size."""
    n, dim = vectors.shape
    store = LanceStore(folder, FINGERPRINT, "synthetic", dim)
    thumbnail = np.random.default_rng(1).bytes(4000)
    for start in range(0, n, BLOCK):
        block = vectors[start : start + BLOCK]
        names = [f"/pictures/{i:08d}.png" for i in range(start, start + len(block))]
        columns = {field.name: pa.nulls(len(block), field.type) for field in schema(dim)}
        columns |= {"id": names, "file": names, "path": names, "kind": ["picture"] * len(block)}
        columns |= {"raw_path": [name.encode() for name in names], "snippet": [""] * len(block)}
        columns |= {"thumbnail": [thumbnail] * len(block)}
        columns["vector"] = pa.FixedSizeListArray.from_arrays(pa.array(block.ravel()), dim)
        store.write(pa.table(columns, schema=schema(dim)))
    return store


def measure(search, queries: np.ndarray, truth: list[set[str]]) -> dict[str, float]:
    for query in queries[:5]:
        search(query)
    times, found = [], 0
    for query, expected in zip(queries, truth, strict=True):
        began = time.perf_counter()
        result = search(query)
        times.append(time.perf_counter() - began)
        found += len(expected & set(result))
    return {
        "p50_ms": round(1e3 * float(np.median(times)), 2),
        "p95_ms": round(1e3 * float(np.quantile(times, 0.95)), 2),
        "recall@10": round(found / (K * len(queries)), 4),
    }


def name_of(position: int) -> str:
    return f"/pictures/{position:08d}.png"


def opening(folder: Path, query: Path, dim: int) -> float:
    """Seconds from a new process's imports to its first hit, and without the imports."""
    code = (
        "import sys, time, numpy as np\n"
        "sys.path.insert(0, sys.argv[4])\n"
        "from search import Dim, Index\n"
        "import lancedb\n"
        "query = np.load(sys.argv[2])\n"
        "began = time.perf_counter()\n"
        "Index(sys.argv[1], Dim(int(sys.argv[3]))).nearest(query)\n"
        "print(time.perf_counter() - began)\n"
    )
    arguments = [str(folder), str(query), str(dim), str(Path(__file__).parent)]
    run = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    return float(run.stdout)


def bench(kind: str, rows: int, queries: int, dim: int, folder: Path) -> dict[str, object]:
    vectors, asked = make(kind, rows, queries, dim)
    truth = [{name_of(i) for i in Exact(vectors).top(query, K)[0]} for query in asked]
    store = fill(folder, vectors)
    np.save(folder / "query.npy", asked[0])

    def exact(query: np.ndarray) -> list[str]:
        scores = vectors @ query
        best = np.argpartition(-scores, K)[:K]
        return [name_of(i) for i in best[np.argsort(-scores[best])]]

    index = Index(folder, Dim(dim))
    began = time.perf_counter()
    index.nearest(asked[0])
    built = time.perf_counter() - began
    flat = store._table.search

    def lance(query: np.ndarray) -> list[str]:
        found = flat(query).distance_type("dot").select([*HIT_COLUMNS, "_distance"]).limit(K)
        return found.to_arrow().column("path").to_pylist()

    def ours(query: np.ndarray) -> list[str]:
        return [hit.path for hit in index.nearest(query, K)]

    few = max(10, queries // 10)  # the flat scan is slow
    return {
        "numpy exact, vectors only": measure(exact, asked, truth),
        "ponder": measure(ours, asked, truth),
        "lancedb flat": measure(lance, asked[:few], truth[:few]),
        "build_s": round(built, 2),
        "open_s": round(opening(folder, folder / "query.npy", dim), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--dim", type=int, default=1024)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results: dict[str, object] = {
        "rows": options.rows,
        "dim": options.dim,
        "path": "exact" if options.rows <= EXACT_ROWS else "codes",
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("numpy", "lancedb")},
    }
    for kind in ("clustered", "normal"):
        with tempfile.TemporaryDirectory() as folder:
            results[kind] = bench(kind, options.rows, options.queries, options.dim, Path(folder))
    head = f"{options.rows:,} x {options.dim}"
    print(f"{head:<24}{'vectors':<12}{'p50 ms':>8}{'p95 ms':>8}{'recall@10':>11}")
    for kind in ("clustered", "normal"):
        for name, figures in results[kind].items():
            if isinstance(figures, dict):
                cells = "".join(f"{figures[key]:>{n}}" for key, n in (("p50_ms", 8), ("p95_ms", 8)))
                print(f"{name:<26}{kind:<10}{cells}{figures['recall@10']:>11}")
        print(
            f"{'':<26}{kind:<10}built in {results[kind]['build_s']} s, "
            f"opened in {results[kind]['open_s']} s"
        )
    print(json.dumps(results))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
