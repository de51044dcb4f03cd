"""The format of a thought: `<think>…</think><answer>…</answer>`."""

from __future__ import annotations

from dataclasses import dataclass

OPENING = "<think>"
MIDDLE = "</think><answer>"
CLOSING = "</answer>"


@dataclass(frozen=True)
class Thought:
    """What a model wrote before it embedded an item.

    Attributes:
        text: all of it, with its tags.
        tokens: how many the model wrote or was given of it.
        was_cut: whether it reached the limit, or broke off, and was closed for it.
    """

    text: str
    tokens: int
    was_cut: bool

    @property
    def reasoning(self) -> str:
        """What stands between the think tags; may be empty."""
        return self.text.removeprefix(OPENING).partition("</think>")[0].strip()

    @property
    def answer(self) -> str:
        """What stands between the answer tags; may be empty."""
        return self.text.partition("<answer>")[2].removesuffix(CLOSING).strip()


def compose(reasoning: str, answer: str) -> str:
    """Return the thought of the two parts, as a model is taught to write it."""
    return f"{OPENING}{reasoning}{MIDDLE}{answer}{CLOSING}"


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
