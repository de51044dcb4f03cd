"""Putting a row's own metadata into words, in more ways than one.

A thought is made of what its own item shows or says and of what its row's metadata knows. Nothing
here sees the item it is to be matched with.
"""

from __future__ import annotations

import hashlib
import random
import re
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ponder.gallery.shards import Row
    from ponder.gallery.tasks.schema import Part

T = TypeVar("T")

MAX_TAGS = 4
"""Key words a thought mentions."""

MAX_WORDS = 45
"""Words of a thought; about 60 tokens."""

_TAG = re.compile(r"[^\W\d_]([^\W\d_]|[ '-]){1,19}")  # a word or a few, no emoticon or folder
_SYMBOLIC = re.compile(r"symbol|flag|sign|unicode|openmoji|shapes|special|icon")


def draw(*names: object) -> random.Random:
    """Return a random generator that is the same wherever these names are."""
    digest = hashlib.sha256("/".join(map(str, names)).encode()).digest()
    return random.Random(int.from_bytes(digest[:8]))


def part(row: Row) -> Part:
    """Tell whether a row is plain to name: one to three plain words, and no sign, symbol or flag.

    This is the rule of all tasks between pictures and captions.
    """
    words = row["caption"].split()
    is_plain = len(words) <= 3 and all(word.isalpha() for word in words)
    return "easy" if is_plain and not _SYMBOLIC.search(row["group"] or "") else "hard"


def group_words(group: str) -> str:
    """Return a group's name as words: "food-drink" is "food and drink"."""
    collection = {"extras-openmoji": "extra signs", "extras-unicode": "signs"}
    return collection.get(group, group.replace("-", " and ").replace("_", " "))


def tag_words(row: Row) -> list[str]:
    """Return up to `MAX_TAGS` of a row's short key words that its caption and group lack."""
    said = {*stems(row["caption"]), *stems(row["group"] or "")}
    plain = (tag for tag in row["tags"] or () if _TAG.fullmatch(tag))
    return list(dict.fromkeys(tag for tag in plain if not said & set(stems(tag))))[:MAX_TAGS]


def stems(text: str) -> list[str]:
    """Return a text's words, lower case, without plural endings."""
    words = re.findall(r"[^\W_]+", text.lower())
    return [word[:-1] if len(word) > 3 and word.endswith("s") else word for word in words]


def picture_thought(row: Row) -> tuple[str, str]:
    """Return the reasoning and answer for a row's picture; a plain one needs no reasoning."""
    chosen = draw("picture", row["id"])
    caption = shorten(row["caption"])
    if part(row) == "easy":
        return "", chosen.choice(["{}", "a picture of {}", "a drawing that shows {}"]).format(
            caption
        )
    group, tags = group_words(row["group"]), tag_words(row)
    seen = chosen.choice(["The picture shows {}.", "I see {}.", "This looks like {}."])
    placed = chosen.choice(["It belongs to {}.", "Its subject is {}.", "It is filed under {}."])
    parts = [seen.format(caption), placed.format(group)]
    if tags:
        related = chosen.choice(["It goes with {}.", "Key words: {}.", "It makes me think of {}."])
        parts.append(related.format(", ".join(tags)))
    return " ".join(parts), ", ".join([caption, *tags[:2]])


def words_thought(row: Row) -> tuple[str, str]:
    """Return the reasoning and answer for a row's caption; a plain one needs no reasoning."""
    chosen = draw("words", row["id"])
    caption = shorten(row["caption"])
    if part(row) == "easy":
        return "", chosen.choice(["{}", "a picture of {}", "{}, drawn"]).format(caption)
    group, tags = group_words(row["group"]), tag_words(row)
    named = chosen.choice(
        ["The words name something of {}.", "This is filed under {}.", "Its subject is {}."]
    )
    parts = [named.format(group)]
    if tags:
        related = chosen.choice(
            ["Expect {} in the picture.", "It has to do with {}.", "Related words: {}."]
        )
        parts.append(related.format(", ".join(tags)))
    return " ".join(parts), ", ".join([caption, *tags[:2]])


def shorten(text: str, words: int = 10) -> str:
    """Return the first words of a text."""
    return " ".join(text.split()[:words])


def sample(items: Sequence[T], limit: int, *names: object) -> list[T]:
    """Return at most `limit` items in an order drawn by `names`."""
    return draw(*names).sample(list(items), min(limit, len(items)))
