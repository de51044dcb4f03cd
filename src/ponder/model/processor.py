"""The processor of `nano`: pictures to pixels, placeholders to tokens, messages to a prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from PIL import Image
from transformers import (
    AutoImageProcessor,
    AutoProcessor,
    BaseImageProcessor,
    BatchFeature,
    ProcessorMixin,
)

from ponder.model.nano import NanoConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedTokenizerBase

# EfficientNet-Lite was trained on pixels scaled as (value - 127) / 128.
PIXEL_MEAN, PIXEL_SCALE = 127.0, 128.0

IMAGE_TOKEN = "<file_sep>"  # reserved in SmolLM2's vocabulary and unused by its chat format

# SmolLM2's format; unlike the published template it takes content parts and adds no system turn
# of its own, which would cost every item twenty tokens that say nothing.
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message['role'] + '\n' -}}"
    "{%- if message['content'] is string -%}{{- message['content'] -}}"
    "{%- else -%}{%- for part in message['content'] -%}"
    "{%- if part['type'] == 'image' -%}{{- '" + IMAGE_TOKEN + "' -}}"
    "{%- else -%}{{- part['text'] -}}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}"
    "{{- '<|im_end|>\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}"
)


class NanoImageProcessor(BaseImageProcessor):  # type: ignore[misc]
    """Fit each picture into a white square and scale its pixels as the vision tower expects."""

    model_input_names: ClassVar[list[str]] = ["pixel_values"]

    def __init__(self, image_size: int = 224, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.image_size = image_size

    def preprocess(self, images: Image.Image | Sequence[Image.Image], **_: Any) -> BatchFeature:
        """Return `pixel_values`, (P, 3, S, S) float32."""
        pictures = [images] if isinstance(images, Image.Image) else list(images)
        size = self.image_size
        pixels = np.empty((len(pictures), size, size, 3), dtype=np.float32)
        for row, picture in zip(pixels, pictures, strict=True):
            row[...] = np.asarray(fit_square(picture, size))
        pixels -= PIXEL_MEAN
        pixels /= PIXEL_SCALE
        # Channels stay last in memory, as the tower's convolutions want them.
        return BatchFeature({"pixel_values": torch.from_numpy(pixels).permute(0, 3, 1, 2)})


class NanoProcessor(ProcessorMixin):  # type: ignore[misc]
    """The image processor and the tokenizer of `nano` behind one call."""

    def __init__(
        self,
        image_processor: NanoImageProcessor | None = None,
        tokenizer: PreTrainedTokenizerBase | None = None,
        chat_template: str | None = None,
        tokens_per_picture: int = 8,
        **kwargs: Any,
    ) -> None:
        self.tokens_per_picture = tokens_per_picture
        self.image_token = IMAGE_TOKEN
        super().__init__(
            image_processor, tokenizer, chat_template=chat_template or CHAT_TEMPLATE, **kwargs
        )

    def __call__(
        self,
        images: Image.Image | Sequence[Image.Image] | Sequence[Sequence[Image.Image]] | None = None,
        text: str | Sequence[str] | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Return `input_ids` and `attention_mask`, and `pixel_values` when there are pictures.

        Args:
            images: the pictures of each row, or all pictures of the batch, in reading order.
            text: one prompt a row; each picture's place is marked by `image_token`.
            **kwargs: for the tokenizer (`padding`, `return_tensors`, ...).

        Raises:
            ValueError: the prompts do not mark as many pictures as are given.
        """
        prompts = [text] if isinstance(text, str) else list(text or [])
        pictures = _flat(images or [])
        marked = sum(prompt.count(self.image_token) for prompt in prompts)
        if marked != len(pictures):
            raise ValueError(f"the prompts mark {marked} pictures, but {len(pictures)} are given")
        placeholders = self.image_token * self.tokens_per_picture
        expanded = [prompt.replace(self.image_token, placeholders) for prompt in prompts]
        features = dict(self.tokenizer(expanded, add_special_tokens=False, **kwargs))
        if pictures:
            features |= self.image_processor(pictures)
        return BatchFeature(features)


def _flat(images: Image.Image | Sequence[Any]) -> list[Image.Image]:
    if isinstance(images, Image.Image):
        return [images]
    return [picture for element in images for picture in _flat(element)]


def fit_square(picture: Image.Image, size: int) -> Image.Image:
    """Scale the picture to fit a white square of `size` pixels, keeping its shape."""
    if picture.size == (size, size):
        return picture
    scale = size / max(picture.size)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    small = picture.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2.0)
    if width == height:
        return small
    square = Image.new("RGB", (size, size), "white")
    square.paste(small, ((size - width) // 2, (size - height) // 2))
    return square


AutoImageProcessor.register(NanoConfig, NanoImageProcessor, exist_ok=True)
AutoProcessor.register(NanoConfig, NanoProcessor, exist_ok=True)
