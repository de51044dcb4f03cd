"""A contact sheet: one HTML file that shows hits, needs no other file, and links to theirs."""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ponder.index.hits import Hit

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --dim: #888; --bar: #4a7dbd; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem }
h1 { font-size: 1.3rem; font-weight: 600; margin: 2rem 0 .2rem }
h1 + p { color: var(--dim); margin: 0 0 1.5rem }
ol { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr));
     list-style: none; margin: 0; padding: 0 }
li { border: 1px solid var(--line); border-radius: .5rem; display: flex; flex-direction: column;
     overflow: hidden }
.view { align-items: center; background: #fff; color: #222; display: flex; height: 11rem;
        justify-content: center; overflow: hidden }
.view img { max-height: 100%; max-width: 100% }
.view q { align-self: flex-start; font: 14px/1.5 Georgia, serif; padding: .8rem 1rem; quotes: none }
.bar { background: var(--line); height: 4px }
.bar div { background: var(--bar); height: 100% }
.note { padding: .6rem .8rem }
.note b { font-variant-numeric: tabular-nums; font-weight: 600 }
.note span { color: var(--dim); float: right }
.note p { margin: .2rem 0 0; overflow-wrap: anywhere }
a { color: inherit; text-decoration: none }
a:hover, a:focus { text-decoration: underline }
.note small { color: var(--dim); display: block; margin-top: .3rem; max-height: 4.2em;
              overflow: hidden }
"""


def contact_sheet(searches: Sequence[tuple[str, Sequence[Hit]]]) -> str:
    """Return an HTML page with a section for each search and a card for each hit, best first.

    Args:
        searches: pairs of what was searched for, as a person would say it, and what was found.
    """
    title = searches[0][0] if len(searches) == 1 else f"{len(searches)} searches"
    sections = "\n".join(_section(query, hits) for query, hits in searches)
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n{sections}\n</html>\n"
    )


def _section(query: str, hits: Sequence[Hit]) -> str:
    cards = "\n".join(_card(hit) for hit in hits)
    count = f"{len(hits)} hit" + ("s" if len(hits) != 1 else "")
    return f"<h1>{escape(query)}</h1>\n<p>{count}</p>\n<ol>\n{cards}\n</ol>"


def _card(hit: Hit) -> str:
    width = max(0.0, min(1.0, hit.score)) * 100
    if hit.thumbnail:
        data = base64.b64encode(hit.thumbnail).decode()
        view = f'<img alt="" src="data:image/jpeg;base64,{data}">'
        words = f"<small>{escape(hit.snippet)}</small>" if hit.snippet else ""
    else:
        view, words = f"<q>{escape(hit.snippet)}</q>", ""
    if hit.thought:
        words += f"<small>{escape(hit.thought)}</small>"
    place = f" · {hit.where}" if hit.where else ""
    link = escape(hit.link)
    return (
        f'<li><a class="view" href="{link}">{view}</a>'
        f'<div class="bar"><div style="width:{width:.1f}%"></div></div>'
        f'<div class="note"><b>{hit.score:.3f}</b><span>{escape(hit.kind + place)}</span>'
        f'<p><a href="{link}">{escape(hit.path)}</a></p>{words}</div></li>'
    )
