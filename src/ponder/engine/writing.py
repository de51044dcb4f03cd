"""Thoughts being written: how one begins, takes its next token, and ends."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ponder.model.thoughts import OPENING, is_complete, remainder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

# A closing tag is at most so many tokens, so only the end of a thought is searched for it.
TAIL = 16


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen.

    Attributes:
        temperature: 0 takes the likeliest token.
        seed: of the noise; with the number of the item it decides every draw, whatever batch the
            item is in.
    """

    temperature: float = 0.0
    seed: int = 0

    def noise(self, item: int) -> torch.Generator | None:
        """Return the source of one item's noise; None where nothing is drawn."""
        if self.temperature == 0:
            return None
        digest = hashlib.sha256(f"{self.seed}/{item}".encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:8]) >> 1)


GREEDY = Sampling()


@dataclass
class Draft:
    """A thought being written.

    Attributes:
        tokens: all so far, the given opening included.
        unread: how many of them, at the end, the context does not hold yet.
        noise: what its draws come from.
        is_done: whether it came to an end.
        closing: how many tokens, at the end, were added to close it.
    """

    tokens: list[int]
    unread: int
    noise: torch.Generator | None = None
    is_done: bool = False
    closing: int = 0


class Writer:
    """Knows how thoughts begin and end in a tokenizer's tokens.

    Args:
        tokenizer: the backbone's.
        limit: tokens after which a thought is cut and closed, the closing not counted.
        sampling: how tokens are chosen.

    Attributes:
        most_tokens: the most tokens a thought takes, its closing included.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, limit: int, sampling: Sampling = GREEDY
    ) -> None:
        self._tokenizer = tokenizer
        self._limit = limit
        self._sampling = sampling
        self._opening = self._ids(OPENING)
        self.most_tokens = limit + len(self._ids(remainder(OPENING)))

    def start(self, item: int) -> Draft:
        """Return a thought with only its opening tag, for the item of a number."""
        opening = list(self._opening)
        return Draft(opening, len(opening), self._sampling.noise(item))

    def unread(self, draft: Draft) -> list[int]:
        """Return the tokens the context must still read."""
        return draft.tokens[len(draft.tokens) - draft.unread :]

    def write(self, drafts: Sequence[Draft], logits: Tensor) -> None:
        """Add a token to each draft, and end those that have come to their end.

        Args:
            drafts: all their tokens read.
            logits: (B, V), what comes after each.
        """
        for draft, token in zip(drafts, self._choose(drafts, logits), strict=True):
            draft.unread = 1
            draft.tokens.append(token)
            if is_complete(self._tokenizer.decode(draft.tokens[-TAIL:])):
                draft.is_done = True
            elif token == self._tokenizer.eos_token_id:
                draft.tokens.pop()
                draft.unread = 0
                self.close(draft)
            elif len(draft.tokens) >= self._limit:
                self.close(draft)

    def close(self, draft: Draft) -> None:
        """End a draft here, adding the tags it lacks."""
        closing = self._ids(remainder(self._tokenizer.decode(draft.tokens)))
        draft.tokens += closing
        draft.unread += len(closing)
        draft.closing = len(closing)
        draft.is_done = True

    def text(self, draft: Draft) -> str:
        """Return a draft as text, with its tags."""
        text: str = self._tokenizer.decode(draft.tokens)
        return text

    def _choose(self, drafts: Sequence[Draft], logits: Tensor) -> list[int]:
        if self._sampling.temperature == 0:
            return [int(token) for token in logits.argmax(dim=-1).tolist()]
        scores = logits.float().cpu() / self._sampling.temperature
        noise = torch.stack(
            [torch.empty(scores.shape[1]).exponential_(generator=d.noise) for d in drafts]
        )
        # The largest of logit + Gumbel noise is a draw from the softmax.
        return [int(token) for token in (scores - noise.log()).argmax(dim=-1).tolist()]

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids
