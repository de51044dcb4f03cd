"""What a person sees: hits at any width, names that would play with the terminal, Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.cells import cell_len

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "index")]
from file_samples import make_pdf, make_picture  # noqa: E402
from terminal import in_terminal, piped, unstyled  # noqa: E402

if TYPE_CHECKING:
    import subprocess

ESCAPE, TURN, C1 = "\x1b[2J\x1b]0;owned\x07", "\u202e", "\x9b31m"


@pytest.fixture(scope="module")
def top(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a page, a passage and a picture, and an index of it."""
    top = tmp_path_factory.mktemp("of a person with a rather long name")
    files = top / "files"
    files.mkdir()
    make_picture(files / "red.png", "red")
    make_pdf(files / "pages.pdf", ["one bicycle", "two"])
    (files / "note.txt").write_text("A castle. " * 40 + "Then a bicycle leans on a wall.\n")
    assert piped("index", files, "--index", top / "x").returncode == 0
    return top


@pytest.mark.parametrize("columns", [160, 80, 40])
def test_hits_fit_the_terminal_and_lose_nothing(top: Path, columns: int) -> None:
    status, screen = in_terminal("search", "bicycle", "--index", top / "x", columns=columns)
    assert status == 0
    shown = unstyled(screen)
    assert max(map(cell_len, shown.splitlines())) <= columns
    together = re.sub(r"\n *", "", shown)
    for name, kind, where in (
        ("note.txt", "passage", "line 1"),
        ("pages.pdf", "page", "page 2"),
        ("red.png", "picture", ""),
    ):
        assert f"{top / 'files' / name}{'  ' + where if where else ''}" in together
        assert re.search(rf"^ \d\.\d\d\d  {kind}\b", shown, re.MULTILINE)
    # A snippet has two lines at most and shows the word that was looked for, which stands out.
    assert re.search(r"…[^…]*a bicycle leans", together) or columns == 160
    assert re.search(r"\x1b\[[0-9;]*1m\x1b?\[?[0-9;m]*bicycle\x1b", screen)
    snippets = [line for line in shown.splitlines() if "castle" in line or "leans" in line]
    assert len(snippets) == 2


def test_a_pipe_gets_a_line_for_each_hit(top: Path) -> None:
    done = piped("search", "bicycle", "--index", top / "x", COLUMNS="20")
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert {len(row) for row in rows} == {5}
    by_place = {(Path(path).name, where): (kind, text) for _, kind, path, where, text in rows}
    assert by_place["pages.pdf", "page 1"] == ("page", "one bicycle")
    assert by_place["red.png", ""] == ("picture", "")
    assert [float(score) for score, *_ in rows] == sorted(float(row[0]) for row in rows)[::-1]


def test_nothing_that_files_say_reaches_the_terminal_as_a_command(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    names = {f"a{ESCAPE}.txt", f"b\n{TURN}gnp.txt", f"c{C1}.txt"}
    for name in names:
        (files / name).write_text(f"bicycle {ESCAPE}{TURN}{C1}\n")
    (files / f"bad{ESCAPE}\n.png").write_bytes(b"no picture")
    sheet, index = tmp_path / f"s{ESCAPE}.html", tmp_path / "x"
    for wanted, arguments in (
        (0, ["index", files, "--index", index]),
        (0, ["search", f"bicycle{ESCAPE}", "--html", sheet, "--index", index]),
        (0, ["status", "--index", index]),
        (1, ["search", "x", "--image", files / f"none{ESCAPE}\n.png", "--index", index]),
        (1, ["forget", files / f"none{ESCAPE}", "--index", index]),
        (1, ["status", "--index", tmp_path / f"y{ESCAPE}"]),
    ):
        status, screen = in_terminal(*arguments, columns=160)
        plain = unstyled(screen).replace("\x1b[?25l", "").replace("\x1b[?25h", "")
        if arguments[0] == "index":  # the progress bar draws
            plain = re.sub(r"\x1b\[\d*[AK]|\x1b\[1A\x1b\[2K|\r", "", plain)
        assert not re.findall(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", plain), (arguments, plain)
        assert "\\x1b[2J" in plain or (wanted, arguments[0]) == (0, "status")
        assert "Traceback" not in plain
        assert status == wanted
    hits = json.loads(piped("search", "bicycle", "--json", "--index", index).stdout)
    assert {Path(hit["path"]).name for hit in hits} == names


def test_ctrl_c_keeps_what_is_done_and_says_so(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    for i in range(200):
        (files / f"{i:03}.txt").write_text(f"word {i}\n")
    pressed: list[str] = []

    def press(process: subprocess.Popen[bytes], screen: str) -> None:
        if not pressed and re.search(r"[1-9]\d*/200", screen):
            pressed.append(screen)
            for _ in range(3):
                os.killpg(process.pid, 2)

    arguments = ("index", files, "--index", tmp_path / "x")
    status, screen = in_terminal(*arguments, during=press, DELAY_S="0.02")
    assert pressed, screen
    assert "0/200" in unstyled(pressed[0])  # the total was there from the start
    assert status == 130
    assert "Traceback" not in screen
    last = unstyled(screen).strip().splitlines()[-1]
    said = re.search(r"Stopped: (\d+) of 200 files are in the index; the same command", screen)
    assert said, last
    again = piped(*arguments)
    kept = 200 - int(re.match(r"(\d+) added", again.stdout)[1])  # type: ignore[index]
    assert 0 < int(said[1]) <= kept <= int(said[1]) + 1  # the one under way
