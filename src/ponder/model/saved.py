"""A saved model on disk, and putting it together again.

A folder holds what ponder trained (`connector.safetensors` for `nano`, `readout.safetensors`) and
`ponder.json`, which names the frozen backbone and everything a vector depends on.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, LlamaConfig

from ponder.errors import WeightsError
from ponder.model.backbone import Backbone
from ponder.model.nano import NanoConfig, NanoForConditionalGeneration
from ponder.model.processor import CHAT_TEMPLATE, NanoImageProcessor, NanoProcessor
from ponder.model.pull import nano_folder
from ponder.model.readout import ReadOut, ReadOutConfig
from ponder.model.vision import fold_batch_norm

if TYPE_CHECKING:
    from torch import Tensor, nn

RECORD = "ponder.json"
CONNECTOR = "connector.safetensors"
READOUT = "readout.safetensors"
SHIPPED_NANO = Path(__file__).with_name("nano_weights")

# Part of the fingerprint: raise it when items turn into tokens or pixels in another way.
PREPROCESSING = 1


@dataclass(frozen=True)
class Saved:
    """A model's parts and its record.

    Attributes:
        name: what it was loaded from.
        backbone: the frozen backbone, its trained connector in place.
        readout: the read-out.
        record: the contents of `ponder.json`.
    """

    name: str
    backbone: Backbone
    readout: ReadOut
    record: dict[str, Any] = field(default_factory=dict)

    @property
    def instructions(self) -> dict[str, str]:
        """The default instruction of a query and of a document; may be empty."""
        chosen: dict[str, str] = self.record.get("instructions", {})
        return {"query": "", "document": ""} | chosen

    @property
    def fingerprint(self) -> str:
        """Hex digest of all that a vector depends on: weights, preprocessing and prompts."""
        processor = self.backbone.processor
        parts = {
            "backbone": self.record["backbone"],
            "weights": self.record["weights"],
            "readout": self.record["readout"],
            "instructions": self.instructions,
            "chat_template": processor.chat_template,
            "max_text_tokens": self.backbone.max_text_tokens,
            "preprocessing": PREPROCESSING,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def load_saved(
    name_or_folder: str | Path,
    *,
    dtype: torch.dtype | None = None,
    device: str | torch.device | None = None,
) -> Saved:
    """Load `nano` or a folder that `save` wrote; arguments and errors as `ponder.load`."""
    folder = SHIPPED_NANO if str(name_or_folder) == "nano" else Path(name_or_folder)
    path = folder / RECORD
    if not path.exists():
        raise WeightsError(f"{folder} is no ponder model: it has no {RECORD}; or load 'nano'")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        shape = record["nano"]
        readout = ReadOut(ReadOutConfig.from_dict(record["readout"]))
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{path} is damaged: {error!r}") from error
    backbone = nano_backbone(shape)
    load_weights(backbone.model.model.connector, folder / CONNECTOR)
    load_weights(readout, folder / READOUT)
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    backbone.model.to(device=place, dtype=dtype or fastest_dtype(place))
    return Saved(str(name_or_folder), backbone, readout.eval().to(place), record)


def save(
    folder: Path,
    backbone: Backbone,
    readout: ReadOut,
    training: dict[str, Any],
) -> None:
    """Write a `nano` with its trained parts, in bfloat16, and its record.

    Args:
        folder: where to; made if missing.
        backbone: `nano`; its connector is saved, its frozen towers only named.
        readout: the read-out.
        training: how it was trained, kept in the record.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config: NanoConfig = backbone.model.config
    for module, name in ((backbone.model.model.connector, CONNECTOR), (readout, READOUT)):
        state = {key: value.detach().cpu() for key, value in module.state_dict().items()}
        kept = {k: v if k in ("center", "scale") else v.bfloat16() for k, v in state.items()}
        save_file({k: v.contiguous() for k, v in kept.items()}, folder / name)
    pulled = json.loads((nano_folder() / "manifest.json").read_text())
    record = {
        "backbone": {"name": "nano", "sources": pulled["sources"], "layout": pulled["layout"]},
        "nano": {
            "image_size": config.image_size,
            "regions_side": config.regions_side,
        },
        "readout": readout.config.to_dict(),
        "instructions": {"query": "", "document": ""},
        "weights": {
            name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
            for name in (CONNECTOR, READOUT)
        },
        "training": training,
    }
    (folder / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def nano_backbone(shape: dict[str, Any]) -> Backbone:
    """Return `nano` in float32 with its towers' real weights and a fresh connector.

    Args:
        shape: `NanoConfig`'s own arguments.

    Raises:
        WeightsError: `nano` was not pulled yet.
    """
    folder = nano_folder()
    text = LlamaConfig.from_pretrained(folder / "language")
    config = NanoConfig(text, **shape)
    model = NanoForConditionalGeneration(config).float()
    language = load_file(folder / "language" / "model.safetensors")
    model.model.language_model.load_state_dict(
        {key.removeprefix("model."): value for key, value in language.items()}
    )
    model.model.vision_tower.load_state_dict(
        fold_batch_norm(load_file(folder / "vision.safetensors"))
    )
    model.model.vision_tower.to(memory_format=torch.channels_last)
    tokenizer = AutoTokenizer.from_pretrained(folder / "language")
    processor = NanoProcessor(
        NanoImageProcessor(config.image_size),
        tokenizer,
        chat_template=CHAT_TEMPLATE,
        tokens_per_picture=config.tokens_per_picture,
    )
    return Backbone(model, processor)


def load_weights(module: nn.Module, path: Path) -> None:
    """Load a safetensors file into a module.

    Raises:
        WeightsError: the file is missing or damaged, or a tensor is missing, unknown or of another
            shape; the message names it.
    """
    if not path.exists():
        raise WeightsError(f"{path} is missing")
    try:
        given: dict[str, Tensor] = load_file(path)
    except SafetensorError as error:
        raise WeightsError(f"{path} is damaged: {error}") from error
    wanted = module.state_dict()
    for name in sorted(wanted.keys() | given.keys()):
        expected = tuple(wanted[name].shape) if name in wanted else "no such tensor"
        got = tuple(given[name].shape) if name in given else "no such tensor"
        if expected != got:
            raise WeightsError(f"{path}: {name}: expected {expected}, got {got}")
    module.load_state_dict(given)


def fastest_dtype(device: torch.device) -> torch.dtype:
    """Return bfloat16 where the device multiplies it in hardware, else float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.bfloat16 if torch.cpu._is_amx_tile_supported() else torch.float32
