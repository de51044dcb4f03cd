from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

import ponder
from ponder.cli import app, console

sys.path.insert(0, str(Path(__file__).parents[1] / "index"))
from colours import Colours
from file_samples import make_pdf, make_picture

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of files, with the small encoder in the place of the default model."""
    monkeypatch.setenv("PONDER_HOME", str(tmp_path / "home"))
    monkeypatch.setitem(vars(ponder), "load", Colours)
    top = tmp_path / "files"
    top.mkdir()
    make_picture(top / "red.png", "red")
    make_picture(top / "blue.png", "blue")
    make_pdf(top / "pages.pdf", ["one", "two"])
    (top / "note [bold].txt").write_text("A note.\n")
    return top


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command line in this process and return what it printed."""

    def run(*arguments: object) -> str:
        for name in ("stdout", "stderr"):  # the consoles hold the streams of the test before
            getattr(console, name).file = getattr(sys, name)
        app(
            [str(argument) for argument in arguments],
            exit_on_error=False,
            result_action="return_value",
        )
        return capsys.readouterr().out

    return run


def test_index_then_search(files: Path, tmp_path: Path, run: Callable[..., str]) -> None:
    assert run("index", files).startswith("4 added, 0 changed, 0 unchanged, 0 forgotten, 0 skipped")
    assert (tmp_path / "home" / "index.lance").is_dir()
    assert run("index", files).startswith("0 added, 0 changed, 4 unchanged")
    hits = json.loads(run("search", "red", "-k", 2, "--json"))
    assert [Path(hit["path"]).name for hit in hits[:1]] == ["red.png"]
    assert len(hits) == 2
    table = run("search", "red")
    assert "red.png" in table
    assert "page 2" in table
    assert "[bold]" in table
    by_picture = json.loads(run("search", "--image", files / "blue.png", "--json"))
    assert Path(by_picture[0]["path"]).name == "blue.png"
    both = json.loads(run("search", "red", "--image", files / "blue.png", "--json", "-k", 2))
    assert {Path(hit["path"]).name for hit in both} == {"red.png", "blue.png"}


def test_a_page_is_a_question(files: Path, run: Callable[..., str]) -> None:
    run("index", files)
    hits = json.loads(
        run("search", "two", "--document", files / "pages.pdf", "--page", 2, "-k", 1, "--json")
    )
    assert (Path(hits[0]["path"]).name, hits[0]["page"]) == ("pages.pdf", 2)


def test_a_contact_sheet_is_written(files: Path, tmp_path: Path, run: Callable[..., str]) -> None:
    run("index", files, "--index", tmp_path / "x.lance")
    run("search", "red", "--index", tmp_path / "x.lance", "--html", tmp_path / "out.html")
    page = (tmp_path / "out.html").read_text()
    assert page.count("data:image/jpeg") == 4
    assert "<title>red</title>" in page


def test_skipped_files_are_listed_and_strict_fails(
    files: Path, tmp_path: Path, run: Callable[..., str]
) -> None:
    (files / "bad.png").write_bytes(b"no picture")
    output = run("index", files)
    assert "1 skipped" in output
    assert f"{files / 'bad.png'}: not a picture in any known format" in output
    errors = pq.read_table(tmp_path / "home" / "index.lance" / "errors.parquet")
    assert errors.column("path").to_pylist() == [str(files / "bad.png")]
    with pytest.raises(SystemExit) as stop:
        run("index", files, "--strict")
    assert stop.value.code == 1
    (files / "bad.png").unlink()
    run("index", files, "--strict")


def test_one_reason_for_many_files_is_told_once(files: Path, run: Callable[..., str]) -> None:
    for number in range(7):
        (files / f"empty{number}.txt").touch()
    (files / "bad.png").write_bytes(b"no picture")
    lines = run("index", files).splitlines()
    assert lines[2:] == [
        "Skipped:",
        f"  {files / 'bad.png'}: not a picture in any known format",
        f"  7 files, {files / 'empty0.txt'} and others: the file is empty",
    ]


def test_what_is_in_only_in_part_is_listed(files: Path, run: Callable[..., str]) -> None:
    (files / "a.txt").write_text(f"An owl.\n\n{'x' * 5000}\n")
    lines = run("index", files, "--strict").splitlines()
    assert lines[2:] == [
        "In part:",
        f"  {files / 'a.txt'}: left out: 5,000 characters that look like data, not language",
    ]


