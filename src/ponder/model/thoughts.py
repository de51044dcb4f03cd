"""The format of a thought: `<think>…</think><answer>…</answer>`."""

from __future__ import annotations

OPENING = "<think>"
MIDDLE = "</think><answer>"
CLOSING = "</answer>"


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
