"""`ponder search`: find what was indexed."""

from __future__ import annotations

import json
from pathlib import Path  # noqa: TC003 (read at run time, for the command line)
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from ponder.engine.trace import ThinkMode  # noqa: TC001 (read at run time, for the command line)
from ponder.home import home

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.table import Table

    from ponder.engine.trace import Trace
    from ponder.index.hits import Hit


def search(
    text: str = "",
    *,
    image: Path | None = None,
    k: Annotated[int, Parameter(name=("-k", "--k"))] = 10,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
    html: Path | None = None,
    index_dir: Annotated[Path | None, Parameter(name="--index")] = None,
    model: str = "nano",
    think: ThinkMode = "never",
    show_thoughts: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Search an index in words, by a picture, or by both together.

    Args:
        text: what to look for.
        image: a picture to look for; together with TEXT, what both say as one.
        k: how many hits.
        as_json: print the hits as a JSON list.
        html: also write a contact sheet, one HTML file with thumbnails.
        index_dir: the index's folder; by default index.lance in ponder's cache folder
            ($PONDER_HOME).
        model: the model it was indexed with.
        think: whether to think about the query first; auto leaves it to the model's gate.
        show_thoughts: say what the gate made of the query, and the thought.
    """
    import ponder
    from ponder.cli.console import stderr, stdout
    from ponder.errors import PonderError
    from ponder.index.sheet import contact_sheet

    if not text and image is None:
        raise PonderError("give words to search for, an --image, or both")
    if k < 1:
        raise PonderError(f"-k is how many hits to show, at least 1, not {k}")
    query: dict[str, Any] = {"text": text} if text else {}
    if image is not None:
        query["image"] = image
    index = ponder.Index(index_dir or home() / "index.lance", ponder.load(model))
    vector, trace = index.embed(query, think=think)
    if show_thoughts:
        for line in _thought(trace):
            stderr.print(line, soft_wrap=True, highlight=False, markup=False)
    hits = index.nearest(vector, k)
    if as_json:
        stdout.out(json.dumps([hit.to_json() for hit in hits], indent=1), highlight=False)
    else:
        stdout.print(_table(hits))
    if html is not None:
        title = " + ".join([*([text] if text else []), *([str(image)] if image else [])])
        html.write_text(contact_sheet([(title, hits)]), encoding="utf-8", errors="replace")
        stderr.print(f"wrote {html}", soft_wrap=True, highlight=False, markup=False)


def _thought(trace: Trace) -> Iterator[str]:
    """Say what became of the query before it was embedded."""
    gate = "" if trace.gate is None else f" (the gate gives a thought {trace.gate:.0%})"
    if trace.latent_steps:
        yield f"{trace.latent_steps} latent steps, {trace.think_ms:.0f} ms{gate}"
        return
    if trace.thought is None:
        yield f"no thought{gate}"
        return
    cut = ", cut" if trace.was_cut else ""
    yield f"thought for {trace.thought_tokens} tokens, {trace.think_ms:.0f} ms{cut}{gate}:"
    yield trace.thought


def _table(hits: Sequence[Hit]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("score", justify="right")
    table.add_column("kind")
    table.add_column("path", overflow="fold", ratio=3)
    table.add_column("where", no_wrap=True)
    table.add_column("snippet", no_wrap=True, overflow="ellipsis", ratio=2)
    for hit in hits:
        cells = (f"{hit.score:.3f}", hit.kind, hit.path, hit.where, hit.snippet)
        table.add_row(*(Text(cell) for cell in cells))
    return table
