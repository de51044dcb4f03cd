"""The layout in which the authors of PLUME publish their model (arXiv 2604.02073).

All weights of a fine-tuned Qwen2-VL lie in one folder, the transition adapter among them, and five
tokens are its own. A turn ends with `<disc_emb>` and a fixed request; the answer opens a thought,
takes the latent steps, closes it and ends with `<gen_emb>`. The state at `<disc_emb>` is the
embedding without a thought and the router's anchor, that at `<gen_emb>` the one with latent steps.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors import SafetensorError, safe_open

from ponder.errors import WeightsError
from ponder.model.adapters import Adapters
from ponder.model.backbone import Backbone
from ponder.model.context import Context
from ponder.model.latent import TransitionAdapter, TransitionConfig
from ponder.model.queries import Queries
from ponder.model.tensors import check_shapes, shapes_of
from ponder.model.thinker import States, Thinker, ThinkerConfig

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from peft import PeftModel
    from torch import Tensor

    from ponder.items import Item
    from ponder.model.backbone import Prepared
    from ponder.model.latent import Rollout
    from ponder.prompts import Message

ANCHOR = "<disc_emb>"
OPENING, CLOSING = "<think><bot>", "<eot></think>\n<gen_emb>"
# The weights were trained with these very words, UME-R1's.
REQUEST = (
    "Represent the above input text, images, videos, or any combination of the three as embeddings."
    " First output the thinking process in <think> </think> tags and then summarize the entire "
    "input in a word or sentence. Finally, use the <gen_emb> tag to represent the entire input."
)
PART = "latent_moe_transition."
STEPS = 8  # where the folder does not say


def is_plume(folder: Path) -> bool:
    """Tell whether a folder holds a model with a transition adapter among its weights."""
    return (folder / "config.json").is_file() and any(
        PART in name for path in _weights(folder) for name in _names(path)
    )


class PlumeBackbone(Backbone):
    """A backbone whose items end at `<disc_emb>`; what follows is the same for all of them."""

    def prepare(self, item: Item, name: str, instruction: str = "") -> Prepared:
        """Prepare an item up to its anchor; arguments and errors as for any backbone."""
        row = super().prepare(item, name, instruction)
        token = self.processor.tokenizer.convert_tokens_to_ids(ANCHOR)
        stop = int((row.input_ids == token).nonzero()[-1]) + 1
        return replace(row, input_ids=row.input_ids[:stop], positions=row.positions[:, :stop])

    @property
    def tail(self) -> list[int]:
        """Tokens that follow the anchor, up to the first latent step."""
        prompt = self._render([{"role": "user", "content": []}])
        ids: list[int] = self.processor.tokenizer(
            prompt.rpartition(ANCHOR)[2], add_special_tokens=False
        )["input_ids"]
        return ids

    def _render(self, turns: list[Message]) -> str:
        *before, last = turns
        parts = list(last["content"])
        text = ""
        if parts and parts[-1]["type"] == "text":
            text = parts.pop()["text"].strip()
        parts.append({"type": "text", "text": f"{text}\n{ANCHOR}\n{REQUEST}"})
        return super()._render([*before, last | {"content": parts}]) + OPENING


@dataclass(frozen=True)
class _Rolled(Context):
    """A context that latent steps have been taken after."""


class PlumeThinker(Thinker):
    """Reads and rolls out as the published model was evaluated; it writes no thoughts.

    Args:
        backbone: the published weights.
        latent: their transition adapter.
    """

    def __init__(self, backbone: PlumeBackbone, latent: TransitionAdapter) -> None:
        queries = Queries(0, backbone.hidden_size)
        adapters = _NoAdapters(cast("PeftModel", backbone.model))
        config = ThinkerConfig(ranks={"reasoning": 0, "embedding": 0}, queries=0)
        super().__init__(backbone, adapters, queries, None, config, latent=latent)
        self.writes = False
        self._tail = backbone.tail
        self._closing: list[int] = backbone.processor.tokenizer(CLOSING, add_special_tokens=False)[
            "input_ids"
        ]

    def roll_out(
        self, context: Context, anchor: Tensor, steps: int | None = None
    ) -> tuple[Context, Rollout]:
        """Read the request, then take latent steps; arguments as for any thinker.

        The published evaluation counts positions from here on in tokens, not as the family does
        for pictures; its figures were measured so.
        """
        context, _ = self.extend(context, [self._tail] * len(context))
        context = replace(context, position=context.mask.sum(dim=1))
        context, rollout = super().roll_out(context, anchor, steps)
        return _Rolled(**vars(context)), rollout

    def read_out(
        self,
        context: Context | None,
        rows: Sequence[Prepared],
        thoughts: Sequence[Sequence[int]] | None = None,
        *,
        is_attached: bool = False,
    ) -> States:
        """Return the state at `<disc_emb>` or, after latent steps, at `<gen_emb>`."""
        if context is None or thoughts is not None:
            raise ValueError("a published PLUME model reads out over a context without text")
        if isinstance(context, _Rolled):
            context, _ = self.extend(context, [self._closing] * len(context))
        return States(context.last.float(), context.last.float(), None)


class _NoAdapters(Adapters):
    """Adapters of a model without any: the published weights have what they learnt in them."""

    def save(self, folder: Path) -> None:
        raise WeightsError(f"{folder}: a published PLUME model is read, not written")


def load_plume(folder: Path, backbone: Backbone) -> tuple[PlumeThinker, dict[str, Any]]:
    """Return the model of a folder and what `ponder.json` would say of it.

    Args:
        folder: with the published layout.
        backbone: its weights and processor, loaded as any other's.

    Raises:
        WeightsError: the adapter's tensors do not fit one another, or a token is missing.
    """
    vocabulary = backbone.processor.tokenizer.get_vocab()
    for token in (ANCHOR, "<bot>", "<eot>", "<gen_emb>"):
        if token not in vocabulary:
            raise WeightsError(f"{folder}: its tokenizer has no token {token}")
    given: dict[str, Tensor] = {}
    for path in _weights(folder):
        names = [name for name in _names(path) if PART in name]
        with safe_open(path, "pt") as file:
            given |= {name.partition(PART)[2]: file.get_tensor(name).float() for name in names}
    try:
        steps, hidden = given["step_embed.weight"].shape
        width = given["shared_expert.fc1.weight"].shape[0]
    except (KeyError, ValueError) as error:
        raise WeightsError(f"{folder}: {PART}* is no transition adapter: {error!r}") from error
    experts = len({name.split(".")[1] for name in given if name.startswith("experts.")})
    shape = TransitionConfig(_latent_steps(folder), experts, min(2, experts), width)
    if hidden != backbone.hidden_size:
        raise WeightsError(
            f"{folder}: {PART}step_embed.weight: expected a last dimension of "
            f"{backbone.hidden_size}, got {hidden}"
        )
    with torch.device("meta"):
        latent = TransitionAdapter(shape, hidden, steps)
    check_shapes(folder, shapes_of(latent.state_dict()), shapes_of(given))
    latent.to_empty(device="cpu").load_state_dict(given)
    latent.requires_grad_(False).to(backbone.device)
    own = PlumeBackbone(backbone.model, backbone.processor, backbone.source)
    record = {"backbone": own.source, "latent": asdict(shape) | {"layout": "plume"}}
    return PlumeThinker(own, latent), record


def _latent_steps(folder: Path) -> int:
    path = folder / "trainer_state.json"
    if not path.is_file():
        return STEPS
    try:
        steps = int(json.loads(path.read_text(encoding="utf-8"))["curriculum_latent_tokens"])
    except (ValueError, KeyError, TypeError):
        return STEPS
    return steps if 0 < steps <= 1024 else STEPS


def _weights(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def _names(path: Path) -> list[str]:
    try:
        with safe_open(path, "pt") as file:
            return list(file.keys())
    except SafetensorError:
        return []
