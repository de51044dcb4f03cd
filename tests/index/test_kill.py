"""Runs that are killed at any moment lose nothing and do nothing twice."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from colours import Colours
from file_samples import make_pdf, make_picture, make_video
from snapshots import snapshot

from ponder.index.index import Index

SCRIPT = Path(__file__).with_name("run_index.py")
DELAY_S = 0.01  # for one item
START_S = 1.0  # about what Python and LanceDB take before the first file


def build(top: Path, pictures: int) -> None:
    top.mkdir()
    for i in range(pictures):
        make_picture(top / f"{i:03d}.png", i)
    for i in range(6):
        make_pdf(top / f"{i}.pdf", [f"page {i} {j}" for j in range(1 + 3 * i)])
        (top / f"{i}.md").write_text("".join(f"# {j}\n\nwords {i} {j}\n\n" for j in range(2 + i)))
        shutil.copy(top / f"{i:03d}.png", top / f"copy-{i}.png")
    make_video(top / "film.mp4")
    (top / "bad.png").write_bytes(b"no picture")


def start(index: Path, top: Path, delay_s: float = DELAY_S) -> subprocess.Popen[str]:
    command = [sys.executable, str(SCRIPT), str(index), str(top), str(delay_s)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def kill_and_compare(tmp_path: Path, kills: int, pictures: int) -> None:
    top, index = tmp_path / "in", tmp_path / "x.lance"
    build(top, pictures)
    rng = random.Random(kills)
    embedding_s = (pictures + 90) * DELAY_S
    killed = 0
    for attempt in range(3 * kills):
        process = start(index, top)
        try:
            # Most kills fall into the work, some into the start.
            process.wait(START_S * rng.uniform(0.3, 1) + embedding_s * 3 * rng.random() / kills)
        except subprocess.TimeoutExpired:
            process.kill()
            killed += 1
        process.communicate()
        if attempt % 3 == 2:  # and the folder changes meanwhile
            make_picture(top / f"{attempt % pictures:03d}.png", 1000 + attempt)
            (top / f"{attempt % 6}.pdf").write_bytes((top / "5.pdf").read_bytes())
        if killed == kills:
            break
    assert killed == kills
    last = start(index, top, 0)
    output, error = last.communicate()
    assert last.returncode == 0, error
    assert output.split()[1] == "1"  # the bad picture
    undisturbed = tmp_path / "undisturbed.lance"
    Index(undisturbed, Colours()).add(top)
    assert snapshot(index) == snapshot(undisturbed)
    once_more = Index(index, Colours()).add(top)
    assert (once_more.embedded, once_more.added, once_more.changed) == (0, 0, 0)


def test_five_kills(tmp_path: Path) -> None:
    kill_and_compare(tmp_path, kills=5, pictures=60)


@pytest.mark.slow
def test_thirty_kills(tmp_path: Path) -> None:
    kill_and_compare(tmp_path, kills=30, pictures=400)


def test_a_kill_keeps_what_was_committed(tmp_path: Path) -> None:
    top, index = tmp_path / "in", tmp_path / "x.lance"
    build(top, 60)
    process = start(index, top)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            done = len(snapshot(index))
        except ValueError:  # not there yet
            done = 0
        if done > 50:
            break
        time.sleep(0.05)
    process.kill()
    process.communicate()
    kept = len(snapshot(index))
    report = Index(index, Colours()).add(top)
    assert kept > 50
    assert 0 < report.embedded <= len(snapshot(index)) - kept
