"""A task small enough to learn in a second: colours and sentences about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ponder.items import Item
from ponder.model.thoughts import thought_ids
from ponder.train.task_pairs import Entry, TaskPairs

if TYPE_CHECKING:
    from ponder.model.backbone import Backbone

COLOURS = ("red", "blue", "green", "white", "black", "brown", "grey", "pink")


def tasks(backbone: Backbone) -> list[TaskPairs]:
    """One task: a colour's name finds the sentence about it; half of the thoughts are empty."""
    tokenizer = backbone.processor.tokenizer

    def entry(text: str, colour: str) -> Entry:
        row = backbone.prepare(Item((text,)), text)
        reasoning = "" if len(colour) > 4 else f"this is {colour}"
        taught = thought_ids(tokenizer, reasoning, colour)
        return Entry(row, taught, thought_ids(tokenizer, "", colour))

    queries = [entry(colour, colour) for colour in COLOURS]
    candidates = [entry(f"the bicycle is {colour}", colour) for colour in COLOURS]
    return [TaskPairs("colours", queries, candidates, [[i] for i in range(len(COLOURS))])]
