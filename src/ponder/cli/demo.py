"""`ponder demo`: a thousand real pictures, searched six ways, and thoughts about the questions."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from ponder.cli.arguments import UserPath  # noqa: TC001 (read at run time)

if TYPE_CHECKING:
    from ponder.index.hits import Hit


def demo(*, out: UserPath = Path("demo")) -> None:
    """Pull nano, build the small Gallery, index a thousand pictures, and search them six ways.

    Then the model that thinks says of each question what it would think, and whether it would.

    Args:
        out: folder for the files, the index and the contact sheet; used again by a second call.
    """
    import ponder
    from ponder.cli.console import bar, say, stages, stdout
    from ponder.demo import make_files, pair_question, questions, thoughts
    from ponder.gallery import build, default_folder
    from ponder.index.sheet import contact_sheet
    from ponder.model.pull import pull_nano

    began = time.perf_counter()
    stdout.print("[bold]1[/] nano: real weights, a vision tower and a language model")
    pull_nano(show_progress=True)
    stdout.print("[bold]2[/] the Gallery: emoji in two styles, with their names")
    with stages() as report:
        gallery = build("demo", default_folder("demo"), report)
    files = make_files(gallery, out / "files")

    stdout.print("[bold]3[/] indexing [dim](a second run has nothing left to do)[/]")
    model = ponder.load("nano")
    index = ponder.Index(out / "index.lance", model)
    with bar("Looking for files", "Indexing") as tell:
        indexed = index.add(files, tell=tell)
    stdout.print(
        f"  {indexed.added} files added, {indexed.unchanged} unchanged, "
        f"{indexed.embedded} embedded in {indexed.seconds:.0f} s",
        highlight=False,
    )

    stdout.print("[bold]4[/] six searches")
    asked = questions(gallery)
    sheets: list[tuple[str, list[Hit]]] = []
    for question in asked:
        start = time.perf_counter()
        hits = index.search(question.query, k=4)
        ms = 1000 * (time.perf_counter() - start)
        stdout.print(f"\n[bold]{question.title}[/] [dim]{ms:.0f} ms[/]", highlight=False)
        for hit in hits:
            stdout.print(f"  {hit.score:.3f}  {hit.kind:8} {_name(hit)}", highlight=False)
        sheets.append((question.title, hits))
    sheet = out / "demo.html"
    sheet.write_text(contact_sheet(sheets), encoding="utf-8")

    stdout.print("\n[bold]5[/] thinking first: the same questions, and one more, to nano-think")
    asked.append(pair_question(gallery))
    for question, trace, thought in thoughts(ponder.load("nano-think"), asked):
        would = "thinks" if trace.mode == "always" else "does not think"
        stdout.print(
            f"\n[bold]{question.title}[/]\n  the gate says {trace.gate:.0%}, so it {would}",
            highlight=False,
        )
        say(f"  {thought}")
    seconds = time.perf_counter() - began
    stdout.print(f"\nAll of it took {seconds:.0f} s. Look at the hits: [bold]{sheet}[/]")
    stdout.print(f'Search on: ponder search "a slice of pizza" --index {out / "index.lance"}')


def _name(hit: Hit) -> str:
    return f"{Path(hit.path).name} {hit.where}".strip()
