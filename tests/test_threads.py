"""How threads wait and how many there are, and that whoever set that is left alone."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from ponder import threads
from ponder.index.decoders import Decoder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SETTINGS = ("OMP_WAIT_POLICY", "OMP_NUM_THREADS", "GOMP_SPINCOUNT")


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)


def openmp_of(*command: str, **settings: str) -> str:
    """Return what OpenMP goes by once a program has imported torch, in its own words."""
    environment = os.environ | settings | {"OMP_DISPLAY_ENV": "VERBOSE"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert "OMP_WAIT_POLICY" in done.stderr, done.stderr
    return done.stderr


def test_the_command_lines_threads_sleep_while_they_wait(tmp_path: Path) -> None:
    verb = (sys.executable, "-m", "ponder", "show", str(tmp_path))
    # Without a policy it says that it is passive, yet spins 300,000 times.
    assert "GOMP_SPINCOUNT = '1000'" in openmp_of(*verb)
    assert "GOMP_SPINCOUNT = '30000000000'" in openmp_of(*verb, OMP_WAIT_POLICY="ACTIVE")
    assert "GOMP_SPINCOUNT = '77'" in openmp_of(*verb, GOMP_SPINCOUNT="77")
    assert "OMP_NUM_THREADS = '5'" in openmp_of(*verb, OMP_NUM_THREADS="5")


def test_the_library_leaves_the_environment_alone() -> None:
    program = (
        "import os; before = dict(os.environ)\n"
        "import ponder; ponder.load, ponder.Index\n"
        f"assert [os.environ.get(name) for name in {SETTINGS}] == [None] * 3"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def settings_here() -> Iterator[dict[str, str]]:
    """Run in a decoder process."""
    yield {name: os.environ[name] for name in SETTINGS if name in os.environ}


def settings_of_a_decoder() -> Any:
    decoder = Decoder(limit_s=20.0)
    try:
        return next(decoder.call(settings_here))
    finally:
        decoder.close()


def test_a_decoder_has_one_thread_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings_of_a_decoder() == {"OMP_NUM_THREADS": "1"}
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert settings_of_a_decoder() == {"OMP_NUM_THREADS": "3", "OMP_WAIT_POLICY": "ACTIVE"}


def test_cores_are_those_of_the_affinity() -> None:
    program = (
        "import os; from ponder.threads import usable_cores\n"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "assert usable_cores() == 1"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    ("outer", "inner", "cores"),
    [
        ("max 100000", "max 100000", None),
        ("max 100000", "150000 100000", 1.5),
        ("50000 100000", "400000 100000", 0.5),  # the narrowest of all its groups holds
    ],
)
def test_cores_are_no_more_than_the_cgroups_quota(
    outer: str, inner: str, cores: float | None, tmp_path: Path
) -> None:
    entries = tmp_path / "own"
    entries.write_text("1:cpu:/elsewhere\n0::/outer/inner\n")
    group = tmp_path / "cgroup" / "outer" / "inner"
    group.mkdir(parents=True)
    (group / "cpu.max").write_text(inner + "\n")
    (group.parent / "cpu.max").write_text(outer + "\n")
    quota = threads._quota(entries, tmp_path / "cgroup")
    assert quota == (cores or float("inf"))


def test_a_quota_becomes_openmps_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_affine_cores", lambda: 16)
    monkeypatch.setattr(threads, "_quota", lambda: 1.5)
    # Set and taken away again, so that the end of the test takes back what share_cores sets.
    for name in SETTINGS:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    threads.share_cores()
    assert os.environ["OMP_NUM_THREADS"] == "2"
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    threads.share_cores()
    assert os.environ["OMP_NUM_THREADS"] == "7"
