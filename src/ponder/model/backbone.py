"""The frozen backbone behind one small face: items in, hidden states out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ponder.errors import ItemError
from ponder.items import Item
from ponder.prompts import messages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedModel, ProcessorMixin
    from transformers.modeling_outputs import BaseModelOutputWithPast


@dataclass(frozen=True)
class Prepared:
    """One item as a backbone reads it.

    Attributes:
        input_ids: (T,) tokens from the template's first to the item's own last, picture
            placeholders included.
        start: position of the item's own first token.
        media: what the processor made of the pictures, first axis per picture or patch.
    """

    input_ids: Tensor
    start: int
    media: dict[str, Tensor]

    def __len__(self) -> int:
        return len(self.input_ids)


class Backbone:
    """A Hugging Face image-text-to-text model and its processor, frozen.

    Attributes:
        model: the model, in evaluation mode, no parameter of it trainable.
        processor: its processor; the chat template is the processor's own.
        max_text_tokens: an item's text is cut to so many tokens; pictures never are.
    """

    def __init__(
        self, model: PreTrainedModel, processor: ProcessorMixin, max_text_tokens: int = 1024
    ) -> None:
        self.model = model.eval().requires_grad_(False)
        self.processor = processor
        self.max_text_tokens = max_text_tokens
        self._reserved = [
            token.content for token in processor.tokenizer.added_tokens_decoder.values()
        ]
        self._templates: dict[str, tuple[int, int]] = {}

    @property
    def hidden_size(self) -> int:
        """Width of the hidden states."""
        return int(self.model.config.get_text_config().hidden_size)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        device: torch.device = self.model.device
        return device

    def prepare(self, item: Item, name: str, instruction: str = "") -> Prepared:
        """Render the item with the chat template, tokenize it, and process its pictures.

        Raises:
            ItemError: the item's tokens and pictures do not fit together.
        """
        turns = messages(self._cut(item), instruction, self._reserved)
        prompt = self.processor.apply_chat_template(turns, tokenize=False)
        try:
            features = self.processor(
                text=[prompt], images=list(item.pictures) or None, return_tensors="pt"
            )
        except ValueError as error:
            raise ItemError(name, f"the processor refuses it: {error}") from error
        input_ids = features.pop("input_ids")[0]
        features.pop("attention_mask")
        start, after = self._template(item.instruction or instruction)
        # The model is causal: what closes the turn cannot change the item's own states.
        return Prepared(input_ids[: len(input_ids) - after], start, dict(features))

    def states(
        self, batch: Sequence[Prepared], layers: Sequence[int]
    ) -> tuple[list[Tensor], Tensor]:
        """Run one batch through the model.

        Args:
            batch: items, each on its own row.
            layers: which hidden states to return; 0 is the input embeddings, -1 the last layer
                after its norm.

        Returns:
            The states of each layer, (B, T, H), and which of the T positions are the item's own,
            (B, T). Padding is on the right, where a causal model's other positions never look, so
            attention needs no mask.
        """
        longest = max(len(row) for row in batch)
        padding_id = self.processor.tokenizer.pad_token_id or 0
        ids = torch.full((len(batch), longest), padding_id)
        content = torch.zeros(len(batch), longest, dtype=torch.bool)
        for i, row in enumerate(batch):
            ids[i, : len(row)] = row.input_ids
            content[i, row.start : len(row)] = True
        media = {
            key: torch.cat([row.media[key] for row in batch if key in row.media]).to(self.device)
            for key in {key for row in batch for key in row.media}
        }
        output = self.model.model(
            input_ids=ids.to(self.device), use_cache=False, output_hidden_states=True, **media
        )
        return select(output, layers), content.to(self.device)

    def _template(self, instruction: str) -> tuple[int, int]:
        """Return how many tokens the template puts before and after an item's own."""
        if instruction not in self._templates:
            mark = "\u241f"  # any text the template does not contain
            prompt = self.processor.apply_chat_template(
                messages(Item((mark,)), instruction, self._reserved), tokenize=False
            )
            before, after = prompt.split(mark)
            tokenize = self.processor.tokenizer
            self._templates[instruction] = (
                len(tokenize(before, add_special_tokens=False)["input_ids"]),
                len(tokenize(after, add_special_tokens=False)["input_ids"]),
            )
        return self._templates[instruction]

    def _cut(self, item: Item) -> Item:
        """Cut long text by tokens before it meets the template, so that no turn loses its end."""
        # A token is at least one character, so most items need no count.
        if sum(map(len, item.texts)) <= self.max_text_tokens:
            return item
        left, parts = self.max_text_tokens, list(item.parts)
        for i, part in enumerate(parts):
            if isinstance(part, str):
                tokenizer = self.processor.tokenizer
                ids = tokenizer(part, add_special_tokens=False, split_special_tokens=True)
                kept = ids["input_ids"][:left]
                left -= len(kept)
                if len(kept) < len(ids["input_ids"]):
                    parts[i] = tokenizer.decode(kept)
        return Item(tuple(parts), item.instruction)


def select(output: BaseModelOutputWithPast, layers: Sequence[int]) -> list[Tensor]:
    """Return the states of the layers asked for, each (B, T, H).

    The last layer's are `last_hidden_state`: some models' `hidden_states[-1]` lack the final norm.
    """
    return [
        output.last_hidden_state if layer == -1 else output.hidden_states[layer] for layer in layers
    ]
