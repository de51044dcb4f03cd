"""Heading -> document page, from manuals' own outlines."""

from __future__ import annotations

import io
import re
from collections import Counter
from typing import TYPE_CHECKING

from ponder.gallery.tasks.manuals import read_headings
from ponder.gallery.tasks.schema import Candidate, Query, Task
from ponder.gallery.tasks.wording import draw, sample, shorten
from ponder.media import Limits, read_pages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ponder.gallery.tasks.manuals import Heading, Manual
    from ponder.media import Page

SIDE = 320
"""Longer side of a page's picture in pixels: headings can be read, the running text cannot."""


def page(manuals: Sequence[Manual], limit: int) -> Task:
    """Look for the page on which a heading of a manual stands, among all pages with headings.

    Easy: the heading's words stand, one after the other, on no other of these pages. Hard: they
    do, or are not found as text at all, so the page must be told by what the section is about.

    Args:
        manuals: of one split.
        limit: queries at most.
    """
    headings = [(manual, one) for manual in manuals for one in read_headings(manual.file)]
    often = Counter(one.text.casefold() for _, one in headings)
    headings = [(manual, one) for manual, one in headings if often[one.text.casefold()] == 1]
    headings = sample(headings, limit, "page", *(manual.name for manual in manuals))
    wanted = {(manual.name, one.page) for manual, one in headings}
    pages = {
        (manual.name, found.number): (manual, found)
        for manual in manuals
        for found in read_pages(manual.file, Limits(page_side=SIDE))
        if (manual.name, found.number) in wanted
    }
    texts = [_flat(found.text) for _, found in pages.values()]
    queries = [
        _query(manual, one, sum(_flat(one.text) in text for text in texts))
        for manual, one in headings
    ]
    return Task(queries, [_candidate(manual, found) for manual, found in pages.values()])


def _query(manual: Manual, heading: Heading, pages: int) -> Query:
    chosen = draw("page", manual.name, heading.text)
    reasoning = ""
    if pages != 1:
        chapter = [part for part in heading.chapter if part][-1:]
        where = f"the chapter {chapter[0]} of " if chapter else ""
        told = chosen.choice(
            [
                "This heading belongs to {where}{title}.",
                "In the manual this stands under {where}{title}.",
                "It is part of {where}{title}.",
            ]
        ).format(where=where, title=manual.title)
        looked = chosen.choice(
            [
                "Look for a page on which it opens a section.",
                "The page must have it as a heading, not in passing.",
                "Many pages mention it; this one is about it.",
            ]
        )
        reasoning = f"{told} {looked}"
    about = f", from {manual.title}" if reasoning else ""
    return Query(
        id=f"{manual.name}/{heading.text}",
        concept=_concept(manual, heading.page),
        part="hard" if reasoning else "easy",
        right=_name(manual, heading.page),
        instruction="Find the document page on which this heading stands.",
        text=heading.text,
        reasoning=reasoning,
        answer=f"{shorten(heading.text, 14)}{about}",
    )


def _candidate(manual: Manual, page: Page) -> Candidate:
    encoded = io.BytesIO()
    page.picture.convert("L").save(encoded, "PNG")
    words = re.findall(r"[A-Za-z][A-Za-z'-]+", page.text)
    return Candidate(
        _name(manual, page.number),
        _concept(manual, page.number),
        picture=encoded.getvalue(),
        reasoning=f"A page of a manual. It begins: {' '.join(words[:12])}.",
        answer=" ".join(words[:6]),
    )


def _name(manual: Manual, number: int) -> str:
    return f"{manual.name}#{number}"


def _concept(manual: Manual, number: int) -> str:
    return f"{manual.concept}#{number}"


def _flat(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))
