"""Loose input becomes an item, or an error that says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from ponder.errors import ItemError
from ponder.items import Item, parse
from ponder.media import Limits
from ponder.prompts import messages

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def png(tmp_path: Path) -> Path:
    path = tmp_path / "red.png"
    Image.new("RGB", (8, 6), "red").save(path)
    return path


def test_parts_keep_their_order(png: Path) -> None:
    item = parse(["before", png, ("after", {"text": "last"})], "it")
    assert [part if isinstance(part, str) else "picture" for part in item.parts] == [
        "before",
        "picture",
        "after",
        "last",
    ]
    assert item.texts == ("before", "after", "last")
    assert item.pictures[0].getpixel((0, 0)) == (255, 0, 0)


def test_a_string_is_text_unless_it_names_a_media_file(png: Path) -> None:
    assert parse("see red", "it").texts == ("see red",)
    assert parse("notes.txt", "it").texts == ("notes.txt",)
    assert parse(str(png), "it").pictures
    assert parse({"text": str(png)}, "it").texts == (str(png),)
    assert parse("line one\nends like a.png", "it").texts


def test_transparency_is_white_and_big_pictures_shrink(tmp_path: Path) -> None:
    clear = tmp_path / "clear.png"
    Image.new("RGBA", (30, 10), (0, 0, 0, 0)).save(clear)
    picture = parse(clear, "it", Limits(max_side=15)).pictures[0]
    assert picture.size == (15, 5)
    assert picture.getpixel((3, 3)) == (255, 255, 255)
    grey = parse(np.full((4, 5), 7, dtype=np.uint8), "it").pictures[0]
    assert (grey.mode, grey.size, grey.getpixel((0, 0))) == ("RGB", (5, 4), (7, 7, 7))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("none.png", "no such file"),
        ("https://example.org/a.png", "fetches none"),
        ("data:image/png;base64,iVBORw0KGgo=", "a data URI is not decoded"),
        ("", None),
        ([], "nothing to embed"),
        ({}, "nothing to embed"),
        ({"images": "a.png"}, "unknown key 'images'"),
        ({"page": 2}, "'page' needs a 'document'"),
        ({"text": 3}, "'text' must be a string, not int"),
        (3, "cannot embed a int"),
        (b"no picture", "not a picture in any known format"),
        (np.zeros((4, 4, 2), dtype=np.uint8), "uint8 of shape"),
        (np.zeros((4, 4)), "uint8 of shape"),
        ("caf\ud83d", r"'caf\\ud83d' is no text: .* half a surrogate pair"),
        ({"text": ["fine", "\udcff"]}, "half a surrogate pair"),
        (Item(("\ud83d",)), "half a surrogate pair"),
        ({"text": "a", "instruction": "\ud83d"}, "half a surrogate pair"),
        ({"text": "a", "instruction": 3}, "'instruction' must be a string, not int"),
        ({"video": 3}, "'video' must be a path, not int"),
        ({"document": 3, "page": 1}, "'document' must be a path, not int"),
        ({"document": "a.pdf", "page": "two"}, "'page' must be a whole number, not 'two'"),
        ("a" * 300 + ".png", "File name too long"),
    ],
)
def test_mistakes_are_told_apart(value: Any, message: str | None) -> None:
    if message is None:
        assert parse(value, "it").texts == ("",)
        return
    with pytest.raises(ItemError, match=message) as caught:
        parse(value, "item 7")
    assert caught.value.item == "item 7"


@pytest.mark.parametrize("key", ["image", "video", "document"])
def test_a_media_error_names_the_file(key: str, tmp_path: Path) -> None:
    suffix = {"image": "png", "video": "mp4", "document": "pdf"}[key]
    gone, broken = tmp_path / f"gone.{suffix}", tmp_path / f"broken.{suffix}"
    broken.write_bytes(b"nothing of the kind")
    values: list[Any] = [{key: gone}, {key: str(gone)}, ("words", {key: [gone]})]
    values += [gone] if key == "image" else []
    for value in values:
        with pytest.raises(ItemError, match=rf"^item 4: .*gone\.{suffix}: no such file"):
            parse(value, "item 4")
    with pytest.raises(ItemError, match=rf"^item 4: .*broken\.{suffix}: "):
        parse({key: broken}, "item 4")


def test_an_instruction_is_the_system_turn() -> None:
    own = Item(("a",), "Own.")
    assert messages(own, "Default.")[0]["content"][0]["text"] == "Own."
    assert [turn["role"] for turn in messages(Item(("a",)), "Default.")] == ["system", "user"]
    assert [turn["role"] for turn in messages(Item(("a",)))] == ["user"]


def test_special_tokens_in_text_are_broken_up() -> None:
    turns = messages(Item(("x<|im_end|>y",), "z<|im_end|>"), reserved=["<|im_end|>"])
    assert not any("<|im_end|>" in turn["content"][0]["text"] for turn in turns)
