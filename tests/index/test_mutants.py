"""Ten thousand damaged files of all formats: the run ends, says why, and loses no good file."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import mutants
import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
from snapshots import snapshot

from ponder.index.files import _READERS
from ponder.index.index import ERRORS

SAMPLE_S = 0.05
LIMIT_S = 900  # for ten thousand; they took 50 s on two busy cores
LIMIT_BYTES = 512 * 2**20  # for each process, of which the largest came to 350 MiB
RUN = (
    "import sys; from colours import Colours; from ponder.index.index import Index; "
    "Index(sys.argv[1], Colours()).add(sys.argv[2])"
)


def formats() -> list[list[str]]:
    """Suffixes that ponder reads, those of plain texts as one format."""
    plain = [suffix for suffix, reader in _READERS.items() if reader == "text"]
    return [plain, *([suffix] for suffix in _READERS if suffix not in plain)]


def fill(folder: Path, count: int) -> tuple[set[str], set[str]]:
    """Write good files of every format and mutants; return the names of both."""
    rng = np.random.default_rng(0)
    kinds = formats()
    good = {f"good{suffix}" for kind in kinds for suffix in kind[:3]}
    for name in good:
        mutants.make(folder / name)
    raws = [[(folder / f"good{suffix}").read_bytes() for suffix in kind[:3]] for kind in kinds]
    others = [raw for of_kind in raws for raw in of_kind]
    bad = set()
    for i in range(count):
        kind = i % len(kinds)
        raw = raws[kind][rng.integers(len(raws[kind]))]
        is_elsewhere = not rng.integers(20)  # a file under another format's name
        suffixes = kinds[rng.integers(len(kinds))] if is_elsewhere else kinds[kind]
        name = f"{i:05d}{suffixes[rng.integers(len(suffixes))]}"
        (folder / name).write_bytes(mutants.mutate(raw, others, rng))
        bad.add(name)
    return good, bad


def peak_of(process: subprocess.Popen[bytes], ended: threading.Event) -> int:
    """Return the most bytes that a process or one of its decoders held, until it ended."""
    peak, parent = 0, psutil.Process(process.pid)
    while not ended.wait(SAMPLE_S):
        with contextlib.suppress(psutil.NoSuchProcess):  # one may end meanwhile
            for one in (parent, *parent.children(recursive=True)):
                peak = max(peak, one.memory_info().rss)
    return peak


def check(tmp_path: Path, count: int) -> None:
    top, index = tmp_path / "in", tmp_path / "x.lance"
    top.mkdir()
    good, bad = fill(top, count)
    peaks: list[int] = []
    ended = threading.Event()
    with subprocess.Popen(
        [sys.executable, "-c", RUN, str(index), str(top)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    ) as process:
        sampler = threading.Thread(target=lambda: peaks.append(peak_of(process, ended)))
        sampler.start()
        try:
            assert process.wait(LIMIT_S) == 0
        finally:
            process.kill()
            ended.set()
            sampler.join()
    indexed = {Path(os.fsdecode(path)).name for path, *_ in snapshot(index)}
    table = pq.read_table(index / ERRORS).to_pylist()
    reasons = {Path(row["path"]).name: row["reason"] for row in table}
    assert good <= indexed
    assert not good & set(reasons)
    assert bad <= indexed | set(reasons)
    for name, reason in reasons.items():
        assert reason.strip(), name
        assert len(reason.splitlines()) == 1, (name, reason)
        assert "Traceback" not in reason, (name, reason)
    assert 0 < peaks[0] < LIMIT_BYTES


def test_a_hundred_and_fifty_mutants(tmp_path: Path) -> None:
    check(tmp_path, count=150)


@pytest.mark.slow
def test_ten_thousand_mutants(tmp_path: Path) -> None:
    check(tmp_path, count=10_000)
