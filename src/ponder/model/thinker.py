"""Thinking on a frozen backbone: two adapters, queries that read the context, a gate.

The backbone reads an item once under the reasoning adapter; what its layers hold then is the
context. The queries run under the embedding adapter over that context, and the mean of their last
states is the embedding. A thought goes on from the same context, token by token, and is read out in
the same way (Think When Needed, arXiv 2605.14448; what the paper leaves open is decided here).

`interface="reencode"` reads item and thought anew under the embedding adapter instead.

In the place of a written thought the context may go on by latent steps, in which the backbone reads
what a transition adapter makes of its own last state (PLUME, arXiv 2604.02073).
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import Cache

from ponder.errors import ThinkModeError
from ponder.model.adapters import Adapters
from ponder.model.backbone import select
from ponder.model.cache import GrowingLayer
from ponder.model.context import Context
from ponder.model.families import join_media, position_axes
from ponder.model.gate import Gate
from ponder.model.latent import Rollout, TransitionAdapter
from ponder.model.queries import Queries
from ponder.model.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from transformers.modeling_outputs import BaseModelOutputWithPast

    from ponder.model.adapters import Adapter
    from ponder.model.backbone import Backbone, Prepared
    from ponder.model.readout import ReadOut

# Up to this size a language model's weights are kept once for each adapter, which spares the
# adapters' time; a larger one has better use for the memory.
MERGED_BYTES = 2**30
# A prefix that fewer tokens long is read again with each row: reading it apart costs a pass.
MIN_SHARED = 16

Kind = Literal["query", "document"]
RANKS: dict[Adapter, int] = {"reasoning": 32, "embedding": 64}
THRESHOLDS: dict[Kind, float] = {"query": 0.5, "document": 0.5}


@dataclass(frozen=True)
class ThinkerConfig:
    """Shape and habits of a thinker.

    Attributes:
        ranks: of the two LoRA adapters. 32 and 64 are 3 to 5 % of Qwen3-VL 4B and 8B.
        queries: N, learnable query vectors.
        interface: `kv` reads out over the reasoning pass's KV cache; `reencode` reads the item and
            its thought again under the embedding adapter.
        detach: whether the contrastive loss stops at the interface.
        shares_adapter: whether the reasoning adapter also reads out, so that one does both jobs.
        max_thought_tokens: a thought is cut and closed after so many.
        thresholds: the gate's probability from which a query or a document is thought about.
    """

    ranks: dict[Adapter, int] = field(default_factory=lambda: dict(RANKS))
    queries: int = 16
    interface: Literal["kv", "reencode"] = "kv"
    detach: bool = True
    shares_adapter: bool = False
    max_thought_tokens: int = 512
    thresholds: dict[Kind, float] = field(default_factory=lambda: dict(THRESHOLDS))


@dataclass(frozen=True)
class States:
    """What the queries saw of B rows.

    Attributes:
        queries: (B, H), mean of the queries' last states.
        last: (B, H), the last state of the context.
        tally: the context's.
    """

    queries: Tensor
    last: Tensor
    tally: Tally | None


class Thinker:
    """A frozen backbone with everything Think When Needed adds to it.

    Args:
        backbone: the frozen model and its processor.
        adapters: the two adapters in it.
        queries: the learnable queries.
        gate: what decides; None before it is trained.
        config: shape and habits.
        readout: a read-out of means the queries add to, as `nano` has; None where the mean of the
            queries' states is the embedding.
        latent: what makes latent steps; None before it is trained.

    Attributes:
        writes: whether it writes thoughts.
    """

    def __init__(
        self,
        backbone: Backbone,
        adapters: Adapters,
        queries: Queries,
        gate: Gate | None,
        config: ThinkerConfig,
        readout: ReadOut | None = None,
        latent: TransitionAdapter | None = None,
    ) -> None:
        self.backbone = backbone
        self.adapters = adapters
        self.queries = queries
        self.gate = gate
        self.config = config
        self.readout = readout
        self.latent = latent
        self.writes = True
        self._axes = position_axes(backbone.model)

    @classmethod
    def fresh(
        cls,
        backbone: Backbone,
        config: ThinkerConfig,
        readout: ReadOut | None = None,
        seed: int = 0,
    ) -> Thinker:
        """Return an untrained thinker; over a read-out of means its vectors are that one's."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            adapters = Adapters.fresh(backbone.model, config.ranks)
            queries = Queries(
                config.queries, backbone.hidden_size, readout.dim if readout else None
            )
            queries.start(backbone.model.get_input_embeddings().weight)
            gate = Gate.fresh(backbone.hidden_size)
        device = backbone.device
        return cls(backbone, adapters, queries.to(device), gate.eval().to(device), config, readout)

    @property
    def dim(self) -> int:
        """Dimensions of an embedding."""
        return self.readout.dim if self.readout is not None else self.backbone.hidden_size

    @property
    def can_merge(self) -> bool:
        """Whether it is small enough to keep its language model once for each adapter."""
        return self.backbone.text_bytes <= MERGED_BYTES

    @property
    def can_roll_out(self) -> bool:
        """Whether it can take latent steps: they leave nothing that `reencode` could read again."""
        return self.latent is not None and self.config.interface == "kv"

    def folded(self) -> AbstractContextManager[None]:
        """Within, run with the adapters folded in, if there is memory for it; it learns alike."""
        return self.adapters.folded() if self.can_merge else nullcontext()

    def read(self, rows: Sequence[Prepared], adapter: Adapter = "reasoning") -> Context:
        """Read rows under an adapter; what they begin with alike is read once for all of them."""
        shared = _shared(rows) if len(rows) > 1 else 0
        cache = self._read_shared(rows[0], shared, len(rows), adapter)
        longest = max(map(len, rows)) - shared
        device = self.backbone.device
        pad = self.backbone.processor.tokenizer.pad_token_id or 0
        ids = torch.full((len(rows), longest), pad)
        places = torch.zeros(self._axes, len(rows), longest, dtype=torch.long)
        mask = torch.zeros(len(rows), longest, dtype=torch.bool)
        is_text, is_picture = mask.clone(), mask.clone()
        for i, row in enumerate(rows):
            start = longest - (len(row) - shared)
            ids[i, start:] = row.input_ids[shared:]
            places[:, i, start:] = row.positions[:, shared:]
            mask[i, start:] = True
            is_text[i, start:] = self.backbone.is_text(row)[shared:]
            is_picture[i, start:] = self.backbone.is_picture(row)[shared:]
        mask = F.pad(mask, (shared, 0), value=True).to(device)
        media = {k: v.to(device) for k, v in join_media([row.media for row in rows]).items()}
        output = self._run(
            cache, mask, places.to(device), adapter, input_ids=ids.to(device), **media
        )
        next_places = [int(row.positions.max()) + 1 for row in rows]
        return Context(
            tuple(cache.layers),
            mask,
            torch.tensor(next_places, device=device),
            output.last_hidden_state[:, -1],
            self._tally(output, is_text.to(device), is_picture.to(device)),
        )

    def extend(
        self, context: Context, tokens: Sequence[Sequence[int]], adapter: Adapter = "reasoning"
    ) -> tuple[Context, Tensor]:
        """Read more tokens after a context.

        Args:
            context: of B rows.
            tokens: for each row at least one token; they may differ in number.
            adapter: under which they are read.

        Returns:
            The longer context, and the last layer's states (B, t, H) of the tokens, each row's at
            the end of its own.
        """
        device = self.backbone.device
        longest = max(map(len, tokens))
        ids = torch.zeros(len(tokens), longest, dtype=torch.long)
        new = torch.zeros(len(tokens), longest, dtype=torch.bool)
        for i, row in enumerate(tokens):
            ids[i, longest - len(row) :] = torch.tensor(row)
            new[i, longest - len(row) :] = True
        return self._grow(context, new.to(device), adapter, input_ids=ids.to(device))

    def roll_out(
        self, context: Context, anchor: Tensor, steps: int | None = None
    ) -> tuple[Context, Rollout]:
        """Take latent steps after a context (PLUME, section 3).

        Args:
            context: of B rows.
            anchor: (B, H), `States.queries` of the no-think read-out.
            steps: how many; None for as many as the adapter was made for.

        Returns:
            The longer context, and what happened.

        Raises:
            ThinkModeError: there is no transition adapter, or the interface is `reencode`.
        """
        if self.latent is None:
            raise ThinkModeError("there is no transition adapter yet; train one")
        if not self.can_roll_out:
            raise ThinkModeError("latent steps leave no text to read again; they need interface kv")
        states = [context.last]
        gates = [context.last.new_zeros(len(context), 0, self.latent.config.experts).float()]
        new = torch.ones(len(context), 1, dtype=torch.bool, device=context.mask.device)
        for step in range(self.latent.config.steps if steps is None else steps):
            vectors, gate = self.latent(states[-1], step, anchor)
            inputs = vectors.to(context.last.dtype).unsqueeze(1)
            context, _ = self._grow(
                context, new, "reasoning", are_words=False, inputs_embeds=inputs
            )
            states.append(context.last)
            gates.append(gate.unsqueeze(1))
        rollout = Rollout(
            torch.stack(states, dim=1).float(),
            torch.cat(gates, dim=1),
            self.latent.config.chosen,
        )
        return context, rollout

    def logits(self, states: Tensor) -> Tensor:
        """Return the language model's logits (..., V) of last-layer states (..., H)."""
        scores: Tensor = self.backbone.model.get_output_embeddings()(states)
        return scores

    def read_out(
        self,
        context: Context | None,
        rows: Sequence[Prepared],
        thoughts: Sequence[Sequence[int]] | None = None,
        *,
        is_attached: bool = False,
    ) -> States:
        """Let the queries read a context.

        Args:
            context: of the reasoning pass, thoughts included; `reencode` does not look at it.
            rows: the same rows, which `reencode` reads again.
            thoughts: the tokens of their thoughts, if they thought.
            is_attached: whether gradients reach the context even if the interface is detached;
                latent steps learn from what is read out of them.
        """
        if self.config.interface == "reencode":
            longer = zip(rows, thoughts or [()] * len(rows), strict=True)
            context = self.read([row.followed_by(ids) for row, ids in longer], "embedding")
        elif context is None:
            raise ValueError("the kv interface reads out over a context")
        elif self.config.detach and not is_attached:
            context = context.detach()
        count = len(self.queries.vectors)
        asked = torch.ones(len(context), count, dtype=torch.bool, device=context.mask.device)
        places = context.position[:, None] + torch.arange(count, device=context.mask.device)
        vectors = self.queries.vectors.to(context.last.dtype).expand(len(context), -1, -1)
        output = self._run(
            context.cache(is_passing=True),
            torch.cat([context.mask, asked], dim=1),
            places.expand(self._axes, -1, -1),
            "embedding",
            inputs_embeds=vectors,
        )
        return States(
            output.last_hidden_state.float().mean(dim=1), context.last.float(), context.tally
        )

    def embed(self, states: States) -> Tensor:
        """Return unit embeddings (B, D) in float32."""
        embedding = states.queries
        if self.queries.projection is not None:
            embedding = self.queries.projection(embedding)
        if self.readout is not None and states.tally is not None:
            embedding = embedding + self.readout(states.tally.pooled())
        return F.normalize(embedding, dim=-1)

    def decide(self, states: States) -> Tensor:
        """Return the gate's probabilities (B,) that a thought pays; `states` without a thought.

        Raises:
            ThinkModeError: there is no gate.
        """
        if self.gate is None:
            raise ThinkModeError("there is no gate yet; train one")
        probabilities: Tensor = self.gate(states.queries, states.last).sigmoid()
        return probabilities

    def _run(
        self, cache: Cache, mask: Tensor, places: Tensor, adapter: Adapter, **inputs: Tensor
    ) -> BaseModelOutputWithPast:
        self.adapters.use("reasoning" if self.config.shares_adapter else adapter)
        output: BaseModelOutputWithPast = self.backbone.model.model(
            **inputs,
            # Without padding, attention needs no mask beside the causal one, which is faster.
            attention_mask=None if mask.all() else mask.long(),
            position_ids=places if self._axes > 1 else places[0],
            past_key_values=cache,
            use_cache=True,
            output_hidden_states=self.readout is not None,
        )
        return output

    def _grow(
        self,
        context: Context,
        new: Tensor,
        adapter: Adapter,
        are_words: bool = True,
        **inputs: Tensor,
    ) -> tuple[Context, Tensor]:
        """Read more after a context: (B, t) inputs, of which `new` says which a row has.

        Unless they are words, they are not counted for a read-out of means.
        """
        mask = torch.cat([context.mask, new], dim=1)
        places = context.position[:, None] + (new.cumsum(dim=1) - 1).clamp(min=0)  # (B, t)
        cache = context.cache()
        output = self._run(cache, mask, places.expand(self._axes, -1, -1), adapter, **inputs)
        tally = context.tally
        if are_words and tally and (more := self._tally(output, new, torch.zeros_like(new))):
            tally = tally.add(more)
        longer = Context(
            tuple(cache.layers),
            mask,
            context.position + new.sum(dim=1),
            output.last_hidden_state[:, -1],
            tally,
        )
        return longer, output.last_hidden_state

    def _read_shared(self, row: Prepared, shared: int, copies: int, adapter: Adapter) -> Cache:
        cache = Cache(layers=[GrowingLayer() for _ in range(self._layer_count)])
        if shared:
            mask = torch.ones(1, shared, dtype=torch.bool, device=self.backbone.device)
            ids, places = row.input_ids[None, :shared], row.positions[:, None, :shared]
            self._run(cache, mask, places.to(mask.device), adapter, input_ids=ids.to(mask.device))
            cache.batch_repeat_interleave(copies)
        return cache

    @property
    def _layer_count(self) -> int:
        return int(self.backbone.model.config.get_text_config().num_hidden_layers)

    def _tally(
        self, output: BaseModelOutputWithPast, is_text: Tensor, is_picture: Tensor
    ) -> Tally | None:
        if self.readout is None:
            return None
        states = select(output, self.readout.config.layers)
        return Tally.count(states, output.hidden_states[0], is_text, is_picture)


def _shared(rows: Sequence[Prepared]) -> int:
    """Return how many tokens of the template all rows begin with, if it pays to read them apart."""
    limit = min(row.start for row in rows)
    ids = torch.stack([row.input_ids[:limit] for row in rows])
    is_same = (ids == ids[0]).all(dim=0).int()
    shared = int(is_same.cumprod(dim=0).sum())
    return shared if shared >= MIN_SHARED else 0
