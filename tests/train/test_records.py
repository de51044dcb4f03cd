from __future__ import annotations

import json
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from ponder.errors import ItemError
from ponder.media import Limits
from ponder.train import rows
from ponder.train.records import (
    BadRow,
    Record,
    RecordsError,
    Side,
    Style,
    WrittenThought,
    read_records,
    read_thought,
    write_records,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILES = ("a.jpg", "deep/b c.png", "ü=1.jpg")
FILMS = ("film.mp4", "deep/frames")


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("media").resolve()
    (root / "deep/frames").mkdir(parents=True)
    (root / "film.mp4").write_bytes(b"not looked into")
    for number, name in enumerate(FILES):
        Image.new("RGB", (40 + number, 30), "red").save(root / name)
    for number in range(5):
        Image.new("RGB", (10 + number, 10), "blue").save(root / f"deep/frames/{number}.png")
    return root


def twn(**changes: Any) -> dict[str, Any]:
    about = {"data_type": "image_classification", "dataset_name": "MMEB_N24News", "data_id": 0}
    query = {"text": "What is it?", "image": "mmeb_train://a.jpg", "cot": "<think>Red.</think>Red."}
    return {"data_info": about, "query": query, "positive": {"text": "red"}, **changes}


def write(path: Path, *lines: object, is_list: bool = False) -> Path:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("[\n" + ",\n".join(texts) + "\n]" if is_list else "\n".join(texts))
    return path


def test_the_visible_twn_row_is_read(tmp_path: Path, media: Path) -> None:
    want = Record(
        "MMEB_N24News",
        "image_classification",
        "0",
        Side("What is it?", (media / "a.jpg",), thought=WrittenThought("Red.", "Red.")),
        Side("red"),
    )
    for is_list in (False, True):
        path = write(tmp_path / "pairs", twn(), twn(), is_list=is_list)
        assert list(read_records(path, {"mmeb_train": media})) == [want, want]


def test_a_conversation_is_read_as_published(tmp_path: Path, media: Path) -> None:
    tail = "\n<disc_emb>\nRepresent it."
    query = {
        "conversations": [
            {"from": "human", "value": f"<image><video>\nFind the picture: red.{tail}"},
            {"from": "gpt", "value": "<think>It is red.</think><answer>Red.</answer>\n<gen_emb>"},
        ],
        "image": ["images/blank.jpg"],
        "video": None,
    }
    positive = {
        "conversations": [
            {"role": "user", "content": f"<image>\nRepresent the picture.{tail}"},
            {
                "role": "assistant",
                "content": "<think>Red\nall over.</think><answer>It is\n<|begin_of_box|>a red one"
                "<|end_of_box|>\n<gen_emb>",
            },
        ],
        "images": "a.jpg",
        "videos": ["deep/frames/0.png", "deep/frames/1.png"],
    }
    path = write(tmp_path / "ume.jsonl", "", {"dataset": "MSCOCO", "qry": [query], "pos": positive})
    assert list(read_records(path, {"": media})) == [
        Record(
            "MSCOCO",
            "",
            "2",
            Side("Find the picture: red.", thought=WrittenThought("It is red.", "Red.")),
            Side(
                "Represent the picture.",
                (media / "a.jpg",),
                (media / "deep/frames/0.png", media / "deep/frames/1.png"),
                thought=WrittenThought("Red\nall over.", "a red one"),
            ),
        )
    ]


@pytest.mark.parametrize(
    ("text", "reasoning", "answer"),
    [
        ("<think></think><answer>a</answer>", "", "a"),
        ("<think> r </think>\n<answer> a </answer> more", "r", "a"),
        ("<think>r</think>a", "r", "a"),
        ("<think>r<answer>a", "r", "a"),
        ("<think>r", "r", ""),
        ("r", "r", ""),
        ("<answer>a</answer>", "", "a"),
    ],
)
def test_thoughts_are_read_leniently(text: str, reasoning: str, answer: str) -> None:
    assert read_thought(text) == WrittenThought(reasoning, answer)


@pytest.mark.parametrize(
    "given_thought",
    [
        {"cot": "<think>r</think><answer>a</answer>"},
        {"thought": "<think>r</think><answer>a</answer>"},
        {"thinking": {"think": "r", "answer": "a"}},
        {"think": {"reasoning": "r", "answer": "a"}},
    ],
)
def test_thoughts_have_several_names(tmp_path: Path, given_thought: dict[str, Any]) -> None:
    row = twn(query={"text": "q", **given_thought}, pos_cot="<think></think><answer>b</answer>")
    row["pos"] = row.pop("positive")
    (record,) = read_records(write(tmp_path / "p.jsonl", row), {})
    assert isinstance(record, Record)
    assert record.query.thought == WrittenThought("r", "a")
    assert record.positive.thought == WrittenThought("", "b")


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("mmeb_train://../secret.jpg", "leaves its root"),
        ("mmeb_train:///etc/passwd", "leaves its root"),
        ("/etc/passwd", "leaves its root"),
        ("mmeb_train://out/secret.jpg", "leaves its root"),
        ("mmeb_train://none.jpg", "no such file"),
        ("mmeb_train://a\0.jpg", "null"),
        ("mmeb_train://" + 300 * "x", "too long"),
        ("elsewhere://a.jpg", "no root is given for elsewhere://"),
        ("https://example.org/a.jpg", "ponder fetches none"),
        (7.5, "expected a string"),
        ("\ud800", "surrogate"),
    ],
)
def test_media_stay_within_their_roots(tmp_path: Path, uri: object, reason: str) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "secret.jpg").write_bytes(b"")
    (tmp_path / "root/out").symlink_to(tmp_path)
    path = write(tmp_path / "p.jsonl", twn(query={"text": "q", "image": uri}))
    (bad,) = read_records(path, {"mmeb_train": tmp_path / "root"})
    assert isinstance(bad, BadRow)
    assert bad.number == 1
    assert reason in bad.reason


