"""Each parser hands the right queries, candidates and gold on, from the official layout."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from ponder.errors import ItemError
from ponder.eval.mmeb.layout import Layout
from ponder.eval.mmeb.parsers import PARSERS, parse
from ponder.eval.mmeb.questions import SUBSETS
from ponder.eval.mmeb.retrieval import MOST_PIXELS, Content, MmebError
from ponder.eval.mmeb.tasks import MmebTask, chosen_tasks, read_tasks
from ponder.media import DEFAULT_LIMITS
from tests.eval.mmeb.bundle import (
    IMAGES,
    encoded,
    image_row,
    page_rows,
    picture,
    write_frames,
    write_picture,
    write_rows,
)

if TYPE_CHECKING:
    from pathlib import Path

    from ponder.eval.mmeb.retrieval import Retrieval

QUESTION = "Given a video and a question, select the most accurate answer from the provided"


def task(name: str, queries: int) -> MmebTask:
    """Return a task that has fewer queries than the protocol says."""
    (found,) = chosen_tasks(name)
    return replace(found, queries=queries)


def parsed(folder: Path, name: str, queries: int) -> Retrieval:
    return parse(task(name, queries), Layout(folder))


def frames(folder: Path, kind: str, *names: str) -> None:
    for number, name in enumerate(names):
        write_frames(folder / "video-tasks" / "frames" / kind / name, ["red", "blue"][number % 2])


def test_the_table_is_the_benchmark() -> None:
    tasks = read_tasks()
    assert len({task.name for task in tasks}) == 78
    assert {task.parser for task in tasks} == set(PARSERS)
    counts = {m: sum(task.modality == m for task in tasks) for m in ("image", "video", "visdoc")}
    assert counts == {"image": 36, "video": 18, "visdoc": 24}
    assert len(chosen_tasks("V-MRET,VDRv2,HMDB51")) == 3 + 4 + 1


def test_classes_are_texts_of_which_the_first_is_right(tmp_path: Path) -> None:
    rows = [
        image_row(tmp_path, qry_img_path="N/red.png", qry_text="A caption", tgt_text=["a", "b"]),
        image_row(tmp_path, qry_img_path="N/blue.png", tgt_text=["b", "c"]),
    ]
    write_rows(tmp_path / IMAGES, rows, "N24News")
    found = parsed(tmp_path, "N24News", 2)
    assert list(found.candidates) == ["a", "b", "c"]
    assert [query.among for query in found.queries] == [("a", "b"), ("b", "c")]
    assert [query.right for query in found.queries] == [{"a": 1.0}, {"b": 1.0}]
    first = found.queries[0].content
    assert first.instruction == "Represent the given image for classification"
    assert first.text == "A caption"
    assert [path.name for path in first.pictures] == ["red.png"]
    assert found.candidates["a"] == Content("a")


def test_pictures_for_words_are_told_apart_by_their_path(tmp_path: Path) -> None:
    row = image_row(
        tmp_path,
        qry_inst="<|image_1|> Find a Wikipedia image that answers this question:",
        qry_text="Which?",
        tgt_inst="<|image_1|>\nRepresent the given Wikipedia image with related text information:",
        tgt_text=["one", "two", "another"],
        tgt_img_path=["W/red_0.png", "W/blue_0.png", "W/red_0.png"],
    )
    write_rows(tmp_path / IMAGES, [row], "WebQA")
    found = parsed(tmp_path, "WebQA", 1)
    assert {key: content.text for key, content in found.candidates.items()} == {
        "W/red_0.png": "one",
        "W/blue_0.png": "two",
    }
    (query,) = found.queries
    assert query.content.pictures == ()
    assert query.content.instruction == "Find a Wikipedia image that answers this question:"
    assert query.among == ("W/red_0.png", "W/blue_0.png", "W/red_0.png")
    assert query.right == {"W/red_0.png": 1.0}


def test_crops_of_one_picture_are_told_apart_by_their_words(tmp_path: Path) -> None:
    row = image_row(
        tmp_path,
        qry_img_path="R/red.png",
        qry_text='"left man"',
        tgt_inst="<|image_1|>\nSelect the portion of the image that follows the expressions:",
        tgt_text=['"left man"', '"right man"'],
        tgt_img_path=["R/blue.png", "R/blue.png"],
    )
    write_rows(tmp_path / IMAGES, [row], "RefCOCO-Matching")
    found = parsed(tmp_path, "RefCOCO-Matching", 1)
    assert list(found.candidates) == ["R/blue.png:left man", "R/blue.png:right man"]
    assert found.queries[0].right == {"R/blue.png:left man": 1.0}
    assert found.candidates["R/blue.png:right man"].text == '"right man"'


def test_labels_of_videos_are_those_of_the_whole_data_set(tmp_path: Path) -> None:
    write_rows(tmp_path / "VLM2Vec/HMDB51", [{"video_id": "v1", "pos_text": "wave"}])
    frames(tmp_path, "video_cls/HMDB51", "v1")
    found = parsed(tmp_path, "HMDB51", 1)
    assert len(found.candidates) == 51
    (query,) = found.queries
    assert query.among is None
    assert query.right == {"wave": 1.0}
    # 12 frames in the order of their numbers, eight of them: numpy.linspace(0, 11, 8, dtype=int)
    names = [path.name for path in query.content.pictures]
    assert names == [f"frame_{i}.jpg" for i in (0, 1, 3, 4, 6, 7, 9, 11)]
    assert query.content.instruction.startswith("What actions or objects interactions are")


def test_something_something_has_choices_of_its_own(tmp_path: Path) -> None:
    row = {"video_id": 7, "pos_text": "b", "neg_text": ["a", "b", "c"]}
    write_rows(tmp_path / "VLM2Vec/SmthSmthV2", [row, row])
    frames(tmp_path, "video_cls/SSv2", "7")
    found = parsed(tmp_path, "SmthSmthV2", 1)  # of more rows the first ones are the protocol's
    assert [(query.among, query.right) for query in found.queries] == [
        (("a", "b", "c"), {"b": 1.0})
    ]


QUESTIONS: dict[str, tuple[str, dict[str, Any], str, str, list[str], str]] = {
    # repository and subset; a row; its folder of frames; the query; candidates; the right one
    "Video-MME": (
        "VLM2Vec/Video-MME",
        {"videoID": "x", "question": "What?", "options": ["A. One.", "B. Two."], "answer": "B"},
        "x",
        "What?\nA. One.\nB. Two.",
        ["One", "Two"],
        "B. Two.",
    ),
    "NExTQA": (
        "VLM2Vec/NExTQA:MC",
        {"video": 5, "question": "why", "answer": 2, **{f"a{i}": f"o{i}" for i in range(5)}},
        "5",
        "why\nOptions:\n(A) o0\n(B) o1\n(C) o2\n(D) o3\n(E) o4",
        ["o0", "o1", "o2", "o3", "o4"],
        "o2",
    ),
    "EgoSchema": (
        "VLM2Vec/EgoSchema:Subset",
        {"video_idx": "e", "question": "Why?", "answer": "0", "option": ["A. yes", "B. no"]},
        "e",
        "Why?A. yes B. no",
        ["yes", "no"],
        "A. yes",
    ),
    "ActivityNetQA": (
        "VLM2Vec/ActivityNetQA",
        {"video_name": "n", "question": "is it", "answer": "no"},
        "v_n",
        "is it? (A) yes; (B) no.",
        ["yes", "no"],
        "no",
    ),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_questions_about_videos(tmp_path: Path, name: str) -> None:
    place, row, video, text, texts, right = QUESTIONS[name]
    repo, _, subset = place.partition(":")
    write_rows(tmp_path / repo, [row], subset)
    frames(tmp_path, f"video_qa/{name}", video)
    found = parsed(tmp_path, name, 1)
    (query,) = found.queries
    assert query.content.text == text
    assert query.content.instruction.startswith(QUESTION)
    assert len(query.content.pictures) == 8
    assert [content.text for content in found.candidates.values()] == texts
    assert query.right == {right: 1.0}


def test_mvbench_joins_its_subsets(tmp_path: Path) -> None:
    row = {"video": "v.mp4", "question": "Which?", "candidates": ["up", "down"], "answer": "down"}
    for subset in SUBSETS:
        write_rows(tmp_path / "VLM2Vec/MVBench", [row], subset, "train")
        frames(tmp_path, f"video_qa/MVBench/{subset}", "v.mp4")
    found = parsed(tmp_path, "MVBench", 20)
    assert {query.content.text for query in found.queries} == {"Which?\nOptions:\n(A) up\n(B) down"}
    assert list(found.candidates) == ["(A) up", "(B) down"]
    assert found.queries[0].right == {"(B) down": 1.0}


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("DiDeMo", {"video": "video/clip.mp4", "caption": "red"}),
        ("MSR-VTT", {"video_id": "clip", "video": "clip.mp4", "caption": "red"}),
        ("MSVD", {"video_id": "clip", "video": "clip.avi", "caption": ["red", "more"]}),
        ("VATEX", {"videoID": "clip", "enCap": ["red", "more"]}),
        ("YouCook2", {"id": "clip", "video_path": "clip.mp4", "sentence": "red"}),
    ],
)
def test_every_video_is_a_candidate_of_every_description(
    tmp_path: Path, name: str, row: dict[str, Any]
) -> None:
    (known,) = chosen_tasks(name)
    key = next(iter(row))
    other = row | {key: row[key].replace("clip", "other")}
    write_rows(tmp_path / known.repo, [row, other], known.subset, known.split)
    frames(tmp_path, f"video_ret/{name}", "clip", "other")
    found = parsed(tmp_path, name, 2)
    assert list(found.candidates) == ["clip", "other"]
    assert [query.right for query in found.queries] == [{"clip": 1.0}, {"other": 1.0}]
    assert found.queries[0].content.text == "red"
    assert found.queries[0].among is None
    assert len(found.candidates["other"].pictures) == 8
    assert found.candidates["clip"].instruction == "Understand the content of the provided video."
    # A trial asks fewer queries among all the candidates.
    trial = parse(task(name, 2), Layout(tmp_path), limit=1)
    assert (len(trial.queries), len(trial.candidates)) == (1, 2)


def test_moments_are_found_among_the_folders_of_their_video(tmp_path: Path) -> None:
    write_rows(tmp_path / "VLM2Vec/QVHighlight", [{"query": "a dog", "video_path": "x/v1.mp4"}])
    clips = ["negative_clip_1", "positive_clip", "query"]
    frames(tmp_path, "video_mret/QVHighlight", *(f"v1/{clip}" for clip in clips))
    found = parsed(tmp_path, "QVHighlight", 1)
    (query,) = found.queries
    assert query.among == ("v1/negative_clip_1", "v1/positive_clip")
    assert query.right == {"v1/positive_clip": 1.0}
    assert query.content.text == "a dog"
    assert all("/query/" in path.as_posix() for path in query.content.pictures)


@pytest.mark.parametrize(
    ("shown", "pictures", "words"),
    [("", 0, "given text:"), ("q.jpg", 1, "text and image:"), ("s/q.mp4", 12, "video segment:")],
)
def test_moment_seeker_asks_in_three_ways(
    tmp_path: Path, shown: str, pictures: int, words: str
) -> None:
    row = {
        "query": "a dog",
        "positive_frames": [{"output_path": "a/1.mp4"}, {"output_path": "a/2.mp4"}],
        "negative_frames": [{"output_path": "a/3.mp4"}],
        "input_frames": shown,
    }
    write_rows(tmp_path / "VLM2Vec/MomentSeeker", [row])
    folder = "video_mret/MomentSeeker/video_frames"
    frames(tmp_path, folder, "a_1", "a_2", "a_3", "s_q")
    write_picture(tmp_path / "video-tasks/frames/video_mret/MomentSeeker/query_q.jpg", "green")
    found = parsed(tmp_path, "MomentSeeker", 1)
    (query,) = found.queries
    assert query.content.instruction.endswith(words)
    assert len(query.content.pictures) == pictures
    assert query.among == ("video_frames/a_1", "video_frames/a_2", "video_frames/a_3")
    assert query.right == {"video_frames/a_1": 1.0, "video_frames/a_2": 1.0}


def pages(folder: Path, name: str, gains: dict[str, dict[Any, int]], ids: list[Any]) -> None:
    (known,) = chosen_tasks(name)
    for subset, rows in page_rows(gains, ids).items():
        write_rows(folder / known.repo, rows, subset, known.split)


def test_pages_keep_their_gains(tmp_path: Path) -> None:
    pages(tmp_path, "ViDoSeek-doc", {"q1": {30: 3, 10: 2, 20: 0}, "q2": {20: 1}}, [10, 20, 30, 40])
    found = parsed(tmp_path, "ViDoSeek-doc", 2)
    assert list(found.candidates) == [30, 10, 20, 40]  # as the reference walks them
    assert found.queries[0].right == {30: 3.0, 10: 2.0}
    assert found.queries[0].content == Content(
        "what is q1", (), "Find a document image that matches the given query:"
    )
    item = found.candidates[40].to_item("page", DEFAULT_LIMITS)
    assert item.pictures[0].size == (64, 48)


def test_pages_of_visrag_are_called_by_text(tmp_path: Path) -> None:
    pages(tmp_path, "VisRAG_SlideVQA", {"q1": {"deck-p2.png": 1}}, ["deck-p1.png", "deck-p2.png"])
    found = parsed(tmp_path, "VisRAG_SlideVQA", 1)
    assert found.queries[0].right == {"deck-p2.png": 1.0}


def test_a_picture_is_read_as_large_as_the_protocol_allows(tmp_path: Path) -> None:
    path = tmp_path / "wide.png"
    path.write_bytes(encoded(picture("red", (4000, 500))))
    shown = Content("", (path,)).to_item("wide", DEFAULT_LIMITS).pictures[0]
    assert 0.98 * MOST_PIXELS < shown.width * shown.height <= MOST_PIXELS
    assert shown.width / shown.height == pytest.approx(8, rel=0.01)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(MmebError, match=r"HMDB51: no annotations .*`hf download VLM2Vec/HMDB51"):
        parsed(tmp_path, "HMDB51", 1)
    write_rows(tmp_path / "VLM2Vec/HMDB51", [{"video_id": "v1", "label": "wave"}])
    with pytest.raises(MmebError, match="no column 'pos_text', only video_id, label"):
        parsed(tmp_path, "HMDB51", 1)
    write_rows(tmp_path / "VLM2Vec/UCF101", [{"video_id": "v1", "pos_text": "Kayaking"}])
    with pytest.raises(MmebError, match="UCF101: no folder of frames 'v1'"):
        parsed(tmp_path, "UCF101", 1)


def test_fewer_queries_than_the_protocol_has_are_no_score(tmp_path: Path) -> None:
    write_rows(tmp_path / "VLM2Vec/HMDB51", [{"video_id": "v1", "pos_text": "wave"}])
    frames(tmp_path, "video_cls/HMDB51", "v1")
    with pytest.raises(MmebError, match="HMDB51 has 1 queries here, the protocol 1,000"):
        parsed(tmp_path, "HMDB51", 1000)


def test_a_path_that_leads_out_of_the_bundle_is_refused(tmp_path: Path) -> None:
    rows = [image_row(tmp_path, tgt_text=["a"]) | {"qry_img_path": "../../secret.png"}]
    write_picture(tmp_path / "secret.png", "red")
    write_rows(tmp_path / IMAGES, rows, "VOC2007")
    with pytest.raises(MmebError, match=r"VOC2007: '\.\./\.\./secret\.png' leads out of"):
        parsed(tmp_path, "VOC2007", 1)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"tgt_text": []}, "row 0: no candidates in 'tgt_text'"),
        ({"tgt_text": None}, "row 0: 'tgt_text' is empty"),
    ],
)
def test_a_row_without_candidates_is_named(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    good = image_row(tmp_path, qry_img_path="V/red.png", tgt_text=["a"])
    write_rows(tmp_path / IMAGES, [good | changes, good], "VOC2007")
    with pytest.raises(MmebError, match=reason):
        parsed(tmp_path, "VOC2007", 2)


def test_ids_that_come_twice_and_pages_that_are_not_there_are_named(tmp_path: Path) -> None:
    pages(tmp_path / "a", "ViDoSeek-doc", {"q1": {1: 1}}, [1, 2, 1])
    with pytest.raises(MmebError, match="corpus row 2: the id 1 comes twice"):
        parsed(tmp_path / "a", "ViDoSeek-doc", 1)
    pages(tmp_path / "b", "ViDoSeek-doc", {"q1": {9: 1}}, [1, 2])
    with pytest.raises(MmebError, match="query 'q1': page 9 is not in the corpus"):
        parsed(tmp_path / "b", "ViDoSeek-doc", 1)
    pages(tmp_path / "c", "ViDoSeek-doc", {"q1": {1: 0}}, [1, 2])
    with pytest.raises(MmebError, match="query 0 has nothing that is right"):
        parsed(tmp_path / "c", "ViDoSeek-doc", 1)


def test_a_broken_picture_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(encoded(picture("red"))[:60])
    with pytest.raises(ItemError, match="HMDB51, query 3"):
        Content("", (path,)).to_item("HMDB51, query 3", DEFAULT_LIMITS)
