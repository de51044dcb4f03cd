"""Picture -> category: what kind of thing an emoji is, in Unicode's and OpenMoji's own terms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ponder.gallery.tasks.pictures import one_a_concept, plain
from ponder.gallery.tasks.schema import Query, Task, label
from ponder.gallery.tasks.wording import draw, group_words, sample, shorten, stems, tag_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ponder.gallery.shards import Row

_NO_KINDS = ("extras-openmoji", "extras-unicode")
"""OpenMoji's additions, whose subgroups are projects rather than kinds of things."""


def category(rows: Sequence[Row], subgroups: Mapping[str, str], limit: int) -> Task:
    """Look for the category of an emoji's picture among all categories.

    Easy: a word of the category is also a word of the picture's caption or key words.

    Args:
        rows: one split of the Gallery.
        subgroups: subgroup of each emoji's hexcode, by `hexcode`.
        limit: queries at most; one a concept and style, and then those of both styles mixed.
    """
    filed = [row for row in plain(rows) if kind_of(row, subgroups)]
    by_style = [
        one_a_concept([row for row in filed if row["style"] == style])
        for style in ("google", "openmoji")
    ]
    # In so large a split that both styles fit, a concept is seen in both.
    chosen = by_style[0] + by_style[1]
    if len(chosen) > limit:
        chosen = sample(one_a_concept(filed), limit, "category")
    return Task(
        [_query(row, kind_of(row, subgroups)) for row in chosen],
        [label(kind) for kind in kinds(subgroups)],
    )


def hexcode(row_id: str) -> str:
    """Return the codepoints of an emoji's row as hex, without the FE0F that styles vary."""
    code = row_id.partition("/")[2].upper()
    return "-".join(point for point in code.split("-") if point != "FE0F")


def kind_of(row: Row, subgroups: Mapping[str, str]) -> str:
    """Return a row's category as words, "" if it has none."""
    is_emoji = row["style"] in ("google", "openmoji")
    return subgroups.get(hexcode(row["id"]), "") if is_emoji else ""


def kinds(subgroups: Mapping[str, str]) -> list[str]:
    """Return all categories."""
    return sorted(set(subgroups.values()))


def kind_words(group: str, subgroup: str) -> str:
    """Return a category as words, "" for one that says nothing of the thing: "other" and such."""
    if group in _NO_KINDS or group == "component" or "other" in subgroup:
        return ""
    return f"{group_words(group)}: {subgroup.replace('-', ' ')}"


def _query(row: Row, kind: str) -> Query:
    own = {*stems(row["caption"]), *(stem for tag in row["tags"] for stem in stems(tag))}
    is_named = bool(own & set(stems(kind.partition(":")[2])))
    chosen = draw("category", row["id"])
    caption, tags = shorten(row["caption"]), tag_words(row)
    reasoning = ""
    if not is_named:
        seen = chosen.choice(["The picture shows {}.", "I see {}.", "This is {}."])
        filed = chosen.choice(["It belongs to {}.", "It is filed under {}.", "Its group is {}."])
        parts = [seen.format(caption), filed.format(group_words(row["group"]))]
        if tags:
            parts.insert(1, f"It goes with {', '.join(tags)}.")
        reasoning = " ".join(parts)
    return Query(
        id=row["id"],
        concept=row["concept"],
        part="easy" if is_named else "hard",
        right=label(kind).id,
        instruction="Find the category of what the picture shows.",
        picture=row["picture"],
        reasoning=reasoning,
        answer=", ".join([caption, *tags[:2], group_words(row["group"])]),
    )