BROKEN = (
    '{"query": oops}',
    "7",
    '{"query": {"text": "q"}}',
    '{"query": {"text": ""}, "positive": {"text": "p"}}',
    '{"query": {"text": "q"}, "positive": [{"text": "p"}, {"text": "p"}]}',
    '{"qry": {"conversations": []}, "pos": {"text": "p"}}',
    '{"a": ' + 100_000 * "[" + 100_000 * "]" + "}",
    '{"query": {"text": "q}]", "more": "\\"],[{"}, "positive": {"text": "\\\\"}]',
)


@pytest.mark.parametrize("is_list", [False, True])
@pytest.mark.parametrize("chunk", [1, 7, 2**18])
def test_reading_goes_on_after_bad_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_list: bool, chunk: int
) -> None:
    monkeypatch.setattr(rows, "CHUNK_BYTES", chunk)
    deep = chunk > 1  # a byte at a time, and 200,000 of them, takes long
    broken = [line for line in BROKEN if deep or len(line) < 1000]
    good = twn(query={"text": 'a "quoted" \\ ]}, [{ é'})
    path = write(tmp_path / "p", *(line for bad in broken for line in (bad, good)), is_list=is_list)
    read = list(read_records(path, {}))
    assert [isinstance(row, Record) for row in read] == [False, True] * len(broken)
    assert [row.number for row in read if isinstance(row, BadRow)] == [
        2 * place + 1 for place in range(len(broken))
    ]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    values=st.lists(st.dictionaries(st.text(), json_values, max_size=3), max_size=4),
    indent=st.none() | st.integers(0, 2),
    chunk=st.integers(1, 9),
)
def test_any_list_is_cut_where_json_would(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    values: list[dict[str, Any]],
    indent: int | None,
    chunk: int,
) -> None:
    monkeypatch.setattr(rows, "CHUNK_BYTES", chunk)
    (tmp_path / "p").write_text(json.dumps(values, indent=indent), encoding="utf-8")
    want = [rows.Row(number, value) for number, value in enumerate(values, start=1)]
    assert list(rows.read_rows(tmp_path / "p")) == want


