"""From written thoughts to latent steps: how much of a thought is still text (PLUME, section 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ponder.model.thoughts import MIDDLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Stage:
    """A stretch of training.

    Attributes:
        ratio: share of a thought's reasoning whose place latent steps take.
        has_answer: whether the answer is still taught.
        since: the step it began with.
    """

    ratio: float
    has_answer: bool
    since: int

    def latent_steps(self, most: int) -> int:
        """Return how many of `most` latent steps are taken."""
        return max(1, round(self.ratio * most)) if self.ratio else 0


@dataclass(frozen=True)
class Curriculum:
    """When each share of the thought becomes latent.

    Attributes:
        ratios: the shares, rising; all but the last last equally long.
        last: share of all steps that the last takes.
        answerless: share of all steps, at the end, in which no answer is taught either.
    """

    ratios: Sequence[float]
    last: float
    answerless: float

    def at(self, step: int, steps: int) -> Stage:
        """Return the stage of a step."""
        early = steps - round(self.last * steps) if len(self.ratios) > 1 else 0
        if step < early:
            number = step * (len(self.ratios) - 1) // early
            since = -(-number * early // (len(self.ratios) - 1))
            return Stage(self.ratios[number], True, since)
        return Stage(self.ratios[-1], step < steps - round(self.answerless * steps), early)


def remaining(
    tokenizer: PreTrainedTokenizerBase, thought: Sequence[int], share: float, has_answer: bool
) -> list[int]:
    """Return the tokens of a thought that are still text.

    Args:
        tokenizer: whose tokens they are.
        thought: all of it, complete.
        share: of its reasoning, from its start, that is not.
        has_answer: whether what follows the reasoning is.
    """

    def ids(text: str) -> list[int]:
        found: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
        return found

    reasoning, middle, answer = tokenizer.decode(thought).partition(MIDDLE)
    kept = ids(reasoning)
    kept = kept[round(share * len(kept)) :]
    return kept + ids(middle + answer) if has_answer else kept
