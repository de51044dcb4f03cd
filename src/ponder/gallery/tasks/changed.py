"""Picture + change -> picture: the same emoji with another skin, gender, hair or direction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ponder.gallery.tasks.schema import Candidate, Query, Task
from ponder.gallery.tasks.variants import families
from ponder.gallery.tasks.wording import draw

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ponder.gallery.shards import Row
    from ponder.gallery.tasks.schema import Part
    from ponder.gallery.tasks.variants import Variant

_ASKED = {
    "gender": ("a {}", "this time a {}"),
    "hair": ("with {} hair", "having {} hair"),
    "skin": ("with {} skin", "whose skin is {}", "in a {} skin tone"),
    "direction": ("facing {}", "looking to the {}", "turned {}"),
}
_OPENINGS = ("The same, but {}.", "This one, {}.", "Make it {}.", "{}, else the same.")


def changed_picture(rows: Sequence[Row], limit: int) -> Task:
    """Look for an emoji's picture by another of its family and what is to change.

    Easy: one thing changes. Hard: two or more do, so that the text alone names no picture's look
    and the picture alone misleads. Candidates are whole families, each in one style.

    Args:
        rows: one split of the Gallery, variants included.
        limit: queries and candidates at most.
    """
    found = families(rows)
    draw("changed", "families").shuffle(found)
    chosen: list[list[Variant]] = []
    room = limit
    seen: set[str] = set()
    for members in found:
        if len(members) <= room and (concept := members[0].row["concept"]) not in seen:
            seen.add(concept)
            chosen.append(members)
            room -= len(members)
    queries = [
        query
        for members in chosen
        for before in members
        for query in _queries(before, [one for one in members if one is not before])
    ]
    draw("changed", "queries").shuffle(queries)
    return Task(queries[:limit], [_candidate(one) for members in chosen for one in members])


def request(changes: dict[str, tuple[str, str]], *names: object) -> str:
    """Return what is to change as one of many sentences, drawn by `names`."""
    chosen = draw("request", *names)
    parts = [chosen.choice(_ASKED[key]).format(to) for key, (_, to) in changes.items()]
    sentence = chosen.choice(_OPENINGS).format(" and ".join(parts))
    return sentence[0].upper() + sentence[1:]


def _queries(before: Variant, others: Sequence[Variant]) -> list[Query]:
    """Return one easy and one hard query that begin with a picture, as far as there are."""
    changes = [(after, before.look.changes(after.look)) for after in others]
    one = [pair for pair in changes if len(pair[1]) == 1]
    more = [pair for pair in changes if len(pair[1]) > 1]
    chosen = draw("changed", before.row["id"])
    return [_query(before, *chosen.choice(pairs)) for pairs in (one, more) if pairs]


def _query(before: Variant, after: Variant, changes: dict[str, tuple[str, str]]) -> Query:
    part: Part = "easy" if len(changes) == 1 else "hard"
    chosen = draw("changed", before.row["id"], part)
    reasoning = ""
    if part == "hard":
        seen = chosen.choice(["The picture shows a {}.", "Now: {}.", "It starts as a {}."])
        steps = " and ".join(f"the {key} from {was} to {to}" for key, (was, to) in changes.items())
        kept = chosen.choice(["The rest stays.", "Nothing else changes.", "All else is kept."])
        reasoning = f"{seen.format(before.words())} Change {steps}. {kept}"
    return Query(
        id=f"{before.row['id']}@{part}",
        concept=before.row["concept"],
        part=part,
        right=after.row["id"],
        instruction="Find the picture that this one becomes after the change.",
        text=request(changes, before.row["id"], part),
        picture=before.row["picture"],
        reasoning=reasoning,
        answer=before.words(after.look),
    )


def _candidate(variant: Variant) -> Candidate:
    row = variant.row
    return Candidate(row["id"], row["concept"], picture=row["picture"], answer=variant.words())
