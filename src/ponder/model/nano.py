"""`nano`: EfficientNet-Lite0, a connector and SmolLM2-135M-Instruct as one Hugging Face model.

It has the contract of any image-text-to-text model of transformers (`forward`, `generate`, a
processor with a chat template, `save_pretrained` and `from_pretrained`), so that nothing else in
ponder knows which backbone it has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForImageTextToText,
    GenerationMixin,
    LlamaConfig,
    LlamaModel,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast

from ponder.model.connector import Connector
from ponder.model.fused import FusedTower, can_fuse
from ponder.model.vision import HEAD_CHANNELS, STAGES, EfficientNetLite, pool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import Cache

CPU_PICTURES = 8  # pictures the vision tower takes at a time on a CPU


class NanoConfig(PreTrainedConfig):  # type: ignore[misc]
    """Shape of a `nano`.

    Attributes:
        image_size: side of the square a picture is fitted into, in pixels.
        regions_side: a picture is seen whole and in so many by so many regions.
        stage_channels: stages of the vision tower that are seen beside its head, each named by its
            channels.
        together: values of each region that go into the tokens of all; 0 for none.
        loudness: root mean square of a picture token's values; 0 to leave it as it comes.
        image_token_id: the placeholder the processor writes K times for each picture.
    """

    model_type = "ponder_nano"
    sub_configs: ClassVar[dict[str, type]] = {"text_config": LlamaConfig}

    def __init__(
        self,
        text_config: LlamaConfig | dict[str, Any] | None = None,
        image_size: int = 224,
        regions_side: int = 2,
        stage_channels: Sequence[int] = (320, 192, 112),
        together: int = 0,
        loudness: float = 0.0,
        image_token_id: int = 5,
        **kwargs: Any,
    ) -> None:
        known = [stage.channels for stage in STAGES]
        if unknown := sorted(set(stage_channels) - set(known)):
            raise ValueError(f"stage_channels: no stage has {unknown} channels, they have {known}")
        is_made = isinstance(text_config, LlamaConfig)
        text: LlamaConfig = text_config if is_made else LlamaConfig(**(text_config or {}))
        self.text_config = text
        self.image_size = image_size
        self.regions_side = regions_side
        self.stage_channels = tuple(stage_channels)
        self.together = together
        self.loudness = loudness
        self.image_token_id = image_token_id
        kwargs.setdefault("tie_word_embeddings", True)
        super().__init__(**kwargs)

    @property
    def tokens_per_picture(self) -> int:
        """K, the tokens one picture takes in the language model."""
        return 1 + self.regions_side**2

    @property
    def head_channels(self) -> int:
        """Channels of the vision tower's head."""
        return HEAD_CHANNELS

    @property
    def region_features(self) -> int:
        """F, the features of one region: means of the head, means and maxima of the stages."""
        return self.head_channels + 2 * sum(self.stage_channels)


class NanoPreTrainedModel(PreTrainedModel):  # type: ignore[misc]
    """What transformers needs to know to initialise, load and save a `nano`."""

    config_class = NanoConfig
    base_model_prefix = "model"
    input_modalities = ("image", "text")
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True


