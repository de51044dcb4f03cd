"""How an item is put to a chat model: one user turn with its parts, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ponder.items import Item

Message = dict[str, Any]


def messages(item: Item, instruction: str = "", reserved: Iterable[str] = ()) -> list[Message]:
    """Return the item as chat messages: an instruction becomes the system turn.

    Args:
        item: what to embed.
        instruction: used when the item has none of its own; empty for no system turn.
        reserved: the tokenizer's special tokens. Text that contains one is broken up, so that
            nobody's file can end a turn or pose as a picture.
    """
    content: list[Message] = [
        {"type": "text", "text": _plain(part, reserved)}
        if isinstance(part, str)
        else {"type": "image"}
        for part in item.parts
    ]
    turns: list[Message] = [{"role": "user", "content": content}]
    if chosen := item.instruction or instruction:
        system = {"type": "text", "text": _plain(chosen, reserved)}
        turns.insert(0, {"role": "system", "content": [system]})
    return turns


def _plain(text: str, reserved: Iterable[str]) -> str:
    for token in reserved:
        if token in text:
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text
