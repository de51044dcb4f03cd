"""The Gallery's tasks put the right question to the right candidates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from ponder.eval.gallery import CANDIDATES, tasks
from ponder.gallery.shards import SCHEMA, write

if TYPE_CHECKING:
    from pathlib import Path


def row(style: str, number: int, variant: str = "", caption: str = "") -> dict[str, object]:
    code = f"{0x1F600 + number:X}"
    blank = dict.fromkeys(SCHEMA.names)
    return blank | {
        "id": f"{style}/{code}{'-' + variant if variant else ''}",
        "concept": f"emoji/{code}",
        "split": "test",
        "variant": variant,
        "picture": f"{style} {number} {variant}".encode(),
        "caption": caption or f"thing {number}",
        "style": style,
    }


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    rows = [row(style, i) for i in range(600) for style in ("openmoji", "google")]
    rows += [row("openmoji", i, "1F3FF") for i in range(50)]
    rows += [row("openmoji", 700, caption="Thing 3"), row("google", 701)]
    write(tmp_path, rows, {})
    return tmp_path


def test_each_query_has_its_own_concept_as_the_right_answer(gallery: Path) -> None:
    to_picture, to_caption, cross = tasks(gallery, "test")
    assert [task.name for task in (to_picture, to_caption, cross)] == [
        "caption_to_picture",
        "picture_to_caption",
        "cross_style",
    ]
    for task in (to_picture, to_caption, cross):
        assert len(task.queries) == len(task.candidates) == len(task.ids) == CANDIDATES
    for i, caption in enumerate(to_picture.queries):
        picture = to_picture.candidates[to_picture.right[i]].decode()
        assert picture.split()[1] == caption.split()[1] or caption == "Thing 3"
    assert to_caption.candidates[to_caption.right[7]] == to_picture.queries[7]
    for i, query in enumerate(cross.queries):
        answer = cross.candidates[cross.right[i]].decode()
        assert query.decode().replace("google", "openmoji") == answer


def test_no_variant_and_no_name_twice(gallery: Path) -> None:
    to_picture, _, cross = tasks(gallery, "test")
    names = [caption.casefold() for caption in to_picture.queries]
    assert len(set(names)) == len(names)
    assert not any(b"1F3FF" in picture for picture in to_picture.candidates + cross.candidates)


def test_the_same_folder_gives_the_same_tasks(gallery: Path) -> None:
    first, second = tasks(gallery, "test"), tasks(gallery, "test")
    assert [task.ids for task in first] == [task.ids for task in second]
    assert np.array_equal(first[0].right, second[0].right)
