"""A saved model as a sentence-transformers model: text and pictures, without thinking.

    model = SentenceTransformer("my-model", trust_remote_code=True)
    model.encode_query(["a red bicycle", {"text": "like this", "image": "red.png"}])

A saved folder names `PonderModule` in its `modules.json`. The folder holds no code, but
sentence-transformers has to be told to trust any class outside itself. Vectors are those of
`ponder.load`; what is called a prompt there is the instruction. Rows cut to `truncate_dim` are unit
vectors again, as ponder's are, with `normalize_embeddings=True`.

Only this file imports sentence_transformers.
"""

from __future__ import annotations

import json
import reprlib
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from sentence_transformers.base.modality import is_message_dict
from sentence_transformers.base.modules import InputModule
from torch import nn

from ponder.engine.model import load
from ponder.errors import ItemError, WeightsError
from ponder.items import Item, parse
from ponder.model.adapters import ADAPTERS
from ponder.model.interchange import CONFIG
from ponder.model.saved import RECORD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sentence_transformers.base.modality_types import Modality

    from ponder.media import Limits


class PonderModule(InputModule):
    """The one module of such a model: it reads items and embeds them, and learns nothing.

    Args:
        folder: what ponder saved.
        dtype: as for `ponder.load`, whose errors are raised.
        allow_download: as there.
    """

    def __init__(
        self, folder: Path, dtype: torch.dtype | None = None, allow_download: bool = False
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._folder = folder.absolute()
        self._dtype = dtype
        self._allow_download = allow_download
        self._model = load(folder, dtype=dtype, allow_download=allow_download)
        saved = self._model.saved
        parts = [saved.backbone.model, saved.readout]
        if saved.thinker is not None:
            parts += [saved.thinker.queries, saved.thinker.gate]
        # Registered, they follow this module to another device.
        self.parts = nn.ModuleList(part for part in parts if part is not None)

    def __reduce__(self) -> tuple[type[PonderModule], tuple[Path, torch.dtype | None, bool]]:
        # Other processes load it from disk: a model that has run holds hooks that do not pickle.
        return type(self), (self._folder, self._dtype, self._allow_download)

    @property
    def modalities(self) -> list[Modality]:
        """Text, pictures, and `message`: dicts of both, batches of all these, one-turn chats."""
        return ["text", "image", "message"]

    @property
    def max_seq_length(self) -> int:
        """An item's text is cut to so many tokens."""
        return self._model.max_text_tokens

    def get_embedding_dimension(self) -> int:
        """Return the dimensions of a vector."""
        return self._model.dim

    def preprocess(
        self, inputs: Sequence[Any], prompt: str | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Read inputs as items.

        Args:
            inputs: what `ponder.items.parse` takes, or chats: a user's turn, after a system's at
                most, which is the instruction.
            prompt: the instruction of those that have none of their own.
            kwargs: what other modules are told.

        Raises:
            ItemError: an input cannot be read; the message shows it.
        """
        return {"items": [_item(value, prompt, self._model.limits) for value in inputs]}

    def forward(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Add unit vectors (B, D) in float32."""
        # Items have their prompts by now, and none means none here.
        embedded = self._model.encode(features["items"], instruction="", show_progress=False)
        rows = torch.from_numpy(embedded)
        return features | {"sentence_embedding": rows.to(self._model.saved.backbone.device)}

    @classmethod
    def load(
        cls,
        model_name_or_path: str,
        subfolder: str = "",
        token: bool | str | None = None,
        cache_folder: str | None = None,
        revision: str | None = None,
        local_files_only: bool = False,
        init_defaults: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Load a saved folder, or one on the hub; arguments as sentence-transformers gives them.

        A model on the hub may name a backbone there, which is fetched, too; a folder may not.

        Raises:
            ValueError: `model_kwargs` has anything but a `dtype`.
            WeightsError: as `ponder.load`, or the prompts are not the instructions.
        """
        place = (model_name_or_path, subfolder, token, cache_folder, revision, local_files_only)
        folder = Path(cls.load_dir_path(*place) or model_name_or_path)
        given = ("model_kwargs", "processor_kwargs", "config_kwargs")
        options = {key: value for name in given for key, value in (kwargs.get(name) or {}).items()}
        dtype = options.pop("dtype", None)
        if options or not isinstance(dtype, torch.dtype | None):
            raise ValueError(
                "ponder takes model_kwargs={'dtype': a torch.dtype} and no other option, "
                f"not {options or dtype!r}"
            )
        is_of_hub = not (local_files_only or Path(model_name_or_path).is_dir())
        module = cls(folder, dtype, allow_download=is_of_hub)
        prompts = cls.load_config(str(folder), config_filename=CONFIG).get("prompts", {})
        for kind, instruction in module._model.saved.instructions.items():
            if prompts.get(kind, "") != instruction:
                raise WeightsError(
                    f"{folder}: the {kind} prompt in {CONFIG} is {prompts.get(kind, '')!r}, the "
                    f"instruction in {RECORD} {instruction!r}; write the same in both"
                )
        return module

    def save(
        self, output_path: str, *args: Any, safe_serialization: bool = True, **kwargs: Any
    ) -> None:
        """Copy the folder, so that ponder opens the copy too; prompts become its instructions."""
        folder = Path(output_path)
        record = self._model.saved.record
        files = [*record["weights"]]
        if "thinker" in record:
            files += [f"{name}/adapter_config.json" for name in ADAPTERS]
        if not folder.samefile(self._folder):
            for name in files:
                (folder / name).parent.mkdir(exist_ok=True)
                shutil.copyfile(self._folder / name, folder / name)
        # Written before its modules are: the prompts the model has now.
        prompts = self.load_config(output_path, config_filename=CONFIG).get("prompts", {})
        kinds = self._model.saved.instructions
        record = record | {"instructions": {kind: prompts.get(kind, kinds[kind]) for kind in kinds}}
        (folder / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _item(value: Any, prompt: str | None, limits: Limits) -> Item:
    name = reprlib.repr(value)
    turns = value if isinstance(value, list) else [value]
    if any(map(is_message_dict, turns)):
        roles = [turn["role"] if is_message_dict(turn) else None for turn in turns]
        if roles not in (["user"], ["system", "user"]):
            raise ItemError(name, "a chat to embed is one user's turn, after a system's at most")
        *system, value = [_parts(turn["content"]) for turn in turns]
        if system:
            prompt = "\n".join(parse(system, name, limits).texts)
    item = parse(value, name, limits)
    return item if item.instruction else replace(item, instruction=prompt)


def _parts(content: Any) -> list[Any]:
    """Return a turn's content as `parse` takes it."""
    if isinstance(content, str):
        return [{"text": content}]
    return [{key: value for key, value in part.items() if key != "type"} for part in content]
