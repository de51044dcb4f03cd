"""Questions about a video with a few answers to choose from: five data sets, five layouts."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from ponder.eval.mmeb.layout import FRAMES
from ponder.eval.mmeb.retrieval import Content, MmebError, Query, Retrieval

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ponder.eval.mmeb.layout import Layout
    from ponder.eval.mmeb.tasks import MmebTask

ANSWERS = ("yes", "no")
SUBSETS = [
    "episodic_reasoning",
    "action_sequence",
    "action_prediction",
    "action_antonym",
    "fine_grained_action",
    "unexpected_action",
    "object_existence",
    "object_interaction",
    "object_shuffle",
    "moving_direction",
    "action_localization",
    "scene_transition",
    "action_count",
    "moving_count",
    "moving_attribute",
    "state_change",
    "fine_grained_pose",
    "character_order",
    "egocentric_navigation",
    "counterfactual_inference",
]


@dataclass(frozen=True)
class Question:
    """One question.

    Attributes:
        video: the folder of its frames.
        text: the question and its options, as the query words them.
        answers: key and text of each.
        right: the key of the right one.
    """

    video: str
    text: str
    answers: tuple[tuple[str, str], ...]
    right: str


def parse_questions(task: MmebTask, layout: Layout, limit: int | None) -> Retrieval:
    """Parse one of the five; arguments and errors as `ponder.eval.mmeb.parsers.parse`."""
    found = Retrieval(task.name)
    for question in islice(_questions(task, layout), limit):
        among = found.offer((key, Content(text)) for key, text in question.answers)
        frames = layout.frames(task, question.video, FRAMES)
        content = Content(question.text, frames, task.query_instruction)
        found.ask(Query(content, {question.right: 1.0}, among))
    return found


def _questions(task: MmebTask, layout: Layout) -> Iterator[Question]:
    columns, read = READERS[task.name]
    for subset in SUBSETS if task.name == "MVBench" else [""]:
        for number, row in enumerate(layout.rows(task, columns, subset).read(list(columns))):
            try:
                yield read(row | {"subset": subset})
            except (TypeError, ValueError, IndexError, AttributeError) as error:
                name = f"{task.name} {subset}".strip()
                raise MmebError(f"{name}, row {number} is damaged: {error}") from error


def _mvbench(row: dict[str, Any]) -> Question:
    answers = _lettered(row["candidates"])
    right = answers[row["candidates"].index(row["answer"])]
    text = "\n".join([row["question"], "Options:", *answers])
    video = f"{row['subset']}/{row['video']}"
    return Question(video, text, tuple((answer, answer) for answer in answers), right)


def _videomme(row: dict[str, Any]) -> Question:
    options = row["options"]
    text = "\n".join([row["question"], *options])
    return Question(row["videoID"], text, _bare(options), options["ABCD".index(row["answer"])])


def _nextqa(row: dict[str, Any]) -> Question:
    options = [row[f"a{i}"] for i in range(5)]
    text = "\n".join([row["question"], "Options:", *_lettered(options)])
    answers = tuple((option, option) for option in options)
    return Question(str(row["video"]), text, answers, options[int(row["answer"])])


def _egoschema(row: dict[str, Any]) -> Question:
    options = row["option"]
    # The reference puts nothing between the question and its first option.
    text = row["question"] + " ".join(options)
    return Question(str(row["video_idx"]), text, _bare(options), options[int(row["answer"])])


def _activitynetqa(row: dict[str, Any]) -> Question:
    text = f"{row['question']}? (A) yes; (B) no."
    answers = tuple((answer, answer) for answer in ANSWERS)
    right = ANSWERS[ANSWERS.index(row["answer"])]
    return Question(f"v_{row['video_name']}", text, answers, right)


READERS: dict[str, tuple[tuple[str, ...], Callable[[dict[str, Any]], Question]]] = {
    "MVBench": (("video", "question", "candidates", "answer"), _mvbench),
    "Video-MME": (("videoID", "question", "options", "answer"), _videomme),
    "NExTQA": (("video", "question", "answer", "a0", "a1", "a2", "a3", "a4"), _nextqa),
    "EgoSchema": (("video_idx", "question", "answer", "option"), _egoschema),
    "ActivityNetQA": (("video_name", "question", "answer"), _activitynetqa),
}


def _lettered(options: list[str]) -> list[str]:
    return [f"({'ABCDEFGHIJ'[i]}) {option}" for i, option in enumerate(options)]


def _bare(options: list[str]) -> tuple[tuple[str, str], ...]:
    """Return options with "A. " and the full stop taken off their text, not off their key."""
    return tuple((option, option[option.find(". ") :].strip(". ")) for option in options)
