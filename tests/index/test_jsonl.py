from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from colours import Colours
from file_samples import make_picture

from ponder.engine.trace import Trace
from ponder.errors import FingerprintError, ItemError, PonderError
from ponder.index import jsonl
from ponder.index.index import Index
from ponder.index.jsonl import EmbedReport, embed_jsonl

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


def write(path: Path, rows: Iterable[object]) -> Path:
    path.write_text(
        "".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows)
    )
    return path


def test_rows_become_vectors_in_order(tmp_path: Path, model: Colours) -> None:
    picture = make_picture(tmp_path / "red.png", "red")
    rows = [{"id": "a", "text": "red"}, {"image": str(picture)}, {"id": 7, "text": ["b", "c"]}]
    out = tmp_path / "out.parquet"
    assert embed_jsonl(write(tmp_path / "in.jsonl", rows), out, model) == EmbedReport(3, 0)
    table = pq.read_table(out)
    assert table.column("id").to_pylist() == ["a", "line 2", "7"]
    assert table.column("line").to_pylist() == [1, 2, 3]
    assert json.loads(table.column("item")[2].as_py()) == {"text": ["b", "c"]}
    vectors = np.array(table.column("vector").to_pylist(), dtype=np.float32)
    assert np.array_equal(vectors, [model.vector(item) for item in ("red", picture, ("b", "c"))])
    assert str(table.schema.field("vector").type) == "fixed_size_list<element: float>[128]"
    assert sorted(path.name for path in tmp_path.glob("*")) == [
        "in.jsonl",
        "out.errors.parquet",
        "out.parquet",
        "red.png",
    ]


def test_bad_rows_are_reported_by_line_and_the_others_embedded(
    tmp_path: Path, model: Colours
) -> None:
    rows: list[object] = [
        {"text": "good"},
        "{broken",
        [1],
        {"image": "missing.png"},
        {"id": 1.5, "text": "x"},
        "",
        {"colour": "red"},
        {},
        {"id": "line 1", "text": "same"},
        '{"text": "\\ud800"}',
        {"text": "fine"},
    ]
    out = tmp_path / "out.parquet"
    report = embed_jsonl(write(tmp_path / "in.jsonl", rows), out, model)
    assert (report.embedded, report.finished) == (2, 0)
    errors = {
        row["line"]: row["reason"]
        for row in pq.read_table(tmp_path / "out.errors.parquet").to_pylist()
    }
    assert errors == report.bad
    assert set(errors) == {2, 3, 4, 5, 7, 8, 9, 10}
    assert "no such file" in errors[4]
    assert "unknown key 'colour'" in errors[7]
    assert errors[9].startswith("id 'line 1' is what a line without an id is called")
    assert pq.read_table(out).column("id").to_pylist() == ["line 1", "line 11"]


def test_a_number_as_an_id_is_not_taken_for_a_line(tmp_path: Path, model: Colours) -> None:
    rows = [{"text": "a"}, {"id": 1, "text": "b"}, {"id": "1", "text": "c"}]
    out = tmp_path / "out.parquet"
    report = embed_jsonl(write(tmp_path / "in.jsonl", rows), out, model)
    assert report == EmbedReport(2, 0, bad={3: "id '1' is taken by line 2"})
    assert pq.read_table(out).column("id").to_pylist() == ["line 1", "1"]


def test_each_target_has_its_own_errors(tmp_path: Path, model: Colours) -> None:
    bad, good = (write(tmp_path / n, r) for n, r in (("a", [{}]), ("b", [{"text": "x"}])))
    embed_jsonl(bad, tmp_path / "a.parquet", model)
    embed_jsonl(good, tmp_path / "b.parquet", model)
    assert pq.read_table(tmp_path / "a.errors.parquet").num_rows == 1
    assert pq.read_table(tmp_path / "b.errors.parquet").num_rows == 0


class Interrupted(Colours):
    """Stops as a kill would, after so many items."""

    left = 25

    def stream(
        self, items: Iterable[tuple[Any, Any]], **options: Any
    ) -> Iterator[tuple[Any, np.ndarray, Trace]]:
        for pair in super().stream(items, **options):
            if not self.left:
                raise KeyboardInterrupt
            self.left -= 1
            yield pair


