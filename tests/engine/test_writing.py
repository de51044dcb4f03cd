"""How a thought ends: by itself, cut at the limit, or broken off."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from ponder.engine.writing import Draft, Sampling, Writer
from ponder.model.thoughts import compose, is_complete, remainder, thought_ids
from ponder.train.records import WrittenThought, read_thought
from tests.families import tokenizer

if TYPE_CHECKING:
    from ponder.engine.model import Model

TOKENIZER = tokenizer("<image>")


def ids(text: str) -> list[int]:
    found: list[int] = TOKENIZER(text, add_special_tokens=False)["input_ids"]
    return found


def write(text: str, limit: int = 100) -> Draft:
    """Return the draft of a model that goes on with this text after the opening."""
    writer = Writer(TOKENIZER, limit)
    draft = writer.start(0)
    for token in ids(text):
        assert not draft.is_done
        logits = torch.zeros(1, len(TOKENIZER))
        logits[0, token] = 1
        writer.write([draft], logits)
        if draft.is_done:
            break
    return draft


def text_of(draft: Draft) -> str:
    return Writer(TOKENIZER, 100).text(draft)


@pytest.mark.parametrize("reasoning", ["two wheels", ""])
def test_a_thought_ends_with_its_answer(reasoning: str) -> None:
    text = compose(reasoning, "a red bicycle")
    draft = write(text.removeprefix("<think>") + " and more")
    assert text_of(draft) == text
    assert read_thought(text) == WrittenThought(reasoning, "a red bicycle")
    assert draft.closing == 0
    assert draft.unread == 1  # the context has not read the last token yet


@pytest.mark.nano
@pytest.mark.parametrize("reasoning", ["two wheels", ""])
def test_a_thought_is_taught_in_tokens_that_can_be_written(nano: Model, reasoning: str) -> None:
    tokenizer = nano._saved.backbone.processor.tokenizer
    taught = thought_ids(tokenizer, reasoning, "a red bicycle")
    given = Writer(tokenizer, 100).start(0).tokens
    assert taught[: len(given)] == given
    assert tokenizer.decode(taught) == compose(reasoning, "a red bicycle")


@pytest.mark.parametrize("limit", range(8, 24))
def test_a_thought_too_long_is_cut_and_closed(limit: int) -> None:
    draft = write("two wheels and a frame</think><answer>a red bicycle with a bell", limit)
    text = text_of(draft)
    assert draft.closing > 0
    assert is_complete(text)
    assert text.count("</think>") == text.count("<answer>") == 1
    assert draft.tokens[-draft.unread :] == draft.tokens[limit - 1 :]


def test_a_thought_broken_off_is_closed_without_the_stop_token() -> None:
    draft = write("two wheels<|im_end|>")
    assert text_of(draft) == "<think>two wheels</think><answer></answer>"
    assert draft.closing
    closing = ids("</think><answer></answer>")
    assert draft.tokens[-draft.unread :] == closing


@pytest.mark.parametrize("text", ["<think>a", "<think>a</think>", "<think></think><answer>b"])
def test_what_is_missing_closes_a_thought(text: str) -> None:
    assert remainder(text)
    assert is_complete(text + remainder(text))
    assert remainder(text + remainder(text)) == ""


def test_draws_follow_the_probabilities() -> None:
    writer = Writer(TOKENIZER, 100, Sampling(temperature=2.0, seed=3))
    logits = torch.full((1, len(TOKENIZER)), -1e9)
    logits[0, 50], logits[0, 60] = 2 * torch.tensor(0.8).log(), 2 * torch.tensor(0.2).log()
    drafts = [writer.start(i) for i in range(4000)]
    writer.write(drafts, logits.expand(len(drafts), -1))
    drawn = [draft.tokens[-1] for draft in drafts]
    assert set(drawn) == {50, 60}
    assert 0.77 < drawn.count(50) / len(drawn) < 0.83
