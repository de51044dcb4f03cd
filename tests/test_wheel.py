"""The built wheel works where there is no checkout: weights, data and entry point are in it."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.net
def test_the_wheel_searches_in_an_empty_environment(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment |= {"PONDER_HOME": str(tmp_path / "home"), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}

    def run(*command: object) -> str:
        done = subprocess.run(
            [str(part) for part in command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", "dist", TOP)
    [wheel] = (tmp_path / "dist").glob("ponder-*.whl")
    run(sys.executable, "-m", "venv", "env")
    torch = f"torch=={version('torch').partition('+')[0]}"
    pip = (tmp_path / "env" / "bin" / "python", "-m", "pip", "install", "--quiet")
    run(*pip, "--constraint", TOP / "constraints.txt", torch, wheel)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "owl.md").write_text("# Owls\n\nThe owl hunts at night.\n")
    (tmp_path / "notes" / "bread.txt").write_text("Bread rises in a warm kitchen.\n")
    ponder = tmp_path / "env" / "bin" / "ponder"
    run(ponder, "pull", "nano")
    assert run(ponder, "index", "notes").startswith("2 added")
    first, _ = run(ponder, "search", "a bird that hunts in the dark").splitlines()
    assert "owl.md" in first
