"""Variants of people: what their codepoints say, and requests that name what changes."""

from __future__ import annotations

import pytest

from ponder.gallery.tasks.changed import changed_picture, request
from ponder.gallery.tasks.foreign import root_is_shared
from ponder.gallery.tasks.manuals import clean, is_plain
from ponder.gallery.tasks.variants import Look, families, look_of
from ponder.gallery.tasks.wording import part, tag_words
from tests.gallery.tasks_sample import emoji_row, png


@pytest.mark.parametrize(
    ("emoji", "look"),
    [
        ("🧑‍🚀", Look()),
        ("👩🏿‍🚀", Look(gender="woman", skin="dark")),
        ("🏃🏼‍♂️‍➡️", Look(gender="man", skin="medium-light", direction="right")),
        ("👨‍🦰", Look(gender="man", hair="red")),
        ("🧑🏽‍🦲", Look(hair="no", skin="medium")),
        ("🎅", Look(gender="man")),
        ("🤶", Look(gender="woman")),
        ("👋🏻", Look(skin="light")),
        ("👩🏼‍🤝‍👨🏿", None),
        ("👩‍❤️‍👨", None),
    ],
)
def test_codepoints_tell_the_look(emoji: str, look: Look | None) -> None:
    assert look_of([ord(character) for character in emoji]) == look


def test_a_request_names_each_change_and_nothing_else() -> None:
    changes = Look(gender="man", skin="light").changes(Look(gender="woman", skin="dark"))
    assert changes == {"gender": ("man", "woman"), "skin": ("light", "dark")}
    for i in range(20):
        asked = request(changes, i)
        assert "woman" in asked
        assert "dark" in asked
        assert "light" not in asked
        assert "hair" not in asked


def runner(code: str, caption: str, picture: bytes) -> dict[str, object]:
    return emoji_row("google", code, caption, group="people-body", picture=picture)


def test_variants_drawn_alike_are_left_out() -> None:
    rows = [
        runner("1F3C3", "person running", png(1)),
        runner("1F3C3-200D-2642-FE0F", "man running", png(1)),
        runner("1F3C3-200D-2640-FE0F", "woman running", png(2)),
        runner("1F3C3-1F3FF", "person running: dark skin tone", png(3)),
    ]
    (members,) = families(rows)
    assert {one.words() for one in members} == {
        "person running, dark skin",
        "woman running, yellow skin",
    }


def test_the_right_picture_differs_in_what_is_asked_for() -> None:
    tones = {"1F3FB": "light", "1F3FF": "dark"}
    rows = [runner("1F3C3", "person running", png(0))]
    for i, (code, tone) in enumerate(tones.items()):
        rows.append(runner(f"1F3C3-{code}", f"person running: {tone} skin tone", png(i + 1)))
        rows.append(
            runner(f"1F3C3-{code}-200D-2640-FE0F", f"woman running: {tone} skin tone", png(i + 9))
        )
    task = changed_picture(rows, 100)
    assert {query.part for query in task.queries} == {"easy", "hard"}
    for query in task.queries:
        before = look_of([int(p, 16) for p in query.id.split("/")[1].split("@")[0].split("-")])
        after = look_of([int(p, 16) for p in query.right.split("/")[1].split("-")])
        assert before
        assert after
        changes = before.changes(after)
        assert (len(changes) == 1) == (query.part == "easy")
        assert all(to in query.text for _, to in changes.values())


def test_the_plain_rule_of_easy_and_hard() -> None:
    def row(caption: str, group: str) -> dict[str, object]:
        return {"caption": caption, "group": group, "tags": [], "id": "x"}

    assert part(row("red apple", "food-drink")) == "easy"
    assert part(row("red apple", "symbols")) == "hard"
    assert part(row("flag: Chad", "flags")) == "hard"
    assert part(row("girl in a wheelchair", "people")) == "hard"


def test_key_words_are_words_that_are_new() -> None:
    row = {"caption": "two hearts", "group": "smileys-emotion", "tags": ["<3", "heart", "love"]}
    assert tag_words(row) == ["love"]


def test_words_of_one_root() -> None:
    assert root_is_shared("Banane.", "banana")
    assert not root_is_shared("Apfel", "apple")
    assert not root_is_shared("りんご", "apple")


def test_headings_lose_their_numbers_and_dull_ones_are_left() -> None:
    assert clean("2.1  Installing R under Unix") == "Installing R under Unix"
    assert clean("R and statistics") == "R and statistics"
    assert clean("A.4 Vectors") == "Vectors"
    assert clean("Appendix B Lists") == "Lists"
    assert is_plain("The read.table function")
    assert not any(map(is_plain, ["Index", "Function index", "Table of Contents", "$x^2$", "13"]))