def test_invalid_text_costs_its_row_alone(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    good = json.dumps(twn(query={"text": "q"})).encode()
    path.write_bytes(b'\xef\xbb\xbf \n[{"query": "\xff"},' + good + b"]")
    assert [type(row) for row in read_records(path, {})] == [BadRow, Record]


def test_a_list_that_breaks_off_or_never_closes_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = json.dumps(twn(query={"text": "q"}))
    path = write(tmp_path / "p.json", f'[{good}, {{"query": "')
    first, last = read_records(path, {})
    assert isinstance(first, Record)
    assert last == BadRow(2, "the file breaks off here")
    monkeypatch.setattr(rows, "MAX_ROW_BYTES", 1000)
    monkeypatch.setattr(rows, "CHUNK_BYTES", 1000)
    long = "{" + good + 30 * f",{good}"
    for text in (f"[{good},{long}]", f"{good}\n{long}\n{good}"):
        read = list(read_records(write(tmp_path / "p", text), {}))
        assert isinstance(read[1], BadRow)
        assert "longer than 1,000 bytes" in read[1].reason
        assert [type(row) for row in read[2:]] == ([] if text[0] == "[" else [Record])


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n", b"words\nand words", b"[oops]", b"7"])
def test_a_file_that_is_no_json_is_one_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p").write_bytes(content)
    with pytest.raises(RecordsError, match="neither a JSON list of objects nor"):
        list(read_records(tmp_path / "p", {}))


def test_a_missing_file_is_an_error_and_an_empty_one_has_no_records(tmp_path: Path) -> None:
    with pytest.raises(RecordsError, match="no such file"):
        list(read_records(tmp_path / "none", {}))
    for content in ("", " \n", "[]", "[ \n]"):
        assert list(read_records(write(tmp_path / "p", content), {})) == []


def test_a_long_list_is_never_held_whole(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    row = json.dumps(twn(query={"text": 1000 * "word "}))
    with path.open("w") as file:
        file.write("[" + row + 3000 * f", {row}" + "]")
    tracemalloc.start()
    assert sum(isinstance(record, Record) for record in read_records(path, {})) == 3001
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.2 * path.stat().st_size


def sides(root: Path) -> st.SearchStrategy[Side]:
    words = st.text(max_size=30).filter(lambda text: "<" not in text)
    part = words.map(str.strip)
    return st.builds(
        Side,
        text=words.filter(bool),
        images=st.lists(st.sampled_from([root / name for name in FILES]), max_size=2).map(tuple),
        videos=st.lists(st.sampled_from([root / name for name in FILMS]), max_size=2).map(tuple),
        instruction=st.none() | words.filter(bool),
        thought=st.none() | st.builds(WrittenThought, part, part),
    )


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), style=st.sampled_from(["twn", "conversation"]), ending=st.booleans())
def test_what_is_written_is_read_back(
    tmp_path: Path, media: Path, data: st.DataObject, style: Style, ending: bool
) -> None:
    side, word = sides(media), st.text(max_size=5)
    record = st.builds(Record, word, word, word, side, side, st.lists(side, max_size=2).map(tuple))
    records = data.draw(st.lists(record, max_size=3))
    path, roots = tmp_path / ("p.json" if ending else "p.jsonl"), {"": media, "d": media / "deep"}
    write_records(path, records, roots, style)
    assert list(read_records(path, roots)) == records
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    path.unlink()


@pytest.mark.parametrize(
    ("side", "style", "reason"),
    [
        (Side("q", thought=WrittenThought("</think>", "a")), "twn", "no tags inside"),
        (Side("an <image> in words"), "conversation", "<image> in it"),
    ],
)
def test_what_would_be_read_otherwise_is_not_written(
    tmp_path: Path, side: Side, style: Style, reason: str
) -> None:
    def records() -> Iterator[Record]:
        yield Record("set", "", "1", Side("q"), Side("p"))
        yield Record("set", "", "2", side, Side("p"))

    with pytest.raises(ItemError, match=f"record 2 of set: .*{reason}"):
        write_records(tmp_path / "p.jsonl", records(), {}, style)
    assert list(tmp_path.iterdir()) == []


def test_media_keep_their_scheme(tmp_path: Path, media: Path) -> None:
    images = (media / "a.jpg", media / "deep/b c.png")
    record = Record("", "", "1", Side("", images), Side("p"))
    write_records(tmp_path / "p.jsonl", [record], {"": media, "deep": media / "deep"})
    written = json.loads((tmp_path / "p.jsonl").read_text())
    assert written["query"]["image"] == ["a.jpg", "deep://b c.png"]


def test_a_file_outside_the_roots_is_not_written(tmp_path: Path, media: Path) -> None:
    record = Record("", "", "1", Side("q", (media / "a.jpg",)), Side("p"))
    with pytest.raises(ItemError, match="lies under none of the roots"):
        write_records(tmp_path / "p.jsonl", [record], {})


def test_a_side_becomes_an_item_within_limits(media: Path) -> None:
    limits = Limits(max_side=20, max_frames=3)
    item = Side("words", (media / "a.jpg",), (media / "deep/frames",), "Find it.").to_item(limits)
    assert [picture.size for picture in item.pictures] == [(20, 15), (10, 10), (12, 10), (14, 10)]
    assert (item.texts, item.parts[-1], item.instruction) == (("words",), "words", "Find it.")
    frames = tuple(media / f"deep/frames/{number}.png" for number in range(5))
    assert len(Side("", (), frames).to_item(limits).parts) == 3
    with pytest.raises(ItemError, match=r"film\.mp4: unreadable video"):
        Side("", (), (media / "film.mp4",)).to_item(limits)
