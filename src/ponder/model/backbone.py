"""The frozen backbone behind one small face: items in, hidden states out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ponder.errors import ItemError
from ponder.items import Item
from ponder.model.families import join_media, positions
from ponder.model.nano import NanoConfig
from ponder.model.readout import Pooled
from ponder.prompts import messages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedModel, ProcessorMixin
    from transformers.modeling_outputs import BaseModelOutputWithPast

    from ponder.prompts import Message

# What a processor returns for each token, not for the pictures.
_PER_TOKEN = frozenset(["input_ids", "attention_mask", "mm_token_type_ids"])


@dataclass(frozen=True)
class Prepared:
    """One item as a backbone reads it.

    Attributes:
        name: what errors call it.
        input_ids: (T,) the whole prompt, picture placeholders and the opening of the model's own
            turn included.
        positions: (axes, T) of the tokens; three axes where a family has M-RoPE, else one.
        start: index of the item's own first token.
        stop: index after its last; then comes what the template ends with.
        media: what the processor made of the pictures, first axis per picture or patch.
        thought: how many tokens, at the end, are those of a thought.
        cut_tokens: how many tokens of the item's text were left out.
    """

    name: str
    input_ids: Tensor
    positions: Tensor
    start: int
    stop: int
    media: dict[str, Tensor]
    thought: int = 0
    cut_tokens: int = 0

    def __len__(self) -> int:
        return len(self.input_ids)

    def followed_by(self, thought: Sequence[int]) -> Prepared:
        """Return the item with the tokens of its thought."""
        start = int(self.positions.max()) + 1
        places = torch.arange(start, start + len(thought)).expand(len(self.positions), -1)
        return replace(
            self,
            input_ids=torch.cat([self.input_ids, torch.tensor(thought, dtype=torch.long)]),
            positions=torch.cat([self.positions, places], dim=1),
            thought=len(thought),
        )


class Backbone:
    """A Hugging Face image-text-to-text model and its processor, frozen.

    Attributes:
        model: the model, in evaluation mode, no parameter of it trainable.
        processor: its processor; the chat template is the processor's own.
        source: what names the model for good: its name, and a revision or checksums.
        picture_side: the side in pixels to which it scales every picture; None where that depends
            on the picture.
        max_text_tokens: an item's text is cut to so many tokens; pictures never are.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        processor: ProcessorMixin,
        source: dict[str, Any],
        picture_side: int | None = None,
        max_text_tokens: int = 1024,
    ) -> None:
        self.model = model.eval().requires_grad_(False)
        self.processor = processor
        self.source = source
        self.picture_side = picture_side
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

    @property
    def text_bytes(self) -> int:
        """Size of the language model's weights."""
        return sum(p.nbytes for p in self.model.get_decoder().parameters())

    def fuse(self) -> None:
        """Make ready for fast inference; what it is made of is to change no more."""
        if isinstance(self.model.config, NanoConfig):
            self.model.model.fuse()

    def prepare(self, item: Item, name: str, instruction: str = "") -> Prepared:
        """Render the item with the chat template, tokenize it, and process its pictures.

        Raises:
            ItemError: the item's tokens and pictures do not fit together.
        """
        item, cut_tokens = self._cut(item)
        turns = messages(item, instruction, self._reserved)
        prompt = self._render(turns)
        pictures = [list(item.pictures)] if item.pictures else None
        try:
            features = dict(self.processor(text=[prompt], images=pictures, return_tensors="pt"))
        except ValueError as error:
            raise ItemError(name, f"the processor refuses it: {error}") from error
        input_ids = features["input_ids"][0]
        before, after = self._template(item.instruction or instruction)
        return Prepared(
            name,
            input_ids,
            positions(self.model, input_ids, features),
            start=before,
            stop=len(input_ids) - after,
            media={key: value for key, value in features.items() if key not in _PER_TOKEN},
            cut_tokens=cut_tokens,
        )

    @property
    def sees_ahead(self) -> bool:
        """Whether its family takes the tokens of pictures in the place of pixels."""
        return isinstance(self.model.config, NanoConfig)

    def see_ahead(self, batch: Sequence[Prepared]) -> list[Prepared]:
        """Return the items with the tokens of their pictures in the place of pixels.

        Whatever reads them spares the vision tower. Families that take no such tokens keep pixels.
        """
        if not self.sees_ahead:
            return list(batch)
        with torch.inference_mode():
            seen = self._see(batch)
        pictures = [len(row.media["pixel_values"]) if row.media else 0 for row in batch]
        return [
            row
            if tokens is None
            else replace(row, media={"image_features": tokens.unflatten(0, (count, -1)).clone()})
            for row, tokens, count in zip(batch, seen, pictures, strict=True)
        ]

    def pool(self, batch: Sequence[Prepared], layers: Sequence[int]) -> Pooled:
        """Read one batch of items.

        Items without text never run through the language model: their read-out does not look there.

        Args:
            batch: items, each on its own row.
            layers: hidden states to average over text tokens; 0 is the input embeddings, -1 the
                last layer after its norm.
        """
        seen = self._see(batch)
        size = len(batch), len(layers) * self.hidden_size
        text = torch.zeros(size, device=self.device)
        picture = torch.zeros(len(batch), self.hidden_size, device=self.device)
        for i, tokens in enumerate(seen):
            if tokens is not None:
                picture[i] = tokens.float().mean(dim=0)
        worded = [i for i, row in enumerate(batch) if self.is_text(row).any()]
        if worded:
            rows = [batch[i] for i in worded]
            text[worded] = self._pool_text(rows, [seen[i] for i in worded], layers)
        has_text = torch.tensor([i in set(worded) for i in range(len(batch))])
        has_picture = torch.tensor([tokens is not None for tokens in seen])
        return Pooled(
            text,
            picture,
            has_text.float().unsqueeze(1).to(self.device),
            has_picture.float().unsqueeze(1).to(self.device),
        )

    def _see(self, batch: Sequence[Prepared]) -> list[Tensor | None]:
        """Return each row's picture tokens (pictures * K, H), None where it has no picture."""
        media = join_media([row.media for row in batch])
        if not media:
            return [None] * len(batch)
        media = {key: value.to(self.device) for key, value in media.items()}
        tokens = self.model.get_image_features(**media).flatten(0, 1)
        counts = [int(self.is_picture(row).sum()) for row in batch]
        return [part if len(part) else None for part in tokens.split(counts)]

    def _pool_text(
        self, rows: Sequence[Prepared], seen: Sequence[Tensor | None], layers: Sequence[int]
    ) -> Tensor:
        """Run rows through the language model; average each layer over their text tokens.

        Padding is on the right, where a causal model's other positions never look, so attention
        needs no mask. The template's tokens are left out of the mean: a causal model's first token
        is an attention sink whose states are larger than all others by orders of magnitude.
        """
        # The model is causal: what the template ends with cannot change the item's own states.
        longest = max(row.stop for row in rows)
        ids = torch.full((len(rows), longest), self.processor.tokenizer.pad_token_id or 0)
        is_text = torch.zeros(len(rows), longest, dtype=torch.bool)
        for i, row in enumerate(rows):
            ids[i, : row.stop] = row.input_ids[: row.stop]
            is_text[i, : row.stop] = self.is_text(row)[: row.stop]
        ids, is_text = ids.to(self.device), is_text.to(self.device)
        embeds = self.model.get_input_embeddings()(ids)  # (B, T, H)
        tokens = [part for part in seen if part is not None]
        if tokens:
            embeds[ids == self._picture_id] = torch.cat(tokens).to(embeds.dtype)
        output = self.model.model(inputs_embeds=embeds, use_cache=False, output_hidden_states=True)
        weights = is_text.float() / is_text.sum(dim=1, keepdim=True)  # (B, T)
        means = [
            torch.einsum("bt,bth->bh", weights, states.float()) for states in select(output, layers)
        ]
        return torch.cat(means, dim=-1)

    def is_text(self, row: Prepared) -> Tensor:
        """Return which of a row's tokens (T,) are the item's own text, or its thought's."""
        is_text = ~self.is_picture(row)
        is_text[: row.start] = False
        is_text[row.stop : len(row) - row.thought] = False
        return is_text

    def is_picture(self, row: Prepared) -> Tensor:
        """Return which of a row's tokens (T,) stand for pictures."""
        return row.input_ids == self._picture_id

    @property
    def _picture_id(self) -> int:
        return int(self.model.config.image_token_id)

    def _render(self, turns: list[Message]) -> str:
        prompt: str = self.processor.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=True
        )
        return prompt

    def _template(self, instruction: str) -> tuple[int, int]:
        """Return how many tokens the template puts before and after an item's own."""
        if instruction not in self._templates:
            mark = "\u241f"  # any text the template does not contain
            prompt = self._render(messages(Item((mark,)), instruction, self._reserved))
            before, after = prompt.split(mark)
            tokenize = self.processor.tokenizer
            self._templates[instruction] = (
                len(tokenize(before, add_special_tokens=False)["input_ids"]),
                len(tokenize(after, add_special_tokens=False)["input_ids"]),
            )
        return self._templates[instruction]

    def _cut(self, item: Item) -> tuple[Item, int]:
        """Cut long text by tokens before it meets the template, so that no turn loses its end.

        Returns:
            What is left, and how many tokens were cut.
        """
        # A token is at least one character, so most items need no count.
        if sum(map(len, item.texts)) <= self.max_text_tokens:
            return item, 0
        left, parts, cut_tokens = self.max_text_tokens, list(item.parts), 0
        for i, part in enumerate(parts):
            if isinstance(part, str):
                tokenizer = self.processor.tokenizer
                ids = tokenizer(part, add_special_tokens=False, split_special_tokens=True)
                kept = ids["input_ids"][:left]
                left -= len(kept)
                if len(kept) < len(ids["input_ids"]):
                    parts[i] = tokenizer.decode(kept)
                    cut_tokens += len(ids["input_ids"]) - len(kept)
        return Item(tuple(parts), item.instruction), cut_tokens


def select(output: BaseModelOutputWithPast, layers: Sequence[int]) -> list[Tensor]:
    """Return the states of the layers asked for, each (B, T, H).

    The last layer's are `last_hidden_state`: some models' `hidden_states[-1]` lack the final norm.
    """
    return [
        output.last_hidden_state if layer == -1 else output.hidden_states[layer] for layer in layers
    ]
