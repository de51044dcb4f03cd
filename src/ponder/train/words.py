"""How near a picture's tokens come to the words for what it shows.

A frozen language model reads a token that lies near a word's own embedding as it reads that word.
So each picture token is classified over words, with the language model's input embeddings as the
classifier: what captioning would teach the connector, without a pass through the language model.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedTokenizerBase

SELDOM = 3  # texts a token must stand in: of others there is nothing to learn
COMMON = 0.3  # share of a source's texts from which a token tells nothing about one of them
FOUND = 5  # tokens that are looked at to say which words a picture's tokens are near


class Words(nn.Module):
    """Tokens of text that tell pictures apart, and how sharply picture tokens are held to them.

    Args:
        sources: of each source of pictures, its texts as tokens.
        embeddings: (V, H), the language model's input embeddings.
        tokenizer: the language model's.
    """

    def __init__(
        self,
        sources: Sequence[Sequence[Sequence[int]]],
        embeddings: Tensor,
        tokenizer: PreTrainedTokenizerBase,
    ) -> None:
        super().__init__()
        counts: Counter[int] = Counter()
        for texts in sources:
            own = Counter(token for text in texts for token in set(text))
            counts.update({t: n for t, n in own.items() if n < COMMON * len(texts)})
        kept = sorted(token for token, count in counts.items() if count >= SELDOM)
        kept = [token for token in kept if re.search(r"\w", tokenizer.decode([token]))]
        self.places = {token: place for place, token in enumerate(kept)}
        self.sharpness = nn.Parameter(torch.tensor(2.0))
        self.register_buffer("vectors", embeddings[kept].detach().float(), persistent=False)
        weights = torch.tensor([float(counts[token]) for token in kept]).rsqrt()
        self.register_buffer("weights", weights, persistent=False)
        self.vectors: Tensor
        self.weights: Tensor

    def loss(self, tokens: Tensor, texts: Sequence[Sequence[int]]) -> Tensor:
        """Return -log p of each picture's words, seldom ones counting more, on average.

        p is the mean over the picture's tokens of the softmax over all words.

        Args:
            tokens: (B, K, H), of pictures.
            texts: what is said of each, as tokens of text.
        """
        return -(self._target(texts) * self._log_chances(tokens)).sum(dim=1).mean()

    @torch.no_grad()
    def found(self, tokens: Tensor, texts: Sequence[Sequence[int]]) -> float:
        """Return the share of words that are right among the `FOUND` likeliest of each picture."""
        right = self._target(texts) > 0
        likeliest = self._log_chances(tokens).topk(min(FOUND, len(self.places)), dim=1).indices
        hits = right.gather(1, likeliest).sum(dim=1)
        return float((hits / right.sum(dim=1).clamp(1, FOUND)).mean())

    def _log_chances(self, tokens: Tensor) -> Tensor:
        """Return log p (B, words) that a picture is of a word."""
        each = (self.sharpness * tokens @ self.vectors.T).log_softmax(dim=-1)  # (B, K, words)
        return each.logsumexp(dim=1) - torch.tensor(float(tokens.shape[1])).log()

    def _target(self, texts: Sequence[Sequence[int]]) -> Tensor:
        """Return how much each word counts for each picture, (B, words), rows of sum 1 or 0."""
        target = torch.zeros(len(texts), len(self.places))
        for row, text in enumerate(texts):
            target[row, [self.places[token] for token in set(text) if token in self.places]] = 1
        target *= self.weights
        return target / target.sum(dim=1, keepdim=True).clamp(min=1e-9)
