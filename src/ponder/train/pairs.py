"""Pairs to train on: a query, what it is to find, and what a teacher thought about each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ponder.errors import ItemError
from ponder.items import Item
from ponder.media import (
    DEFAULT_LIMITS,
    PICTURE_SUFFIXES,
    Limits,
    MediaError,
    read_frames,
    read_picture,
)
from ponder.model.thoughts import compose

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from PIL import Image

_BOXED = re.compile(r"<\|begin_of_box\|>(.*?)(?:<\|end_of_box\|>|$)", re.DOTALL)


@dataclass(frozen=True)
class WrittenThought:
    """A thought to learn from: the reasoning, which may be empty, and the answer."""

    reasoning: str
    answer: str

    @property
    def text(self) -> str:
        """The thought with its tags, as a model is taught to write it.

        Raises:
            ValueError: it would not be read back as it is.
        """
        text = compose(self.reasoning, self.answer)
        if read_thought(text) != self:
            raise ValueError("a thought has no tags inside and no blanks at the ends of its parts")
        return text


@dataclass(frozen=True)
class Side:
    """A query, a positive or a negative.

    Attributes:
        text: may be empty where there are media.
        images: picture files.
        videos: each a video file, a folder of frames, or one frame of a single video.
        instruction: what the embedding is for.
        thought: what a teacher wrote about it.
    """

    text: str = ""
    images: tuple[Path, ...] = ()
    videos: tuple[Path, ...] = ()
    instruction: str | None = None
    thought: WrittenThought | None = None

    def to_item(self, limits: Limits = DEFAULT_LIMITS) -> Item:
        """Decode the media and return them, then the text, as one item.

        Raises:
            ItemError: a file cannot be read; it is named.
        """
        frames = [path for path in self.videos if path.suffix.lower() in PICTURE_SUFFIXES]
        files = (*self.images, *_spread(frames, limits))
        parts: list[str | Image.Image] = [_picture(path, limits) for path in files]
        for path in self.videos:
            if path not in frames:
                parts += _film(path, limits)
        if self.text:
            parts.append(self.text)
        return Item(tuple(parts), self.instruction)


@dataclass(frozen=True)
class Record:
    """A query and what it is to find.

    Attributes:
        dataset: where it is from; may be empty.
        data_type: the kind of task, as the data set calls it; may be empty.
        id: unique within the data set.
        query: what is looked for.
        positive: what should be found.
        negatives: what should not.
    """

    dataset: str
    data_type: str
    id: str
    query: Side
    positive: Side
    negatives: tuple[Side, ...] = ()


def read_thought(text: str) -> WrittenThought:
    """Read a thought however it was written down: unclosed, untagged, or its answer in a box.

    Example:
        >>> read_thought("<think></think><answer>A red bicycle.")
        WrittenThought(reasoning='', answer='A red bicycle.')
    """
    text = text.replace("<gen_emb>", "")
    head, closed, tail = text.partition("</think>")
    if not closed:
        head, _, tail = text.partition("<answer>")
    boxed = _BOXED.search(tail)
    answer = boxed.group(1) if boxed else tail.rpartition("<answer>")[2].partition("</answer>")[0]
    return WrittenThought(head.rpartition("<think>")[2].strip(), answer.strip())


def _picture(path: Path, limits: Limits) -> Image.Image:
    try:
        return read_picture(path, limits)
    except MediaError as error:
        raise ItemError(str(path), str(error)) from error


def _film(path: Path, limits: Limits) -> list[Image.Image]:
    try:
        if not path.is_dir():
            return [picture for _, picture in read_frames(path, limits)]
        files = [file for file in path.iterdir() if file.suffix.lower() in PICTURE_SUFFIXES]
    except (MediaError, OSError) as error:
        raise ItemError(str(path), str(error)) from error
    inside = sorted(file for file in files if not file.is_symlink())  # which could lead out
    if not inside:
        raise ItemError(str(path), "a folder given as a video, but no pictures in it")
    return [_picture(file, limits) for file in _spread(inside, limits)]


def _spread(files: Sequence[Path], limits: Limits) -> list[Path]:
    """Choose at most `max_frames` of the files, evenly, in order."""
    taken = min(len(files), limits.max_frames)
    return [files[(2 * part + 1) * len(files) // (2 * taken)] for part in range(taken)]