class NanoModel(NanoPreTrainedModel):
    """The two towers and the connector, without the language model's head."""

    def __init__(self, config: NanoConfig) -> None:
        super().__init__(config)
        self.vision_tower = EfficientNetLite()
        self.connector = Connector(config)
        self.language_model = LlamaModel(config.text_config)
        self.fused_tower: FusedTower | None = None
        self.post_init()

    def fuse(self) -> None:
        """See pictures through OpenVINO from now on, where it is installed, while on a CPU.

        For inference alone: no gradient passes through it, and the tower's weights are to change
        no more.
        """
        if can_fuse():
            shape = self.config.stage_channels, self.config.regions_side
            self.fused_tower = FusedTower(self.vision_tower, *shape)

    def get_input_embeddings(self) -> nn.Module:
        """Return the language model's token embedding."""
        embedding: nn.Module = self.language_model.get_input_embeddings()
        return embedding

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the language model's token embedding."""
        self.language_model.set_input_embeddings(value)

    def get_image_features(self, pixel_values: Tensor) -> Tensor:
        """Return the tokens of (P, 3, S, S) pictures: (P, K, hidden)."""
        if self.fused_tower is not None and pixel_values.device.type == "cpu":
            tokens: Tensor = self.connector(self.fused_tower(pixel_values).to(self.dtype))
            return tokens
        pixels = pixel_values.to(self.dtype)
        # A CPU is a third faster when a chunk's activations stay in its cache.
        chunks = pixels.split(CPU_PICTURES if pixels.device.type == "cpu" else len(pixels))
        return torch.cat([self.connector(self.pool_pictures(chunk)) for chunk in chunks])

    def pool_pictures(self, pixels: Tensor) -> Tensor:
        """Return what the connector takes of (P, 3, S, S) pictures: (P, K, F)."""
        maps = self.vision_tower(pixels, self.config.stage_channels)
        return pool(maps, self.config.regions_side)

    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        image_features: Tensor | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPast:
        """Run the language model over tokens, picture placeholders replaced by picture tokens.

        Args:
            input_ids: (B, T); `image_token_id` stands K times for each picture, in order.
            pixel_values: (P, 3, S, S), the batch's pictures, row by row.
            attention_mask: (B, T or past + T), 0 on padding.
            position_ids: (B, T), from the mask when None.
            past_key_values: the context so far.
            inputs_embeds: (B, T, hidden) instead of `input_ids`.
            use_cache: whether to return the cache.
            image_features: (P, K, hidden), what `get_image_features` returned for the pictures,
                instead of `pixel_values`.
            **kwargs: for the language model.

        Raises:
            ValueError: placeholders and pictures do not match in number.
        """
        if inputs_embeds is None:
            inputs_embeds = self.get_input_embeddings()(input_ids)
            if pixel_values is not None:
                image_features = self.get_image_features(pixel_values)
            if image_features is not None:
                inputs_embeds = self._place(inputs_embeds, input_ids, image_features)
        output: BaseModelOutputWithPast = self.language_model(
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            use_cache=use_cache,
            **kwargs,
        )
        return output

    def _place(self, embeds: Tensor, input_ids: Tensor | None, features: Tensor) -> Tensor:
        is_picture = input_ids == self.config.image_token_id  # (B, T)
        wanted, given = int(is_picture.sum()), features.shape[0] * features.shape[1]
        if wanted != given:
            raise ValueError(
                f"{wanted} picture placeholders but {given} picture tokens: each picture takes "
                f"{self.config.tokens_per_picture}"
            )
        placed: Tensor = embeds.masked_scatter(
            is_picture.unsqueeze(-1), features.to(embeds.dtype).flatten(0, 1)
        )
        return placed


class NanoForConditionalGeneration(NanoPreTrainedModel, GenerationMixin):  # type: ignore[misc]
    """`nano` with the language model's head, for thoughts and losses on text."""

    _tied_weights_keys: ClassVar[dict[str, str]] = {
        "lm_head.weight": "model.language_model.embed_tokens.weight"
    }

    def __init__(self, config: NanoConfig) -> None:
        super().__init__(config)
        self.model = NanoModel(config)
        text = config.text_config
        self.lm_head = nn.Linear(text.hidden_size, text.vocab_size, bias=False)
        self.post_init()

    def get_image_features(self, pixel_values: Tensor) -> Tensor:
        """Return the tokens of (P, 3, S, S) pictures: (P, K, hidden)."""
        return self.model.get_image_features(pixel_values)

    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        past_key_values: Cache | None = None,
        labels: Tensor | None = None,
        logits_to_keep: int = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Return logits (B, T, vocabulary), and the loss where `labels` (B, T) are not -100.

        `logits_to_keep` computes the logits of the last so many positions alone; 0 means all. The
        other arguments are those of `NanoModel.forward`.
        """
        output = self.model(
            input_ids=input_ids,
            pixel_values=pixel_values,
            attention_mask=attention_mask,
            past_key_values=past_key_values,
            **kwargs,
        )
        kept = output.last_hidden_state[:, -logits_to_keep:] if logits_to_keep else output[0]
        logits = self.lm_head(kept)
        loss = None
        if labels is not None:
            loss = self.loss_function(logits, labels, vocab_size=self.lm_head.out_features)
        return CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            past_key_values=output.past_key_values,
            hidden_states=output.hidden_states,
        )

    def prepare_inputs_for_generation(
        self, input_ids: Tensor, pixel_values: Tensor | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Give the pictures to the first step alone; later ones find them in the cache."""
        inputs: dict[str, Any] = super().prepare_inputs_for_generation(input_ids, **kwargs)
        has_pictures = bool((inputs["input_ids"] == self.config.image_token_id).any())
        inputs["pixel_values"] = pixel_values if has_pictures else None
        return inputs


AutoConfig.register(NanoConfig.model_type, NanoConfig, exist_ok=True)
AutoModel.register(NanoConfig, NanoModel, exist_ok=True)
AutoModelForImageTextToText.register(NanoConfig, NanoForConditionalGeneration, exist_ok=True)
