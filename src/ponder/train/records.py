"""Training pairs on disk, as published for TWN, and for UME-R1 and PLUME.

Two styles, each as a JSON list or as one object a line:

* `twn`: `{"data_info": {"data_type", "dataset_name", "data_id"}, "query": {"text", "image", …},
  "positive": …}`, media as `scheme://path`.
* `conversation`: `{"dataset_name", "qry": {"conversations": [human, gpt], "image", "video"},
  "pos": …}`, media relative to one folder, the thought in the last turn.

Rows come from outside: media are looked for under given roots and nowhere else.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from ponder.errors import ItemError
from ponder.paths import expanded
from ponder.train.pairs import Record, Side, WrittenThought, read_thought
from ponder.train.rows import BadRow, RecordsError, Row, read_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = [
    "BadRow",
    "Record",
    "RecordsError",
    "Roots",
    "Side",
    "Style",
    "WrittenThought",
    "read_records",
    "read_root",
    "read_thought",
    "to_row",
    "write_records",
]

Style = Literal["twn", "conversation"]

# Words of the conversation style: where a medium stands, and where UME-R1 reads its embeddings.
MARKERS = ("<image>", "<video>", "<disc_emb>", "<gen_emb>")
_PLACEHOLDER = re.compile(r"<(?:image|video)>\n?")
_REQUEST = (
    "Think about it in <think></think>, say what it comes to in <answer></answer>, and end with "
    "<gen_emb>."
)
_NO_PICTURE = "blank.jpg"  # UME-R1's stand-in where an item has no picture


class Roots:
    """The folders that media may lie in, by scheme; "" is for paths without one.

    Args:
        roots: folders by scheme.
        default: the folder for "" where `roots` has none.
    """

    def __init__(self, roots: Mapping[str, Path], default: Path) -> None:
        self._roots = {name: root.resolve() for name, root in ({"": default} | {**roots}).items()}

    def path(self, uri: str) -> Path:
        """Return the file or folder meant.

        Raises:
            ValueError: it is not there, outside its root, or of a scheme without a root.
        """
        scheme, separator, inside = uri.partition("://")
        if not separator:
            scheme, inside = "", uri
        if scheme in ("http", "https"):
            raise ValueError(f"{uri} is a URL; ponder fetches none: download it and name the file")
        if scheme not in self._roots:
            raise ValueError(f"no root is given for {scheme}:// (of {uri})")
        root, relative = self._roots[scheme], PurePosixPath(inside)
        path = root / relative
        try:
            is_inside = ".." not in relative.parts and path.resolve().is_relative_to(root)
            is_there = path.exists()
        except (OSError, RuntimeError) as error:  # a name too long, a ring of links
            raise ValueError(f"{uri}: {error}") from None
        if relative.is_absolute() or not is_inside:
            raise ValueError(f"{uri} leaves its root")
        if not is_there:
            raise ValueError(f"no such file: {path} (of {uri})")
        return path

    def uri(self, path: Path) -> str:
        """Return what `path` turns into this path again.

        Raises:
            ValueError: it lies under no root.
        """
        for known in (path.absolute(), path.resolve()):
            homes = [
                (root, name) for name, root in self._roots.items() if known.is_relative_to(root)
            ]
            if homes:
                root, name = max(homes, key=lambda home: len(home[0].parts))
                inside = known.relative_to(root).as_posix()
                return f"{name}://{inside}" if name else inside
        raise ValueError(f"{path} lies under none of the roots")


def read_root(text: str) -> tuple[str, Path]:
    """Read SCHEME=FOLDER, or FOLDER alone for paths without a scheme."""
    match = re.fullmatch(r"(?:([\w.+-]*)=)?(.*)", text, re.DOTALL)
    assert match is not None  # it matches any text
    return match[1] or "", expanded(match[2])


def read_records(path: Path, roots: Mapping[str, Path]) -> Iterator[Record | BadRow]:
    """Read pairs one after the other, in either style, going on after rows that are bad.

    Args:
        path: a JSON list, or one object a line.
        roots: folders of media by scheme, as in `{"mmeb_train": Path("MMEB-train")}`; "" is the
            folder of paths without one, by default that of `path`.

    Raises:
        RecordsError: there is no such file, or it is no JSON.
    """
    folders = Roots(roots, path.parent)
    for row in read_rows(path):
        try:
            yield row if isinstance(row, BadRow) else _record(row, folders)
        except ValueError as error:
            yield BadRow(row.number, str(error))


def write_records(
    path: Path, records: Iterable[Record], roots: Mapping[str, Path], style: Style = "twn"
) -> None:
    """Write pairs that `read_records` reads back as they are; `.json` makes a list.

    Raises:
        ItemError: a record cannot be written in this style, or a file of it lies under no root.
            Nothing is left behind.
    """
    folders = Roots(roots, path.parent)
    is_list = path.suffix == ".json"
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with unfinished.open("w", encoding="utf-8") as file:
            file.write("[" if is_list else "")
            for number, record in enumerate(records):
                row = json.dumps(to_row(record, folders, style), ensure_ascii=False)
                file.write(f"{',' if number else ''}\n{row}" if is_list else f"{row}\n")
            file.write("\n]\n" if is_list else "")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def to_row(record: Record, roots: Roots, style: Style = "twn") -> dict[str, Any]:
    """Return a record as the JSON object that `write_records` writes; raises as it does."""
    side = _to_twn if style == "twn" else _to_conversation
    try:
        query, positive = side(record.query, roots), side(record.positive, roots)
        negatives = [side(one, roots) for one in record.negatives]
    except ValueError as error:
        raise ItemError(
            f"record {record.id} of {record.dataset or 'no data set'}", str(error)
        ) from None
    if style == "twn":
        about = {
            "data_type": record.data_type,
            "dataset_name": record.dataset,
            "data_id": record.id,
        }
        row: dict[str, Any] = {"data_info": about, "query": query, "positive": positive}
    else:
        about = {"dataset_name": record.dataset, "data_type": record.data_type, "id": record.id}
        row = {**about, "qry": query, "pos": positive}
    return row | ({"negatives": negatives} if negatives else {})


def _given_thought(row: dict[str, Any], side: dict[str, Any], names: Sequence[str]) -> Any:
    """Return what a data set gives as the thought of one side, or None.

    Known: UME-R1's and PLUME's is the last turn of a conversation; Embed-RL's are `query_cot` and
    `pos_cot` beside the sides. Assumed: TWN's is `cot`, `thought`, `thinking` or `think` in the
    side, one string with tags or an object of `think` and `answer`. The names that TWN's data have
    were not seen; this is the one place to change.
    """
    turns = _first(side, "conversations")
    if isinstance(turns, list) and len(turns) > 1 and isinstance(turns[-1], dict):
        said = _first(turns[-1], "value", "content")
        return said if isinstance(said, str) and said.replace("<gen_emb>", "").strip() else None
    return _first(side, "cot", "thought", "thinking", "think") or _first(
        row, *(f"{name}_{kind}" for name in names for kind in ("cot", "thought"))
    )


def _record(row: Row, roots: Roots) -> Record:
    value = row.value
    about = value.get("data_info")
    about = about if isinstance(about, dict) else value
    names = ("dataset_name", "dataset", "subset", "source", "task_name")
    query, positive = ("query", "qry"), ("positive", "positives", "pos")
    negatives = _listed(_first(value, "negatives", "negative", "neg"))
    name = _first(about, "data_id", "id")
    return Record(
        dataset=_string(_first(about, *names) or _first(_object(value, query), *names)),
        data_type=_string(_first(about, "data_type")),
        id=_string(row.number if name is None else name),
        query=_side(value, query, roots),
        positive=_side(value, positive, roots),
        negatives=tuple(_side({"negative": one}, ("negative",), roots) for one in negatives),
    )


def _side(row: dict[str, Any], names: Sequence[str], roots: Roots) -> Side:
    side = _object(row, names)
    instruction = _string(_first(side, "instruction")) or None
    turns = _first(side, "conversations")
    text = _human(turns, instruction) if turns is not None else _string(_first(side, "text"))
    images = [_string(uri) for uri in _listed(_first(side, "image", "images"))]
    videos = [_string(uri) for uri in _listed(_first(side, "video", "videos"))]
    images = [uri for uri in images if PurePosixPath(uri).name != _NO_PICTURE]
    if not (text or images or videos):
        raise ValueError(f"the {names[0]} is empty")
    thought = _given_thought(row, side, names)
    if isinstance(thought, dict):
        reasoning, answer = _first(thought, "think", "reasoning"), _first(thought, "answer")
        read = WrittenThought(_string(reasoning).strip(), _string(answer).strip())
    else:
        read = read_thought(_string(thought))
    return Side(
        text=text,
        images=tuple(roots.path(uri) for uri in images),
        videos=tuple(roots.path(uri) for uri in videos),
        instruction=instruction,
        thought=None if thought is None else read,
    )


def _human(turns: Any, instruction: str | None) -> str:
    """Return what the first turn says of the item itself."""
    if not (isinstance(turns, list) and turns and isinstance(turns[0], dict)):
        raise ValueError("'conversations' is a list of turns")
    said = _string(_first(turns[0], "value", "content"))
    before, marker, _ = said.partition("<disc_emb>")
    text = _PLACEHOLDER.sub("", before.removesuffix("\n") if marker else said)
    return text.removeprefix(f"{instruction}\n") if instruction else text


def _to_twn(side: Side, roots: Roots) -> dict[str, Any]:
    row = {
        "text": side.text,
        **_media(side, roots),
        "instruction": side.instruction,
        "cot": side.thought and side.thought.text,
    }
    return {key: value for key, value in row.items() if value}


def _to_conversation(side: Side, roots: Roots) -> dict[str, Any]:
    if found := [mark for mark in MARKERS if mark in f"{side.instruction} {side.text}"]:
        raise ValueError(f"a text with {found[0]} in it cannot be told from a conversation's marks")
    marks = "<image>" * len(side.images) + "<video>" * bool(side.videos)
    lines = [marks, side.instruction, f"{side.text}\n<disc_emb>\n{_REQUEST}"]
    turns = [
        {"from": "human", "value": "\n".join(line for line in lines if line)},
        {"from": "gpt", "value": (side.thought.text + "\n" if side.thought else "") + "<gen_emb>"},
    ]
    instruction = {"instruction": side.instruction} if side.instruction else {}
    return {"conversations": turns, **_media(side, roots), **instruction}


def _media(side: Side, roots: Roots) -> dict[str, list[str]]:
    media = {"image": side.images, "video": side.videos}
    return {key: [roots.uri(path) for path in paths] for key, paths in media.items() if paths}


def _first(row: dict[str, Any], *names: str) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)


def _object(row: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    value = _first(row, *names)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict):
        raise ValueError(f"no {names[0]}: expected an object under {' or '.join(names)}")
    return value


def _listed(value: Any) -> list[Any]:
    values = value if isinstance(value, list) else [value]
    return [one for one in values if one is not None and one != ""]


def _string(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"expected a string, got {json.dumps(value)[:80]}")
    text = str(value)
    text.encode()  # half a surrogate pair is no text: a ValueError
    return text
