"""Which emoji show one idea, and how a variant is marked."""

import pytest

from ponder.gallery.emoji import SKIN_TONES, family, variant


def hexcode(emoji: str) -> str:
    return "-".join(f"{ord(character):04X}" for character in emoji)


@pytest.mark.parametrize(
    "group",
    [
        "🧑‍🚀 👩🏽‍🚀 👨‍🚀 👨🏿‍🚀",
        "🧔 🧔‍♂️ 🧔🏻‍♀️",
        "🏃 🏃‍♀️ 🏃🏾‍♂️‍➡️ 🏃‍➡️",
        "👭 👫 👬 🧑‍🤝‍🧑 👩🏼‍🤝‍👨🏿",
        "💏 👩‍❤️‍💋‍👨 👨🏻‍❤️‍💋‍👨🏿",
        "👪 👨‍👩‍👧‍👦 👩‍👧 🧑‍🧑‍🧒",
        "🧑 👨 👩🏽 👩‍🦰 🧑🏾‍🦲",
        "🤝 🤝🏽 🫱🏻‍🫲🏿",
        "🎅 🤶🏾 🧑‍🎄",
        "⛹️ ⛹🏽‍♂️ ⛹️‍♀️",
        "☂ ☂️",
    ],
)
def test_variants_are_one_family(group: str) -> None:
    assert len({family(hexcode(emoji)) for emoji in group.split()}) == 1


@pytest.mark.parametrize(
    "group",
    [
        "🇫🇷 🇩🇪 🏴󠁧󠁢󠁥󠁮󠁧󠁿 🏴󠁧󠁢󠁳󠁣󠁴󠁿 🏴 🏳️ 🏳️‍🌈",
        "🧑‍🚀 🧑‍🚒 🧑‍🍳 🧑 🚀",
        "♂️ ♀️ ➡️",
        "👶 🧒 🧑 🧓",
        "🐻 🐻‍❄️",
        "🙂 🙂‍↔️",
    ],
)
def test_different_ideas_are_different_families(group: str) -> None:
    emoji = group.split()
    assert len({family(hexcode(one)) for one in emoji}) == len(emoji)


@pytest.mark.parametrize(
    ("emoji", "expected"),
    [
        ("🧑‍🚀", ""),
        ("❤️", ""),
        ("🇫🇷", ""),
        ("👩‍🚀", "form"),
        ("🧑🏽‍🚀", "skin-tone:medium"),
        ("👩🏽‍🚀", "skin-tone:medium,form"),
        ("🫱🏻‍🫲🏿", "skin-tone:light+dark,form"),
        ("👋🏿", "skin-tone:dark"),
    ],
)
def test_variant_says_how_it_differs(emoji: str, expected: str) -> None:
    assert variant(hexcode(emoji)) == expected


def test_no_family_keeps_a_skin_tone() -> None:
    tones = {f"{tone:04X}" for tone in SKIN_TONES}
    assert not tones & set(
        family("1F469-1F3FB-200D-2764-FE0F-200D-1F48B-200D-1F468-1F3FF").split("-")
    )
