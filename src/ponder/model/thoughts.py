"""The format of a thought: `<think>…</think><answer>…</answer>`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

OPENING = "<think>"
MIDDLE = "</think><answer>"
CLOSING = "</answer>"


def compose(reasoning: str, answer: str) -> str:
    """Return the thought of the two parts, as a model is taught to write it."""
    return f"{OPENING}{reasoning}{MIDDLE}{answer}{CLOSING}"


def thought_ids(tokenizer: PreTrainedTokenizerBase, reasoning: str, answer: str) -> list[int]:
    """Return the tokens of the thought of the two parts, as a model comes to write them.

    The opening tag is given to it, so it becomes tokens by itself: a token that runs across its
    end, as "></" does before an empty reasoning, could never be written.
    """
    rest = compose(reasoning, answer).removeprefix(OPENING)
    ids: list[int] = []
    for part in (OPENING, rest):
        ids += tokenizer(part, add_special_tokens=False)["input_ids"]
    return ids


def is_complete(text: str) -> bool:
    """Tell whether a thought has come to its end."""
    return CLOSING in text


def remainder(text: str) -> str:
    """Return what an unfinished thought lacks to be closed; "" for a finished one.

    Example:
        >>> remainder("<think>two wheels and")
        '</think><answer></answer>'
    """
    if is_complete(text):
        return ""
    if "<answer>" in text:
        return CLOSING
    return ("" if "</think>" in text else "</think>") + "<answer>" + CLOSING
