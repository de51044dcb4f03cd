"""The Gallery's tasks put the right question to the right candidates."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ponder.eval.gallery import CANDIDATES, built_tasks, tasks
from ponder.gallery.shards import SCHEMA, write
from ponder.gallery.tasks.schema import VERSION, Candidate, PictureStore, Query, Task, write_task

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


def test_a_built_task_gives_items_and_where_the_right_one_stands(tmp_path: Path) -> None:
    query = Query(
        id="q",
        concept="x",
        part="hard",
        right="b",
        text="Whose?",
        picture=b"p",
        instruction="Find.",
    )
    bare = Query(id="r", concept="x", part="easy", right="a", text="words.png")
    candidates = [Candidate("a", "x", text="one"), Candidate("b", "y", picture=b"two")]
    pictures = PictureStore()
    write_task(tmp_path / "flag", {"dev": Task([query, bare], candidates)}, pictures)
    pictures.write(tmp_path / "pictures")
    (tmp_path / "manifest.json").write_text(json.dumps({"version": VERSION}))
    (task,) = built_tasks(tmp_path, ["flag"], "dev")
    assert task.queries == [{"image": b"p", "text": "Whose?", "instruction": "Find."}, "words.png"]
    assert task.candidates == ["one", b"two"]
    assert task.right.tolist() == [1, 0]
    assert task.ids == ["q", "r"]


def test_published_choices_do_not_move(gallery: Path) -> None:
    to_picture, _, cross = tasks(gallery, "test")
    # Results that were published are of these; another order of drawing is another task.
    assert to_picture.ids[:4] == ["google/1F6AF", "openmoji/1F6E4", "google/1F6BD", "google/1F719"]
    assert cross.ids[:4] == ["google/1F7D0", "google/1F76B", "google/1F688", "google/1F77C"]
