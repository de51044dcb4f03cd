"""First use: a mixed folder indexed and asked, as somebody would who has just installed ponder.

    python benchmarks/first_use.py [--source CHECKOUT] [--json out.json]

A hundred and fifty files of 18 kinds are made (`first_use_folder.py`), indexed with `ponder index`
and asked for, one fixed question to the file. A hit is by file: at what place among the files found
the right one stands; a file that is not in the index is a miss. Times are of whole commands but for
`warm`, which is a search in a process that has the model loaded. Memory is the resident memory of
`ponder index` and its decoders together, sampled; pages that they share count in each.

--source measures another checkout, an older one, say; the folder and the questions stay the same.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from first_use_folder import make_folder

if TYPE_CHECKING:
    from first_use_folder import Asked

SAMPLE_S = 0.05
HELPS = 20
SEARCHES = 3  # commands after the cold one

ROWS = 100  # a file may have many rows; beyond these no place is told
# One process for all questions. The last search is for every row: which files are in the index.
ASK = f"""
import json, sys, time
import ponder
questions = json.load(sys.stdin)
index = ponder.Index(sys.argv[1], ponder.load("nano"))
def files(question, rows):
    return list(dict.fromkeys(str(hit.file) for hit in index.search({{"text": question}}, rows)))
places, times = [], []
for question in questions:
    began = time.perf_counter()
    places.append(files(question, {ROWS}))
    times.append(time.perf_counter() - began)
json.dump({{"found": places, "times": times, "indexed": files("all", 1_000_000)}}, sys.stdout)
"""


def run(source: Path, *arguments: str, given: str | None = None) -> str:
    """Run Python with that checkout's ponder; return what it printed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        env=environment(source),
        input=given,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout


def environment(source: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(source / "src")}


def seconds(source: Path, *arguments: str) -> float:
    began = time.perf_counter()
    run(source, "-m", "ponder", *arguments)
    return time.perf_counter() - began


def index_folder(source: Path, folder: Path, index: Path) -> dict[str, float | str]:
    """Run `ponder index`; return its time, its peak memory and what it said first."""
    command = [sys.executable, "-m", "ponder", "index", str(folder), "--index", str(index)]
    began, peak = time.perf_counter(), 0
    with subprocess.Popen(
        command, env=environment(source), stdout=subprocess.PIPE, text=True
    ) as indexing:
        tree = psutil.Process(indexing.pid)
        while indexing.poll() is None:
            peak = max(peak, resident(tree))
            time.sleep(SAMPLE_S)
        took = time.perf_counter() - began
        assert indexing.stdout is not None
        said = indexing.stdout.read()
    if indexing.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{said}")
    return {"seconds": round(took, 1), "peak_mib": round(peak / 2**20), "said": said.split("\n")[0]}


def resident(process: psutil.Process) -> int:
    """Return the bytes that a process and those below it hold."""
    total = 0
    try:
        for one in (process, *process.children(recursive=True)):
            total += one.memory_info().rss
    except psutil.NoSuchProcess:  # it ended meanwhile
        pass
    return total


def rates(asked: list[Asked], found: list[list[str]], indexed: list[str]) -> list[dict[str, Any]]:
    """Return a row for each kind of file, and one for all."""
    rows = []
    for kind in [*dict.fromkeys(one.kind for one in asked), "all"]:
        these = [i for i, one in enumerate(asked) if kind in (one.kind, "all")]
        paths = {i: str(asked[i].path) for i in these}
        row = {"kind": kind, "files": len(these)}
        row["indexed"] = sum(path in indexed for path in paths.values())
        for k in (1, 5, 10):
            row[f"hit@{k}"] = sum(path in found[i][:k] for i, path in paths.items())
        rows.append(row)
    return rows


def version(source: Path) -> str:
    """Return the checkout's commit."""
    command = ["git", "-C", str(source), "describe", "--always", "--dirty"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--source", type=Path, default=Path(__file__).parents[1])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    source = options.source.resolve()
    result: dict[str, Any] = {
        "commit": version(source),
        "cpus": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),  # of the machine, by whatever else runs
    }
    result["help_s"] = round(min(seconds(source, "--help") for _ in range(HELPS)), 3)
    with tempfile.TemporaryDirectory() as scratch:
        folder, index = Path(scratch).resolve() / "files", Path(scratch) / "x.lance"
        asked = make_folder(folder, Path(scratch) / "packages")
        result["index"] = index_folder(source, folder, index)
        search = ("search", asked[0].question, "-k", "10", "--json", "--index", str(index))
        result["cold_s"] = round(seconds(source, *search), 2)
        result["again_s"] = round(min(seconds(source, *search) for _ in range(SEARCHES)), 2)
        questions = json.dumps([one.question for one in asked])
        answers = json.loads(run(source, "-c", ASK, str(index), given=questions))
    found = answers["found"]
    result["warm_ms"] = round(1000 * statistics.median(answers["times"]), 1)
    result["kinds"] = rates(asked, found, answers["indexed"])
    result["index"]["files_per_s"] = round(len(asked) / result["index"]["seconds"], 1)
    result["missed"] = [
        {
            "file": f"{one.kind} {one.path.name}",
            "question": one.question,
            "place": files.index(str(one.path)) + 1 if str(one.path) in files else None,
        }
        for one, files in zip(asked, found, strict=True)
        if str(one.path) not in files[:1]
    ]
    show(result)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def show(result: dict[str, Any]) -> None:
    names = ["files", "indexed", "hit@1", "hit@5", "hit@10"]
    print(f"{'kind':12}" + "".join(f"{name:>9}" for name in names))
    for row in result["kinds"]:
        print(f"{row['kind']:12}" + "".join(f"{row[name]:9}" for name in names))
    indexing = result["index"]
    print(
        f"ponder index   {indexing['seconds']} s, {indexing['files_per_s']} files/s, peak "
        f"{indexing['peak_mib']} MiB: {indexing['said']}"
    )
    print(
        f"ponder search  {result['cold_s']} s at first, {result['again_s']} s again; "
        f"{result['warm_ms']} ms in a process that has the model"
    )
    print(f"ponder --help  {result['help_s']} s")


if __name__ == "__main__":
    main()