def test_what_is_not_read_is_counted_by_suffix(files: Path, run: Callable[..., str]) -> None:
    for name in ("a.bin", "b.bin", "c.EXE", "LICENCE", ".a", ".b"):
        (files / name).write_bytes(b"x")
    output = run("index", files)
    assert "4 of other kinds: 2 .bin, 1 .exe, 1 without a suffix; 2 hidden" in output
    for number in range(10):
        (files / f"a.x{number}").write_bytes(b"x")
    output = run("index", files)
    assert "14 of other kinds: 2 .bin, " in output
    assert ", 5 of 5 more suffixes; 2 hidden" in output


def test_another_model_is_refused_until_re_embedded(files: Path, run: Callable[..., str]) -> None:
    run("index", files)
    with pytest.raises(ponder.PonderError, match=r"ponder index --re-embed .* --model other"):
        run("search", "red", "--model", "other")
    with pytest.raises(ponder.PonderError, match=r"ponder index --re-embed .* --model other"):
        run("index", files, "--model", "other")
    assert run("index", "--re-embed", "--model", "other").startswith("4 added")
    assert "red.png" in run("search", "red", "--model", "other")


def test_help_says_what_is_read(run: Callable[..., str]) -> None:
    text = run("index", "--help")
    for kind in ("HEIC", "PDF", "MKV", "source code", "EPUB", "ponder[formats]", "DOCX"):
        assert kind in text
    assert "HEIC" not in run("--help")


def test_wrong_use_is_one_error(files: Path, run: Callable[..., str]) -> None:
    for arguments in (
        ["index"],
        ["index", files, "--re-embed"],
        ["search"],
        ["search", "x", "-k", 0],
        ["search", "--document", files / "pages.pdf"],
        ["search", "x", "--page", 1],
        ["forget"],
    ):
        with pytest.raises(ponder.PonderError):
            run(*arguments)
    with pytest.raises(ponder.PonderError, match="ponder index PATH"):
        run("search", "red")


def test_embed(files: Path, tmp_path: Path, run: Callable[..., str]) -> None:
    rows = [{"id": "a", "text": "red"}, {"image": str(files / "red.png")}, {"image": "no.png"}]
    source, target = tmp_path / "in.jsonl", tmp_path / "out.parquet"
    source.write_text("\n".join(map(json.dumps, rows)))
    first, reason = run("embed", source, target).splitlines()
    assert first == "2 embedded, 0 finished before, 1 bad"
    assert reason.startswith("  line 3: ")
    assert "no such file" in reason
    assert pq.read_table(target).column("id").to_pylist() == ["a", "line 2"]
    assert run("embed", source, target).startswith("0 embedded, 2")
    with pytest.raises(SystemExit) as stop:
        run("embed", source, target, "--strict")
    assert stop.value.code == 1


def test_embed_fails_where_nothing_could_be_embedded(
    files: Path, tmp_path: Path, run: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.parquet"
    source.write_text('{"image": "no.png"}\n' * 7)
    with pytest.raises(SystemExit) as stop:
        run("embed", source, target)
    assert stop.value.code == 1
    output = capsys.readouterr().out
    assert output.count("no such file") == 5
    assert output.endswith(f"  and 2 more, in {tmp_path / 'out.errors.parquet'}\n")
    source.write_text("")
    run("embed", source, tmp_path / "empty.parquet", "--strict")


@pytest.mark.nano
def test_with_the_real_model(tmp_path: Path) -> None:
    top = tmp_path / "files"
    top.mkdir()
    make_picture(top / "red.png", "red", (128, 128))
    make_pdf(top / "pages.pdf", ["one"])
    name = os.path.join(os.fsencode(top), b"caf\xe9.txt")  # noqa: PTH118 (bytes)
    with open(name, "wb") as file:  # noqa: PTH123
        file.write(b"The owl hunts at night in the old forest.\n")
    (top / "bad.png").write_bytes(b"no picture")

    def ponder_(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable,
            "-m",
            "ponder",
            *map(str, arguments),
            "--index",
            str(tmp_path / "x"),
        ]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    first = ponder_("index", top)
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.startswith("3 added")
    assert "bad.png: not a picture" in first.stdout
    again = ponder_("index", top, "--strict")
    assert again.returncode == 1
    assert "0 embedded" in again.stdout
    found = ponder_("search", "The owl hunts at night in the old forest.", "--json")
    assert found.stderr == ""
    hits = json.loads(found.stdout)
    assert [hit["kind"] for hit in hits].count("passage") == 1
    assert hits[0]["path"].endswith("caf\\xe9.txt")
