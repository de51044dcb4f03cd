"""Picture pair + question -> relation: what two pictures have in common, or how they differ."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from ponder.gallery.tasks.category import kind_of, kinds
from ponder.gallery.tasks.drawing import to_png
from ponder.gallery.tasks.pictures import one_a_concept, plain
from ponder.gallery.tasks.schema import Query, Task, label
from ponder.gallery.tasks.variants import families
from ponder.gallery.tasks.wording import draw, group_words, sample, shorten, tag_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ponder.gallery.shards import Row
    from ponder.gallery.tasks.variants import Variant

WIDTH, HEIGHT = 320, 160
INSTRUCTION = "Find the answer to the question about the two pictures."
_COMMON = (
    "What do these two have in common?",
    "Which kind of thing are both?",
    "What are the left and the right one both?",
)
_CHANGE = (
    "What changes from the left picture to the right one?",
    "How does the right picture differ from the left one?",
    "What is different on the right?",
)


def relation(rows: Sequence[Row], subgroups: Mapping[str, str], limit: int) -> Task:
    """Ask for the category of two emoji of one subgroup, or for the change between two variants.

    Easy: the two of one subgroup share a key word; the two variants differ in one thing.

    Args:
        rows: one split of the Gallery, variants included.
        subgroups: as for `category`.
        limit: queries at most, half of each sort.
    """
    queries = _common(rows, subgroups, limit // 2) + _changes(rows, limit - limit // 2)
    told = {query.right: query.right.removeprefix("label:") for query in queries}
    answers = dict.fromkeys([*kinds(subgroups), *sorted(told.values())])
    return Task(queries, [label(answer) for answer in answers])


def beside(left: bytes, right: bytes) -> bytes:
    """Return two pictures side by side on white as PNG."""
    from PIL import Image, ImageOps

    from ponder.media import read_picture

    page = Image.new("RGB", (WIDTH, HEIGHT), "white")
    for i, encoded in enumerate((left, right)):
        cell = (WIDTH // 2 - 8, HEIGHT - 8)
        picture = ImageOps.contain(read_picture(encoded), cell, Image.Resampling.LANCZOS)
        x = WIDTH // 4 * (1 + 2 * i) - picture.width // 2
        page.paste(picture, (x, (HEIGHT - picture.height) // 2))
    return to_png(page)


def change_words(changes: Mapping[str, tuple[str, str]]) -> str:
    """Return changes as a phrase: "the skin goes from light to dark"."""
    parts = [f"the {key} goes from {was} to {to}" for key, (was, to) in changes.items()]
    return " and ".join(parts)


def _common(rows: Sequence[Row], subgroups: Mapping[str, str], limit: int) -> list[Query]:
    by_kind: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for style in ("google", "openmoji"):
        for row in one_a_concept([row for row in plain(rows) if row["style"] == style]):
            if kind := kind_of(row, subgroups):
                by_kind[kind, style].append(row)
    pairs = []
    for (kind, style), members in sorted(by_kind.items()):
        chosen = draw("common", kind, style).sample(members, len(members))
        pairs += [(kind, a, b) for a, b in zip(chosen, [*chosen[1:], chosen[0]], strict=True)]
    # In a kind of two members the second pair is the first turned round.
    distinct = {frozenset((a["id"], b["id"])): (kind, a, b) for kind, a, b in pairs if a is not b}
    return [_common_query(*pair) for pair in sample(list(distinct.values()), limit, "common")]


def _common_query(kind: str, a: Row, b: Row) -> Query:
    shared = set(a["tags"]) & set(b["tags"])
    chosen = draw("common", a["id"], b["id"])
    names = shorten(a["caption"], 6), shorten(b["caption"], 6)
    reasoning = ""
    if not shared:
        seen = chosen.choice(["Left: {}; right: {}.", "I see {} and {}.", "One is {}, one is {}."])
        parts = [seen.format(*names)]
        tags = [", ".join(tag_words(row)[:2]) for row in (a, b)]
        if all(tags):
            parts.append(f"The first goes with {tags[0]}, the second with {tags[1]}.")
        both = chosen.choice(
            ["Both are filed under {}.", "Both belong to {}.", "Their group is {}."]
        )
        parts.append(both.format(group_words(a["group"])))
        reasoning = " ".join(parts)
    return Query(
        id=f"{a['id']}+{b['id']}",
        concept=" + ".join(dict.fromkeys([a["concept"], b["concept"]])),
        part="easy" if shared else "hard",
        right=label(kind).id,
        instruction=INSTRUCTION,
        text=chosen.choice(_COMMON),
        picture=beside(a["picture"], b["picture"]),
        reasoning=reasoning,
        answer=f"{names[0]} and {names[1]}: {group_words(a['group'])}",
    )


def _changes(rows: Sequence[Row], limit: int) -> list[Query]:
    pairs: list[tuple[Variant, Variant]] = []
    for members in families(rows):
        for before in members:
            chosen = draw("change", before.row["id"])
            others = [one for one in members if one is not before]
            for number in (1, 2):
                found = [one for one in others if len(before.look.changes(one.look)) == number]
                if found:
                    pairs.append((before, chosen.choice(found)))
    return [_change_query(*pair) for pair in sample(pairs, limit, "change")]


def _change_query(before: Variant, after: Variant) -> Query:
    changes = before.look.changes(after.look)
    chosen = draw("change", before.row["id"], after.row["id"])
    reasoning = ""
    if len(changes) > 1:
        seen = chosen.choice(["Left: {}. Right: {}.", "First {}, then {}.", "From {} to {}."])
        kept = chosen.choice(["The rest is the same.", "Nothing else differs.", "Else alike."])
        reasoning = f"{seen.format(before.words(), after.words())} {kept}"
    return Query(
        id=f"{before.row['id']}+{after.row['id']}",
        concept=before.row["concept"],
        part="easy" if len(changes) == 1 else "hard",
        right=label(change_words(changes)).id,
        instruction=INSTRUCTION,
        text=chosen.choice(_CHANGE),
        picture=beside(before.row["picture"], after.row["picture"]),
        reasoning=reasoning,
        answer=change_words(changes),
    )
