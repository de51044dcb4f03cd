"""The command line starts at once and tells a mistake in one line."""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = ("torch", "transformers", "lancedb", "pyarrow", "numpy", "PIL", "av", "pypdfium2")


def ponder(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ponder", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_help_and_import_load_nothing_heavy() -> None:
    code = (
        "import json, sys; sys.argv = ['ponder', '--help']\n"
        "import ponder, ponder.cli\n"
        "try:\n    ponder.cli.main()\n"
        "except SystemExit:\n    pass\n"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == []


def test_a_known_error_is_one_line(tmp_path) -> None:  # type: ignore[no-untyped-def]
    done = ponder("train", "align", str(tmp_path / "none.yaml"))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.replace("\n", "") == f"error: {tmp_path / 'none.yaml'}: no such file"


def test_every_verb_explains_itself() -> None:
    for verb in ("demo", "pull", "gallery", "embed", "index", "search", "train", "eval"):
        done = ponder(verb, "--help")
        assert done.returncode == 0, done.stderr
        assert "Usage: ponder" in done.stdout
