"""A ponder model as mteb takes one, for its tasks and for its check of conformance.

mteb knows only the models of its own source by name, so `mteb.get_model` cannot find ponder's:
`model_meta` stands for `mteb.get_model_meta`, and what it returns loads the model.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from ponder.engine.model import load
from ponder.errors import FingerprintError, MissingExtraError, PonderError
from ponder.items import parse

try:
    from mteb.models.abs_encoder import AbsEncoder
    from mteb.models.model_meta import ModelMeta, ScoringFunction
    from mteb.types import PromptType
except ImportError:
    raise MissingExtraError("evaluation with mteb", "mteb") from None

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mteb import TaskMetadata
    from mteb.models import MTEBModels
    from mteb.types import BatchedInput, EncodeKwargs
    from numpy.typing import NDArray
    from torch.utils.data import DataLoader
    from typing_extensions import Unpack

    from ponder.engine.model import Model
    from ponder.engine.trace import ThinkMode
    from ponder.items import Item

# What a model cannot tell of itself; of other models nobody but their makers knows it.
NANO: dict[str, Any] = {
    "languages": ["eng-Latn"],
    "license": "apache-2.0",
    "open_weights": True,
    "public_training_data": True,
    # mteb's tasks from the data on which the vision tower learnt to see.
    "training_datasets": {
        "ImageNet10Clustering",
        "ImageNetDog15Clustering",
        "Imagenet1k",
        "Imagenet1kZeroShot",
        "TinyImageNetClustering",
    },
}


class ModalityError(PonderError):
    """A task holds sound or video, which no model of ponder reads from mteb."""


class PonderEncoder(AbsEncoder):
    """A model for `mteb.evaluate`.

    Queries and documents are embedded as `encode_query` and `encode_document` do it; what a task
    treats alike, as queries. The prompt of a task is the instruction of its items, unless a query
    brings one of its own; a task without a prompt leaves the model's.

    Args:
        model: what to evaluate.
        think: which items to think about before embedding. Results with thoughts are an experiment
            of the model's to mteb, kept apart from those without.

    Attributes:
        model: the same.
        think: the same.
        mteb_model_meta: the model described; its revision is the fingerprint.

    Raises:
        ThinkModeError: the model cannot think, or has no gate to decide.

    Example:
        >>> import mteb, ponder
        >>> from ponder.eval.mteb import PonderEncoder
        >>> mteb.evaluate(PonderEncoder(ponder.load("nano")), mteb.get_task("STS12"))
    """

    model: Model
    mteb_model_meta: ModelMeta

    def __init__(self, model: Model, think: ThinkMode = "never") -> None:
        model.encode([], think=think)  # a wrong mode fails here, not after a task was fetched
        self.model = model
        self.think = think
        self.mteb_model_meta = _describe(model, think)

    def encode(
        self,
        inputs: DataLoader[BatchedInput],
        *,
        task_metadata: TaskMetadata,
        hf_split: str,
        hf_subset: str,
        prompt_type: PromptType | None = None,
        **kwargs: Unpack[EncodeKwargs],
    ) -> NDArray[np.float32]:
        """Embed the items of a task.

        Args:
            inputs: batches of columns; only `text`, `image`, `query` and `instruction` are read.
                Batches are made anew by tokens, so `batch_size` bounds no more than the loading.
            task_metadata: of the task.
            hf_split: not looked at.
            hf_subset: not looked at.
            prompt_type: whether the items are queries or documents; None where a task has no sides.
            kwargs: of `mteb.evaluate`; none changes a vector.

        Returns:
            (n, D) unit rows.

        Raises:
            ModalityError: the task holds sound or video.
            ItemError: an item cannot be read; the message names the task and the item.
            ValueError: a precision other than float32 is asked for.
        """
        if (precision := kwargs.get("precision", "float32")) != "float32":
            raise ValueError(f"precision={precision!r}: mteb gets float32 alone from ponder")
        if others := sorted({*task_metadata.modalities} - {*self.mteb_model_meta.modalities}):
            raise ModalityError(
                f"{task_metadata.name} holds {' and '.join(others)}, and from mteb ponder reads "
                "text and pictures alone; leave the task out"
            )
        vectors = self.model.stream(
            self._items(inputs, task_metadata, prompt_type),
            kind="document" if prompt_type == PromptType.document else "query",
            think=self.think,
        )
        return np.stack([vector for _, vector, _ in vectors])

    def _items(
        self,
        inputs: DataLoader[BatchedInput],
        task: TaskMetadata,
        prompt_type: PromptType | None,
    ) -> Iterator[tuple[str, Item]]:
        instruction = _instruction(task, prompt_type)
        rows = (row for batch in inputs for row in _rows(batch, prompt_type))
        for i, row in enumerate(rows):
            name = f"{task.name}, item {i}"
            value = row | {"instruction": row.get("instruction") or instruction}
            yield name, parse(value, name, self.model.limits)


def model_meta(
    name_or_folder: str | Path = "nano",
    *,
    adapters: str | Path | None = None,
    think: ThinkMode = "never",
) -> ModelMeta:
    """Describe a model as mteb's registry would.

    The model is loaded for it, and dropped; `load_model()` of what is returned, or `mteb.evaluate`
    with it, loads it again, and with `load_model(think="always")` to think.

    Args:
        name_or_folder: as for `ponder.load`.
        adapters: as for `ponder.load`.
        think: as for `PonderEncoder`.

    Raises:
        WeightsError: as `ponder.load`.
        ThinkModeError: the model cannot think, or has no gate to decide.

    Example:
        >>> encoder = model_meta("nano").load_model()
    """
    meta = PonderEncoder(load(name_or_folder, adapters=adapters), think).mteb_model_meta
    source = {"source": str(name_or_folder), "adapters": str(adapters) if adapters else None}
    return meta.model_copy(update={"loader": _load, "loader_kwargs": source})


def _load(
    name: str,
    revision: str,
    *,
    source: str,
    adapters: str | None,
    device: str | None = None,
    think: ThinkMode = "never",
    embed_dim: int | None = None,  # mteb made sure that it is the model's
) -> PonderEncoder:
    model = load(source, adapters=adapters, device=device)
    if model.fingerprint != revision:
        raise FingerprintError(
            f"{source} has changed: {name} was described with the fingerprint {revision} and is "
            f"now {model.fingerprint}; call model_meta again"
        )
    return PonderEncoder(model, think)


class _Meta(ModelMeta):
    """A description whose loader asks for no torchvision: ponder reads pictures with Pillow."""

    def load_model(
        self, device: str | None = None, *, embed_dim: int | None = None, **kwargs: Any
    ) -> MTEBModels:
        """Load the model; arguments and errors as `_load`."""
        # What mteb wants installed follows from the modalities.
        described = self.model_copy(update={"modalities": ["text"]})
        loaded = ModelMeta.load_model(described, device, embed_dim=embed_dim, **kwargs)
        encoder = cast("PonderEncoder", loaded)
        modalities = {"modalities": self.modalities}
        encoder.mteb_model_meta = encoder.mteb_model_meta.model_copy(update=modalities)
        return loaded


def _describe(model: Model, think: ThinkMode) -> ModelMeta:
    known = NANO if model.name == "nano" else dict.fromkeys(NANO)
    return _Meta(
        loader=None,
        name=f"ponder/{Path(model.name).resolve().name}",
        revision=model.fingerprint,
        release_date=None,
        n_parameters=model.parameter_count,
        memory_usage_mb=None,
        max_tokens=model.max_text_tokens,
        embed_dim=model.dim,
        public_training_code=None,
        framework=["PyTorch", "Transformers"],
        similarity_fn_name=ScoringFunction.COSINE,
        use_instructions=True,
        modalities=["text", "image"],
        experiment_kwargs=None if think == "never" else {"think": think},
        **known,
    )


def _instruction(task: TaskMetadata, prompt_type: PromptType | None) -> str | None:
    """Return a task's prompt for one side of it; it may be written for the queries alone."""
    prompt: Any = task.prompt
    side = prompt_type or PromptType.query
    chosen: str | None = prompt.get(side.value) if isinstance(prompt, dict) else prompt
    return chosen


def _rows(batch: BatchedInput, prompt_type: PromptType | None) -> Iterator[dict[str, Any]]:
    """Yield a batch's items as `parse` takes them.

    To the text of a query with an instruction mteb adds the instruction, and keeps what was asked.
    """
    wanted = ("text", "image", "query", "instruction")
    own = wanted if prompt_type == PromptType.query else wanted[:2]
    columns: dict[str, Any] = {key: value for key, value in batch.items() if key in own}
    for values in zip(*columns.values(), strict=True):
        row = dict(zip(columns, values, strict=True))
        text = row.pop("query", row.get("text"))
        yield row | {"text": text, "image": _picture(row.get("image"))}


def _picture(image: Any) -> Any:
    """Return a picture as `parse` takes it; mteb may have a tensor (C, H, W), floats up to 1."""
    if not isinstance(image, torch.Tensor):
        return image
    if image.is_floating_point():
        image = (255 * image.clamp(0, 1)).round().to(torch.uint8)
    array = image.permute(1, 2, 0).numpy()  # (H, W, C)
    return array[..., 0] if array.shape[-1] == 1 else array
