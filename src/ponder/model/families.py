"""Where Hugging Face's model families differ: processors, positions and the shapes of pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoProcessor,
    ProcessorMixin,
)
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING

from ponder.errors import WeightsError
from ponder.model.tensors import short

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn
    from transformers import PreTrainedModel

# Families whose rotary positions have three axes (time, height, width): M-RoPE.
MROPE = frozenset(["qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe"])


def load_model(
    name: str, *, revision: str | None, dtype: torch.dtype
) -> tuple[PreTrainedModel, ProcessorMixin]:
    """Load an image-text-to-text model and its processor from a folder or by its hub id.

    No code that comes with a model is run. A folder may name other models, which are not fetched.

    Args:
        name: the folder or the hub id.
        revision: of the hub's model; None for its latest.
        dtype: of its weights.

    Raises:
        WeightsError: there is no such model, it is of a family that takes no pictures, or weights
            are missing.
    """
    place = {
        "revision": revision,
        "local_files_only": Path(name).is_dir(),
        "trust_remote_code": False,
    }
    try:
        config = AutoConfig.from_pretrained(name, **place)
        model, info = AutoModelForImageTextToText.from_pretrained(
            name, dtype=dtype, use_safetensors=True, output_loading_info=True, **place
        )
        processor_class = PROCESSOR_MAPPING.get(type(config), AutoProcessor)
        processor = pictures_only(processor_class).from_pretrained(name, **place)
    except Exception as error:  # transformers raises anything at all on files that do not fit
        reason = short(" ".join(str(error).split()))
        raise WeightsError(
            f"cannot load the backbone {name!r}: {type(error).__name__}: {reason}"
        ) from error
    # A model that only embeds may be published without the head that writes words.
    if missing := sorted(k for k in info["missing_keys"] if not k.startswith("lm_head.")):
        raise WeightsError(
            f"the backbone {name!r} lacks {len(missing)} tensors that its config.json asks for, "
            f"{short(missing[0])} among them"
        )
    return model, processor


def pictures_only(processor_class: type[ProcessorMixin]) -> type[ProcessorMixin]:
    """Return the processor's class without its video processor.

    A video reaches a backbone as pictures of its frames, and the video processors want torchvision.
    """
    if "video_processor" not in processor_class.get_attributes():
        return processor_class

    def attributes(cls: type[ProcessorMixin]) -> list[str]:
        return [name for name in processor_class.get_attributes() if name != "video_processor"]

    return type(
        processor_class.__name__, (processor_class,), {"get_attributes": classmethod(attributes)}
    )


def position_axes(model: PreTrainedModel) -> int:
    """Return how many axes a family's positions have."""
    return 3 if model.config.model_type in MROPE else 1


def positions(model: PreTrainedModel, input_ids: Tensor, features: dict[str, Any]) -> Tensor:
    """Return the positions (axes, T) of one row's tokens (T,), on every axis the family has.

    Args:
        model: of any family.
        input_ids: the row's tokens, not padded.
        features: what the processor made of the row beside them.
    """
    axes = position_axes(model)
    if axes == 1 or "image_grid_thw" not in features:
        return torch.arange(len(input_ids)).expand(axes, -1)
    found, _ = model.model.get_rope_index(
        input_ids[None],
        mm_token_type_ids=features["mm_token_type_ids"],
        image_grid_thw=features["image_grid_thw"],
    )
    places: Tensor = found[:, 0]
    return places


def join_media(rows: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Join what processors made of several rows' pictures, row by row on the first axis.

    Other axes may differ: Idefics3 has the pictures of a row on its second, LLaVA-OneVision the
    patches of a picture. The models leave out what is only padding, which is zero.
    """
    with_media = [row for row in rows if row]
    if not with_media:
        return {}
    return {key: _cat([row[key] for row in with_media]) for key in with_media[0]}


def text_tower(model: PreTrainedModel) -> tuple[str, nn.Module]:
    """Return the language model inside, and its name there."""
    tower = model.get_decoder()
    return next((name, module) for name, module in model.named_modules() if module is tower)


def _cat(parts: Sequence[Tensor]) -> Tensor:
    sizes = [max(part.shape[axis] for part in parts) for axis in range(1, parts[0].dim())]
    padded = []
    for part in parts:
        # F.pad counts axes from the last one.
        missing = [(0, size - part.shape[1 + i]) for i, size in enumerate(sizes)]
        padded.append(F.pad(part, [n for pair in reversed(missing) for n in pair]))
    return torch.cat(padded)
