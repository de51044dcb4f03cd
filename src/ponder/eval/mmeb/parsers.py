"""From a task's annotations to queries, candidates and what is right.

Each parser follows the official loader of its tasks; `ponder.eval.mmeb.tasks` says which task has
which. What goes into an item's text and what into its instruction is kept apart, since the chat
template of a model decides where an instruction stands.
"""

from __future__ import annotations

import json
from importlib.resources import files
from itertools import islice
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from ponder.eval.mmeb.layout import FRAMES
from ponder.eval.mmeb.pages import parse_pages
from ponder.eval.mmeb.questions import parse_questions
from ponder.eval.mmeb.retrieval import Content, MmebError, Query, Retrieval
from ponder.eval.mmeb.rows import RowsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ponder.eval.mmeb.layout import Layout
    from ponder.eval.mmeb.tasks import MmebTask

    Parser = Callable[[MmebTask, Layout, int | None], Retrieval]

IMAGE_TOKEN = "<|image_1|>"
QUOTE = '"'
QUERY_COLUMNS = ("qry_inst", "qry_text", "qry_img_path")
OPTIONAL = frozenset(["qry_text", "qry_img_path"])
# Which columns name the video and describe it.
DESCRIBED = {
    "DiDeMo": ("video", "caption"),
    "MSR-VTT": ("video_id", "caption"),
    "MSVD": ("video_id", "caption"),
    "VATEX": ("videoID", "enCap"),
    "YouCook2": ("id", "sentence"),
}
# Of MomentSeeker, by what a query shows beside its text.
BY_TEXT = "Find the clip that corresponds to the given text:"
BY_PICTURE = "Select the video clip that aligns with the given text and image:"
BY_VIDEO = "Find the clip that corresponds to the given sentence and video segment:"


def parse(task: MmebTask, layout: Layout, limit: int | None = None) -> Retrieval:
    """Return a task's queries and candidates.

    Args:
        task: which.
        layout: where the data lies.
        limit: most queries, for a trial; None for all of the protocol.

    Raises:
        MmebError: data is missing, of other columns, or not as many queries as the protocol has.
    """
    wanted = min(limit or task.queries, task.queries)
    try:
        found = PARSERS[task.parser](task, layout, wanted)
    except RowsError as error:
        raise MmebError(f"{task.name}: {error}") from error
    if len(found.queries) != wanted:
        raise MmebError(
            f"{task.name} has {len(found.queries):,} queries here, the protocol {task.queries:,}"
        )
    return found


