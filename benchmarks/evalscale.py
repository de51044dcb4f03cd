"""Ranking a whole evaluation exactly: ours, NumPy's product and argpartition, FAISS's flat index.

    python benchmarks/evalscale.py [--queries 100000] [--candidates 1000000]
        [--peer-queries 100000] [--json out.json]

Each runs in a process of its own over the same normal unit vectors, the worst case for a sieve, and
must find the same ten. Memory is the most a process held, the vectors themselves among it. Peers,
whose time is proportional to the queries, may be given only the first of them.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

from ponder.eval.ranking import shortlists

K = 10
BLOCK = 256  # queries of NumPy's at once


def unit(count: int, dim: int, seed: int) -> np.ndarray:
    """Return normal unit vectors; fewer of a seed are the first of more."""
    chance = np.random.default_rng(seed)
    rows = np.empty((count, dim), np.float32)
    for start in range(0, count, 50_000):
        part = chance.standard_normal((min(50_000, count - start), dim), dtype=np.float32)
        rows[start : start + len(part)] = part / np.linalg.norm(part, axis=1, keepdims=True)
    return rows


def ours(queries: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    lists = shortlists(queries, candidates, K)
    return np.stack([positions[np.argsort(-scores)[:K]] for positions, scores in lists])


def by_numpy(queries: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    found = []
    for start in range(0, len(queries), BLOCK):
        scores = queries[start : start + BLOCK] @ candidates.T
        best = np.argpartition(-scores, K, axis=1)[:, :K]
        order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1)
        found.append(np.take_along_axis(best, order, axis=1))
    return np.concatenate(found)


def by_faiss(queries: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    import faiss

    index = faiss.IndexFlatIP(candidates.shape[1])
    index.add(candidates)
    return index.search(queries, K)[1]


CONTENDERS = {"ponder": ours, "numpy": by_numpy, "faiss": by_faiss}


def run(name: str, shape: tuple[int, int, int], out: Path) -> None:
    """Be one contender: write what it found, how long it took and the memory it held."""
    queries, candidates = unit(shape[0], shape[2], 0), unit(shape[1], shape[2], 1)
    began = time.perf_counter()
    found = CONTENDERS[name](queries, candidates)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    np.savez(out, found=found, seconds=seconds, peak=peak)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--queries", type=int, default=100_000)
    parser.add_argument("--candidates", type=int, default=1_000_000)
    parser.add_argument("--peer-queries", type=int, help="as many as ponder's, unless told")
    parser.add_argument("--dim", type=int, default=1024)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", nargs=2, metavar=("NAME", "OUT"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    shape = (args.queries, args.candidates, args.dim)
    if args.only:
        run(args.only[0], shape, Path(args.only[1]))
        return
    results: dict[str, dict[str, float]] = {}
    truth = None
    with tempfile.TemporaryDirectory() as folder:
        for name in CONTENDERS:
            out = Path(folder) / f"{name}.npz"
            asked = args.queries if name == "ponder" else args.peer_queries or args.queries
            numbers = [f"--queries={asked}", f"--candidates={shape[1]}", f"--dim={shape[2]}"]
            only = ["--only", name, str(out)]
            subprocess.run([sys.executable, __file__, *numbers, *only], check=True)
            kept = np.load(out)
            found = np.sort(kept["found"])
            truth = found if truth is None else truth
            seconds = float(kept["seconds"])
            results[name] = {
                "queries": asked,
                "seconds": round(seconds, 1),
                "ms_per_query": round(1000 * seconds / asked, 3),
                "peak_GiB": round(float(kept["peak"]), 2),
                "same_ten": round(float((found == truth[:asked]).mean()), 6),
            }
            print(name, results[name], flush=True)
    for peer in ("numpy", "faiss"):
        ratio = results[peer]["ms_per_query"] / results["ponder"]["ms_per_query"]
        print(f"{peer} takes {ratio:.2f} times as long as ponder")
    if args.json:
        packages = {name: version(name) for name in ("faiss-cpu", "numpy", "torch")}
        note = {"shape": shape, "results": results, "versions": packages, "cores": os.cpu_count()}
        args.json.write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
