"""The Gallery's tasks keep their splits apart, and every query has one right candidate."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from ponder.errors import PonderError
from ponder.eval.gallery import built_tasks, tasks
from ponder.gallery.concepts import SPLITS
from ponder.gallery.tasks import TASKS, build, read_task
from ponder.gallery.tasks.build import write_tasks
from ponder.gallery.tasks.schema import CANDIDATES, QRELS, QUERIES, PictureStore, Task, write_task
from ponder.gallery.tasks.schema import Query as MadeQuery
from ponder.gallery.tasks.wording import MAX_WORDS
from ponder.model.thoughts import compose
from tests.gallery.tasks_sample import make_material

if TYPE_CHECKING:
    from pathlib import Path

Tables = dict[tuple[str, str], dict[str, list[dict[str, Any]]]]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tasks")
    patch = pytest.MonkeyPatch()
    patch.setattr("ponder.gallery.tasks.clock.FACES", 1)
    material = make_material(folder)
    write_tasks(material, folder / "one", {})
    write_tasks(material, folder / "other", {})
    patch.undo()
    return folder


@pytest.fixture(scope="module")
def tables(home: Path) -> Tables:
    found: Tables = {}
    for name in TASKS:
        for split in SPLITS:
            data = read_task(home / "one", name, split)
            assert data.queries.schema == QUERIES
            assert data.candidates.schema == CANDIDATES
            assert data.qrels.schema == QRELS
            found[name, split] = {key: vars(data)[key].to_pylist() for key in vars(data)}
    return found


def test_every_task_has_queries_of_both_parts(tables: Tables) -> None:
    for name in TASKS:
        parts = {query["part"] for split in SPLITS for query in tables[name, split]["queries"]}
        assert parts == {"easy", "hard"}, name
        for split in SPLITS:
            assert tables[name, split]["queries"], (name, split)


def test_no_concept_is_in_two_splits(tables: Tables) -> None:
    found: dict[str, set[str]] = defaultdict(set)
    for (_, split), data in tables.items():
        for row in data["queries"] + data["candidates"]:
            assert row["split"] == split
            assert row["concept"]
            for concept in row["concept"].split(" + "):
                if not concept.startswith("label/"):
                    # All pages of one document are in one split, not only each page.
                    found[concept.partition("#")[0]].add(split)
    assert {len(splits) for splits in found.values()} == {1}


def test_no_picture_is_in_two_splits(tables: Tables) -> None:
    found: dict[bytes, set[str]] = defaultdict(set)
    for (_, split), data in tables.items():
        for row in data["queries"] + data["candidates"]:
            if row["picture"]:
                found[row["picture"]].add(split)
    assert {len(splits) for splits in found.values()} == {1}


def test_each_query_has_one_right_candidate_and_no_qrel_dangles(tables: Tables) -> None:
    for data in tables.values():
        queries = [row["id"] for row in data["queries"]]
        candidates = {row["id"] for row in data["candidates"]}
        assert len(set(queries)) == len(queries)
        assert len(candidates) == len(data["candidates"])
        assert Counter(row["query"] for row in data["qrels"]) == dict.fromkeys(queries, 1)
        assert {row["candidate"] for row in data["qrels"]} <= candidates
        assert {row["gain"] for row in data["qrels"]} == {1}


def test_every_item_shows_or_says_something(tables: Tables) -> None:
    for name, data in tables.items():
        for row in data["queries"] + data["candidates"]:
            assert row["text"] or row["picture"], (name, row["id"])


def test_no_two_candidates_are_the_same(tables: Tables) -> None:
    for (name, split), data in tables.items():
        seen = Counter((row["text"].casefold(), row["picture"]) for row in data["candidates"])
        assert set(seen.values()) == {1}, (name, split)


def test_thoughts_are_short_and_hard_queries_reason(tables: Tables) -> None:
    for (name, _), data in tables.items():
        right = {row["query"]: row["candidate"] for row in data["qrels"]}
        for row in data["queries"]:
            assert bool(row["reasoning"]) == (row["part"] == "hard"), (name, row["id"])
            assert right[row["id"]] not in compose(row["reasoning"], row["answer"])
        for row in data["queries"] + data["candidates"]:
            words = f"{row['reasoning']} {row['answer']}".split()
            assert row["answer"]
            assert len(words) <= MAX_WORDS, row
            assert "{" not in " ".join(words)


def test_the_thoughts_of_one_kind_are_worded_in_more_than_one_way(tables: Tables) -> None:
    for name in set(TASKS) - {"clock"}:  # one wording leaves nothing to get wrong but the reading
        reasons = [row["reasoning"] for row in tables[name, "train"]["queries"]]
        begun = {" ".join(reason.split()[:2]) for reason in reasons if reason}
        assert len(begun) > 1, name


def test_the_same_gallery_gives_the_same_bytes(home: Path) -> None:
    one = sorted(path.relative_to(home / "one") for path in (home / "one").rglob("*.*"))
    assert len(one) == 3 * len(TASKS) + len(SPLITS) + 1
    assert all((home / "one" / n).read_bytes() == (home / "other" / n).read_bytes() for n in one)


@pytest.mark.parametrize("split", ["dev", "test"])
def test_the_old_tasks_are_as_the_gallery_alone_gives_them(home: Path, split: Any) -> None:
    old = tasks(home / "gallery", split)
    new = built_tasks(home / "one", [task.name for task in old], split)
    for before, after in zip(old, new, strict=True):
        assert (before.name, before.ids) == (after.name, after.ids)
        assert before.queries == after.queries
        assert before.candidates == after.candidates
        assert before.right.tolist() == after.right.tolist()
        assert len(before.queries) > 10


def test_the_manifest_counts_what_is_there(home: Path, tables: Tables) -> None:
    manifest = json.loads((home / "one/manifest.json").read_text())
    for (name, split), data in tables.items():
        parts = Counter(row["part"] for row in data["queries"])
        counts = manifest["counts"][name][split]
        assert counts == {**parts, "candidates": len(data["candidates"])} | {
            part: parts[part] for part in ("easy", "hard")
        }


def test_a_query_without_its_candidate_is_refused(tmp_path: Path) -> None:
    query = MadeQuery(id="a", concept="c", text="a", part="easy", right="nothing")
    with pytest.raises(ValueError, match="a has no right candidate"):
        write_task(tmp_path / "flag", {"train": Task([query], [])}, PictureStore())


def test_errors_name_the_command_and_the_tasks(tmp_path: Path, home: Path) -> None:
    with pytest.raises(PonderError, match="run `ponder gallery --tasks`"):
        read_task(tmp_path, "flag", "dev")
    with pytest.raises(PonderError, match="no task 'flags'; the tasks are caption_to_picture"):
        read_task(home / "one", "flags", "dev")
    (tmp_path / "manifest.json").write_text(json.dumps({"version": 0}))
    with pytest.raises(PonderError, match="version 0"):
        read_task(tmp_path, "flag", "dev")


def test_a_folder_of_something_else_is_refused(home: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(PonderError, match="something other than tasks"):
        build.build_tasks(home / "gallery", tmp_path)
    assert (tmp_path / "thesis.txt").exists()