def _rows(
    task: MmebTask, layout: Layout, columns: Sequence[str], limit: int | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what errors call each row, and the row."""
    rows = layout.rows(task, columns).read(list(columns))
    for number, row in enumerate(islice(rows, limit)):
        name = f"{task.name}, row {number}"
        needed = (column for column in columns if column not in OPTIONAL)
        if empty := [column for column in needed if row[column] is None]:
            raise MmebError(f"{name}: {empty[0]!r} is empty")
        yield name, row


def _image_to_text(task: MmebTask, layout: Layout, limit: int | None) -> Retrieval:
    """Classification, questions and captions: an image, and texts of which the first is right."""
    found = Retrieval(task.name)
    for name, row in _rows(task, layout, (*QUERY_COLUMNS, "tgt_text"), limit):
        among = found.offer((text, Content(text)) for text in _targets(row, "tgt_text", name))
        content = _image_query(task, layout, row)
        found.ask(Query(content, {among[0]: 1.0}, among))
    return found


def _to_image(task: MmebTask, layout: Layout, limit: int | None) -> Retrieval:
    """Images, or crops of images, some with words, of which the first is right."""
    found = Retrieval(task.name)
    columns = (*QUERY_COLUMNS, "tgt_inst", "tgt_text", "tgt_img_path")
    for name, row in _rows(task, layout, columns, limit):
        paths, words = _targets(row, "tgt_img_path", name), row["tgt_text"]
        if len(words) != len(paths):
            raise MmebError(f"{name}: {len(paths)} target images, {len(words)} texts")
        # One picture may hold several objects, so an image's targets are told apart by their words.
        is_shown = bool(row["qry_img_path"])
        keys = [
            f"{path}:{text.strip(QUOTE)}" if is_shown else path
            for path, text in zip(paths, words, strict=True)
        ]
        for key, path, text in zip(keys, paths, words, strict=True):
            if key not in found.candidates:
                picture = layout.picture(task, path)
                found.offer([(key, Content(text, (picture,), _plain(row["tgt_inst"])))])
        found.ask(Query(_image_query(task, layout, row), {keys[0]: 1.0}, tuple(keys)))
    return found


def _image_query(task: MmebTask, layout: Layout, row: dict[str, Any]) -> Content:
    path = row["qry_img_path"]
    pictures = (layout.picture(task, path),) if path else ()
    return Content((row["qry_text"] or "").strip(), pictures, _plain(row["qry_inst"]))


def _plain(instruction: str) -> str:
    return instruction.replace(IMAGE_TOKEN, "").strip()


def _targets(row: dict[str, Any], column: str, name: str) -> list[str]:
    targets: list[str] = row[column]
    if not targets:
        raise MmebError(f"{name}: no candidates in {column!r}")
    return targets


def _video_label(task: MmebTask, layout: Layout, limit: int | None) -> Retrieval:
    """Videos, and every label of the data set."""
    found = Retrieval(task.name)
    rows = list(_rows(task, layout, ("video_id", "pos_text"), limit))
    found.offer((row["pos_text"], Content(row["pos_text"])) for _, row in rows)
    labels = json.loads(files(__package__).joinpath("labels.json").read_text(encoding="utf-8"))
    found.offer((label, Content(label)) for label in labels[task.name])
    for _, row in rows:
        found.ask(Query(_video_query(task, layout, str(row["video_id"])), {row["pos_text"]: 1.0}))
    return found


def _video_choice(task: MmebTask, layout: Layout, limit: int | None) -> Retrieval:
    """Videos, each with a list of labels of its own."""
    found = Retrieval(task.name)
    for name, row in _rows(task, layout, ("video_id", "pos_text", "neg_text"), limit):
        among = found.offer((text, Content(text)) for text in _targets(row, "neg_text", name))
        content = _video_query(task, layout, str(row["video_id"]))
        found.ask(Query(content, {row["pos_text"]: 1.0}, among))
    return found


def _video_query(task: MmebTask, layout: Layout, name: str) -> Content:
    return Content("", layout.frames(task, name, FRAMES), task.query_instruction)


def _to_video(task: MmebTask, layout: Layout, limit: int | None) -> Retrieval:
    """A description, and every video."""
    found = Retrieval(task.name)
    id_column, words = DESCRIBED[task.name]
    asked: list[Query] = []
    # The limit spares queries, not candidates.
    for number, (_, row) in enumerate(_rows(task, layout, (id_column, words), None)):
        key = str(row[id_column])
        if task.name == "DiDeMo":
            key = PurePosixPath(key).stem
        frames = layout.frames(task, key, FRAMES)
        found.offer([(key, Content("", frames, task.candidate_instruction))])
        if limit is None or number < limit:
            text = row[words] if isinstance(row[words], str) else row[words][0]
            asked.append(Query(Content(text, (), task.query_instruction), {key: 1.0}))
    for query in asked:
        found.ask(query)
    return found


def _moment(task: MmebTask, layout: Layout, limit: int | None) -> Retrieval:
    """A video and a sentence, and ten clips of it in folders, one called positive."""
    found = Retrieval(task.name)
    for name, row in _rows(task, layout, ("query", "video_path"), limit):
        video = PurePosixPath(row["video_path"]).stem
        clips = [clip for clip in layout.folders(task, video) if clip != "query"]
        among = found.offer(
            (f"{video}/{clip}", _clip(task, layout, f"{video}/{clip}", FRAMES)) for clip in clips
        )
        right = [f"{video}/{clip}" for clip in clips if clip.startswith("positive")]
        if len(right) != 1:
            raise MmebError(f"{name}: {len(right)} positive clips in {video}, not one")
        frames = layout.frames(task, f"{video}/query", FRAMES)
        content = Content(row["query"], frames, task.query_instruction)
        found.ask(Query(content, {right[0]: 1.0}, among))
    return found


def _moment_seeker(task: MmebTask, layout: Layout, limit: int | None) -> Retrieval:
    """A text, alone or with an image or a video, and clips, several of which may be right."""
    found = Retrieval(task.name)
    columns = ("query", "positive_frames", "negative_frames", "input_frames")
    for _, row in _rows(task, layout, columns, limit):
        right, wrong = (
            [_saved(clip["output_path"]) for clip in row[column]]
            for column in ("positive_frames", "negative_frames")
        )
        clips = [*right, *wrong]
        among = found.offer((clip, _clip(task, layout, clip, None)) for clip in clips)
        query = _moment_query(task, layout, row)
        found.ask(Query(query, dict.fromkeys(right, 1.0), among))
    return found


def _moment_query(task: MmebTask, layout: Layout, row: dict[str, Any]) -> Content:
    shown = row["input_frames"]
    if shown.endswith(".mp4"):
        frames = layout.frames(task, _saved(shown))
        return Content(row["query"], frames, BY_VIDEO)
    if shown.endswith(".jpg"):
        picture = layout.picture(task, f"query_{shown}")
        return Content(row["query"], (picture,), BY_PICTURE)
    return Content(row["query"], (), BY_TEXT)


def _saved(path: str) -> str:
    """Return the folder that holds a clip's frames."""
    return f"video_frames/{path.replace('/', '_').split('.mp4')[0]}"


def _clip(task: MmebTask, layout: Layout, name: str, count: int | None) -> Content:
    return Content("", layout.frames(task, name, count), task.candidate_instruction)


PARSERS: dict[str, Parser] = {
    "image_to_text": _image_to_text,
    "to_image": _to_image,
    "video_label": _video_label,
    "video_choice": _video_choice,
    "video_question": parse_questions,
    "to_video": _to_video,
    "moment": _moment,
    "moment_seeker": _moment_seeker,
    "page": parse_pages,
}
