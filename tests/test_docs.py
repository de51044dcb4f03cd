"""README does what it says: its Python runs as it stands, and so do its command lines."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image, ImageDraw

from ponder.cli import app, console
from ponder.home import home

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.nano

TOP = Path(__file__).parents[1]
README = (TOP / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
# Lines of code may name several commands; a comment explains them.
COMMANDS = [
    shlex.split(command.replace("align|sft|gate|rl|latent", "align"))[1:]
    for line in re.findall(r"^    (ponder .*)$", README, re.MULTILINE)
    for command in line.partition("  #")[0].split(" · ")
]
RUN = ("index", "search", "status", "forget", "embed", "show")  # the others take minutes, or a net


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The files that README speaks of, in a home and a working folder of their own."""
    kept = tmp_path / "ponder"
    kept.mkdir()
    (kept / "nano").symlink_to(home() / "nano")
    monkeypatch.setenv("PONDER_HOME", str(kept))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in ("Pictures/old", "papers"):
        (tmp_path / name).mkdir(parents=True)
    for number, name in enumerate(
        ("cat.jpg", "car.png", "red.png", "dog.jpg", "Pictures/a.png", "Pictures/old/b.png")
    ):
        picture = Image.new("RGB", (120, 90), "white")
        ImageDraw.Draw(picture).ellipse((20, 20, 60 + 10 * number, 80), fill="red")
        picture.save(tmp_path / name)
    pages = [Image.new("RGB", (200, 280), colour) for colour in ("white", "grey", "red")]
    pages[0].save(tmp_path / "f.pdf", save_all=True, append_images=pages[1:])
    (tmp_path / "papers" / "note.md").write_text("# A red bicycle\n\nIt leans on a wall.\n")
    (tmp_path / "rows.jsonl").write_text('{"text": "a red bicycle"}\n')
    return tmp_path


def test_the_python_runs_as_it_stands(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {}
    exec(BLOCKS[0], names)
    *similarity, first, _, _ = capsys.readouterr().out.splitlines()
    assert re.fullmatch(
        r"\[\[ ?-?\d\.\d+ +-?\d\.\d+\] \[ ?-?\d\.\d+ +-?\d\.\d+\]\]",
        " ".join(line.strip() for line in similarity),
    )
    assert first.endswith(f"{folder}/papers/note.md line 3")
    exec(BLOCKS[1], names)
    assert re.match(r"0\.\d+ ", capsys.readouterr().out)
    assert len(BLOCKS) == 2


def test_the_command_lines_run(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("stdout", "stderr"):  # the consoles hold the streams of the test before
        monkeypatch.setattr(getattr(console, name), "file", getattr(sys, name))
    assert {command[0] for command in COMMANDS} >= set(RUN)
    for command in COMMANDS:
        if command[0] in RUN:
            app(command, exit_on_error=False, result_action="return_value")
        else:
            app.parse_args(command, exit_on_error=False, print_error=False)
    output = capsys.readouterr().out
    assert "3 added" in output
    assert "1 file forgotten" in output
    assert "1 embedded" in output
