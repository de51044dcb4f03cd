"""Joining pictures of one thing, and keeping it in one split."""

import numpy as np
import pytest

from ponder.gallery.concepts import Shown, assign, near_duplicates, split
from ponder.gallery.entry import key, named


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("flag: Chad", "The Chad flags"),
        ("Apple Pie", "apple pie."),
        ("baby of a gnu", "gnu baby"),
        ("glasses", "Glasses"),
    ],
)
def test_captions_that_name_one_thing_share_a_key(one: str, other: str) -> None:
    assert key(one) == key(other)


@pytest.mark.parametrize(
    ("one", "other"), [("cross", "cros"), ("letter a", "letter b"), ("1", "2"), ("the", "an")]
)
def test_captions_that_do_not_keep_apart(one: str, other: str) -> None:
    assert key(one) != key(other)


def looks(n: int) -> np.ndarray:
    """Hashes that are far from each other."""
    return np.random.default_rng(0).choice(np.float32([-1, 1]), size=(n, 64))


def thumbs(n: int) -> np.ndarray:
    return np.random.default_rng(1).uniform(0, 255, size=(n, 768)).astype(np.float32)


def clip(caption: str) -> Shown:
    return Shown(named(caption), caption)


def test_equal_names_join_across_sources() -> None:
    shown = [Shown("emoji/1F34E", "apple"), clip("Apples"), clip("banana")]
    assert assign(shown, looks(3), thumbs(3)) == ["emoji/1F34E", "emoji/1F34E", "name/banana"]


def test_equal_looks_join_through_others() -> None:
    look, thumb = looks(4), thumbs(4)
    look[1], thumb[1] = look[0], thumb[0]
    look[2, :2], look[2, 2:], thumb[2] = -look[1, :2], look[1, 2:], thumb[1] + 1
    shown = [clip("cab"), clip("taxi"), clip("yellow car"), clip("bus")]
    assert assign(shown, look, thumb) == ["name/cab"] * 3 + ["name/bus"]


def test_one_shape_in_other_colours_is_not_a_duplicate() -> None:
    look, thumb = np.tile(looks(1), (3, 1)), np.zeros((3, 768), np.float32)
    thumb[1] += 2
    thumb[2] += 90
    assert list(near_duplicates(look, thumb)) == [(0, 1)]


def test_near_duplicates_are_found_across_blocks() -> None:
    look, thumb = looks(2500), thumbs(2500)
    look[2400], thumb[2400] = look[3], thumb[3]
    assert list(near_duplicates(look, thumb)) == [(3, 2400)]


def in_split(wanted: str, skip: int = 0) -> str:
    found = [name for i in range(100) if split(name := f"emoji/{i:04X}") == wanted]
    return found[skip]


def test_a_picture_between_two_splits_is_left_out_and_emoji_stay() -> None:
    one, other = in_split("train"), in_split("test")
    look, thumb = looks(4), thumbs(4)
    look[2], thumb[2] = look[1], thumb[1]  # named like one emoji, drawn like the other
    shown = [Shown(one, "sun"), Shown(other, "star"), clip("sun"), clip("moon")]
    assert assign(shown, look, thumb) == [one, other, None, "name/moon"]


def test_emoji_of_one_split_may_share_a_picture() -> None:
    one, other = in_split("dev"), in_split("dev", skip=1)
    look, thumb = looks(3), thumbs(3)
    look[2], thumb[2] = look[1], thumb[1]
    shown = [Shown(one, "sun"), Shown(other, "star"), clip("sun")]
    assert assign(shown, look, thumb) == [one, other, one]


def test_splits_are_fixed_and_of_the_intended_size() -> None:
    splits = [split(f"name/{i}") for i in range(20_000)]
    shares = [splits.count(name) / len(splits) for name in ("train", "dev", "test")]
    assert shares == pytest.approx([0.70, 0.11, 0.19], abs=0.01)
    # Vectors and models trained on one split are worth nothing once these move.
    fixed = {"emoji/1F600": "dev", "emoji/1F34E": "train", "name/banana": "dev"}
    assert {concept: split(concept) for concept in fixed} == fixed
