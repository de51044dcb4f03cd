"""`ponder search`: find what was indexed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from ponder.cli.arguments import UserPath, index_folder
from ponder.engine.trace import ThinkMode  # noqa: TC001 (read at run time, for the command line)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ponder.engine.trace import Trace


def search(
    text: str = "",
    *,
    image: UserPath | None = None,
    document: UserPath | None = None,
    page: int | None = None,
    k: Annotated[int, Parameter(name=("-k", "--k"))] = 10,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
    html: UserPath | None = None,
    index_dir: Annotated[UserPath | None, Parameter(name="--index")] = None,
    model: str = "nano",
    think: ThinkMode = "never",
    show_thoughts: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Search an index in words, by a picture, by a page, or by several of these as one question.

    Hits are printed for reading on a terminal, and elsewhere as lines of score, kind, path, place
    and snippet with tabs between.

    Args:
        text: what to look for.
        image: a picture to look for; together with TEXT, what both say as one.
        document: a PDF, of which a page is looked for.
        page: which page of it, from 1.
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
    from ponder.cli.console import give, note, stdout
    from ponder.cli.hits import lines, table
    from ponder.errors import PonderError
    from ponder.index.folder import check_folder
    from ponder.index.sheet import contact_sheet

    query = _query(text, image, document, page)
    if k < 1:
        raise PonderError(f"-k is how many hits to show, at least 1, not {k}")
    if html is not None:
        _check_parent(html)
    folder = index_folder(index_dir)
    check_folder(folder)
    index = ponder.Index(folder, ponder.load(model))
    vector, trace = index.embed(query, think=think)
    if show_thoughts:
        for line in _thought(trace):
            note(line)
    hits = index.nearest(vector, k)
    if as_json:
        give(json.dumps([hit.to_json() for hit in hits], indent=1))
    elif stdout.is_terminal:
        stdout.print(table(hits, text, stdout.width))
    else:
        for line in lines(hits):
            give(line)
    if html is not None:
        title = " + ".join(str(part) for part in (text, image, document) if part)
        html.write_text(contact_sheet([(title, hits)]), encoding="utf-8", errors="replace")
        note(f"wrote {html}")


def _query(
    text: str, image: Path | None, document: Path | None, page: int | None
) -> dict[str, Any]:
    """Return the question as one item."""
    from ponder.errors import PonderError

    if (document is None) != (page is None):
        raise PonderError("--document and --page go together: which page is looked for?")
    given = {"text": text or None, "image": image, "document": document, "page": page}
    query = {key: value for key, value in given.items() if value is not None}
    if not query:
        raise PonderError(
            "give words to search for, an --image, a --document with a --page, or several of them"
        )
    return query


def _check_parent(path: Path) -> None:
    """Find out before the work whether the file can be written."""
    from ponder.errors import PonderError
    from ponder.paths import printable

    if not path.parent.is_dir():
        raise PonderError(f"cannot write {printable(path)}: there is no folder of that name")
    if path.is_dir():
        raise PonderError(f"cannot write {printable(path)}: it is a folder")


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
    yield from trace.thought.splitlines()