def test_finished_rows_are_not_embedded_again(
    tmp_path: Path, model: Colours, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonl, "PART_ROWS", 10)
    rows = [{"text": f"word {i}"} for i in range(40)]
    source, out = write(tmp_path / "in.jsonl", rows), tmp_path / "out.parquet"
    with pytest.raises(KeyboardInterrupt):
        embed_jsonl(source, out, Interrupted())
    assert not out.exists()
    report = embed_jsonl(source, out, model)
    assert report.finished >= 20
    assert report.finished + report.embedded == 40
    undisturbed = tmp_path / "undisturbed.parquet"
    embed_jsonl(source, undisturbed, Colours())
    assert pq.read_table(out).equals(pq.read_table(undisturbed))
    # More lines, and a kill between joining and dropping the parts of an earlier run.
    write(source, [*rows, {"text": "more"}])
    parts = tmp_path / "out.parquet.parts"
    parts.mkdir()
    (parts / "000000000000.parquet").write_bytes(out.read_bytes())
    assert embed_jsonl(source, out, model) == EmbedReport(1, 40)
    assert pq.read_table(out).column("line").to_pylist() == list(range(1, 42))
    before = out.stat().st_mtime_ns
    assert embed_jsonl(source, out, model) == EmbedReport(0, 41)
    assert out.stat().st_mtime_ns == before


def test_vectors_of_another_model_are_not_mixed_in(tmp_path: Path, model: Colours) -> None:
    source, out = write(tmp_path / "in.jsonl", [{"text": "a"}]), tmp_path / "out.parquet"
    embed_jsonl(source, out, model)
    with pytest.raises(FingerprintError, match="delete it"):
        embed_jsonl(source, out, Colours("other"))


class Choosy(Colours):
    def stream(
        self, items: Iterable[tuple[Any, Any]], **options: Any
    ) -> Iterator[tuple[Any, np.ndarray, Trace]]:
        for key, item in items:
            if item.texts == ("bad",):
                raise ItemError(str(key), "over the limit")
            yield from super().stream([(key, item)], **options)


def test_a_row_the_model_refuses_is_bad_and_the_others_go_on(tmp_path: Path) -> None:
    rows = [{"text": text} for text in ("a", "bad", "b", "bad", "c")]
    out = tmp_path / "out.parquet"
    report = embed_jsonl(write(tmp_path / "in.jsonl", rows), out, Choosy())
    assert report == EmbedReport(3, 0, bad={2: "over the limit", 4: "over the limit"})
    assert pq.read_table(out).column("line").to_pylist() == [1, 3, 5]


def test_a_missing_source_is_an_error_and_an_empty_one_is_not(
    tmp_path: Path, model: Colours
) -> None:
    with pytest.raises(PonderError, match="no such file"):
        embed_jsonl(tmp_path / "in.jsonl", tmp_path / "out.parquet", model)
    embed_jsonl(write(tmp_path / "in.jsonl", []), tmp_path / "out.parquet", model)
    assert pq.read_table(tmp_path / "out.parquet").num_rows == 0


def test_what_happened_to_a_row_is_written_beside_it(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", [{"text": "a"}, {"text": "b"}])
    embed_jsonl(source, tmp_path / "out.parquet", Colours(), think="always")
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.column("thought").to_pylist() == ["<think>1</think>"] * 2
    assert table.column("mode").to_pylist() == ["always"] * 2
    assert {field.name for field in fields(Trace)} <= set(table.column_names)


class Brief(Colours):
    """Reads three words of an item."""

    def stream(
        self, items: Iterable[tuple[Any, Any]], **options: Any
    ) -> Iterator[tuple[Any, np.ndarray, Trace]]:
        for key, item in items:
            words = " ".join(item.texts).split()
            for _, vector, _ in super().stream([(key, item)], **options):
                yield key, vector, Trace("never", cut_tokens=max(0, len(words) - 3))


def test_what_the_model_does_not_read_is_told(tmp_path: Path) -> None:
    rows = [{"text": "a b c"}, {"text": "a b c d e"}]
    out = tmp_path / "out.parquet"
    assert embed_jsonl(write(tmp_path / "in.jsonl", rows), out, Brief()).cut == 1
    assert pq.read_table(out).column("cut_tokens").to_pylist() == [0, 2]
    (tmp_path / "in.txt").write_text("a b c d e\n")
    report = Index(tmp_path / "x.lance", Brief()).add(tmp_path / "in.txt")
    assert [one.reason for one in report.partial] == [
        "a text is longer than the model reads, by 2 tokens"
    ]


def test_a_target_with_other_columns_is_refused(tmp_path: Path) -> None:
    source, target = write(tmp_path / "in.jsonl", [{"text": "a"}]), tmp_path / "out.parquet"
    embed_jsonl(source, target, Colours())
    table = pq.read_table(target)
    notes = {**table.schema.metadata, b"layout": b"1"}
    for other in (table.drop_columns(["cosines"]), table.replace_schema_metadata(notes)):
        pq.write_table(other, target)
        with pytest.raises(PonderError, match=r"out\.parquet was written by another version"):
            embed_jsonl(source, target, Colours())
