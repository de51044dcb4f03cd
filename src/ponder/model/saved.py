"""A saved model on disk, and putting it together again.

A folder holds what ponder trained and `ponder.json`, which names the frozen backbone and everything
a vector depends on:

    connector.safetensors   readout.safetensors                             of `nano`
    reasoning/   embedding/   queries.safetensors   gate.safetensors        of a model that thinks
    latent.safetensors                                                      by latent steps, too
    modules.json   config_sentence_transformers.json        by which sentence-transformers opens it

The published layouts of Think When Needed (`queries.pt`, `gate_mlp.pt`) and of PLUME (all weights
in one folder) are read too.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from huggingface_hub import try_to_load_from_cache
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, LlamaConfig

from ponder.errors import ConfigError, ThinkModeError, WeightsError
from ponder.model.adapters import ADAPTERS, WEIGHTS, Adapters
from ponder.model.backbone import Backbone
from ponder.model.connector import Connector
from ponder.model.families import load_model
from ponder.model.gate import Gate
from ponder.model.interchange import write_interchange
from ponder.model.latent import TransitionAdapter, TransitionConfig
from ponder.model.nano import NanoConfig, NanoForConditionalGeneration
from ponder.model.plume import is_plume, load_plume
from ponder.model.processor import CHAT_TEMPLATE, NanoImageProcessor, NanoProcessor
from ponder.model.published import is_published, published_gate, published_queries, published_record
from ponder.model.pull import nano_folder
from ponder.model.queries import Queries
from ponder.model.readout import ReadOut, ReadOutConfig
from ponder.model.record import read_record
from ponder.model.tensors import fitting, load_module, load_weights, read_tensors, short
from ponder.model.thinker import Thinker, ThinkerConfig
from ponder.model.vision import fold_batch_norm
from ponder.packages import sha256
from ponder.paths import expanded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

RECORD = "ponder.json"
CONNECTOR = "connector.safetensors"
READOUT = "readout.safetensors"
QUERIES = "queries.safetensors"
GATE = "gate.safetensors"
LATENT = "latent.safetensors"
SHIPPED = {
    "nano": Path(__file__).with_name("nano_weights"),
    "nano-think": Path(__file__).with_name("nano_think_weights"),
}

# Part of the fingerprint: raise it when items turn into tokens or pixels in another way.
PREPROCESSING = 2

# How the fingerprint is made, kept in each record: models keep theirs, and so indexes theirs, when
# it comes to be made of more. From 2 on it holds the shape of `nano`, whose `loudness` and
# `together` change vectors though no tensor shows them.
FINGERPRINT = 2


@dataclass(frozen=True)
class Saved:
    """A model's parts and its record.

    Attributes:
        name: what it was loaded from.
        backbone: the frozen backbone, its trained connector in place.
        readout: the read-out of means; None where queries alone read out.
        thinker: what reads out with queries and thinks; None before that is trained.
        record: the contents of `ponder.json`.
    """

    name: str
    backbone: Backbone
    readout: ReadOut | None
    thinker: Thinker | None = None
    record: dict[str, Any] = field(default_factory=dict)

    @property
    def instructions(self) -> dict[str, str]:
        """The default instruction of a query and of a document; may be empty."""
        chosen: dict[str, str] = self.record.get("instructions", {})
        return {"query": "", "document": ""} | chosen

    @property
    def history(self) -> list[dict[str, Any]]:
        """The stages it was trained in, in order; `ponder.train.history.stage_record` makes them.

        Older records know each stage's recipe and no more.
        """
        kept = self.record.get("training", [])
        if isinstance(kept, dict):
            kept = [{"stage": name, "recipe": recipe} for name, recipe in kept.items()]
        return [stage for stage in kept if _is_stage(stage)]

    @property
    def parameter_count(self) -> int:
        """Parameters of the backbone and of everything that was trained on it."""
        thinker = self.thinker
        own = [thinker.queries, thinker.gate, thinker.latent] if thinker else [self.backbone.model]
        parts = [part for part in (*own, self.readout) if part is not None]
        inside = thinker.adapters.parameter_count if thinker else 0
        return inside + sum(p.numel() for part in parts for p in part.parameters())

    def trained_thinker(self) -> Thinker:
        """Return the thinker.

        Raises:
            ThinkModeError: there is none.
        """
        if self.thinker is None:
            raise ThinkModeError(
                f"{self.name} has no reasoning adapter; run `ponder train sft` first"
            )
        return self.thinker

    @property
    def fingerprint(self) -> str:
        """Hex digest of all that a vector depends on: weights, preprocessing and prompts."""
        processor = self.backbone.processor
        parts = {key: self.record.get(key) for key in ("backbone", "weights", "readout", "thinker")}
        if "latent" in self.record:
            parts["latent"] = self.record["latent"]
        if self.record.get("fingerprint", 1) >= FINGERPRINT:
            parts["nano"] = self.record.get("nano")
        parts |= {
            "instructions": self.instructions,
            "chat_template": processor.chat_template,
            "pictures": processor.image_processor.to_dict(),
            "max_text_tokens": self.backbone.max_text_tokens,
            "preprocessing": PREPROCESSING,
        }
        digest = hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode())
        return digest.hexdigest()[:16]


def load_saved(
    name_or_folder: str | Path,
    *,
    adapters: str | Path | None = None,
    dtype: torch.dtype | None = None,
    device: str | torch.device | None = None,
    allow_download: bool = False,
) -> Saved:
    """Load a shipped model or a saved folder; arguments and errors as `ponder.load`."""
    folder = expanded(adapters or SHIPPED.get(str(name_or_folder)) or name_or_folder)
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    chosen = dtype or fastest_dtype(place)
    if is_plume(folder):
        published = hub_backbone(str(folder), None, chosen)
        published.model.to(place)
        plume, record = load_plume(folder, published)
        return Saved(str(name_or_folder), plume.backbone, None, plume, record)
    record = _read_record(folder)
    source: dict[str, Any] = {"name": str(name_or_folder)} if adapters else record["backbone"]
    config = ThinkerConfig(**record["thinker"]) if "thinker" in record else None
    shape = _transition_config(folder / RECORD, record)
    readout = None
    if source["name"] == "nano":
        backbone, readout = _load_nano(folder, record)
        readout = readout.eval().to(place)
    else:
        may_fetch = adapters is not None or allow_download
        backbone = hub_backbone(source["name"], source.get("revision"), chosen, may_fetch)
    thinker = _load_thinker(folder, config, backbone, readout, place) if config else None
    if thinker is not None and shape is not None:
        thinker.latent = load_module(
            folder / LATENT, lambda: TransitionAdapter(shape, backbone.hidden_size)
        )
        thinker.latent.requires_grad_(False).to(place)
    backbone.model.to(device=place, dtype=chosen)
    return Saved(str(name_or_folder), backbone, readout, thinker, record)


def save(
    folder: Path,
    backbone: Backbone,
    readout: ReadOut | None,
    history: Sequence[Mapping[str, Any]],
    thinker: Thinker | None = None,
) -> None:
    """Write what ponder trained, in bfloat16, and its record.

    Args:
        folder: where to; made if missing.
        backbone: is only named, except for `nano`'s connector.
        readout: `nano`'s read-out of means.
        history: the stages it was trained in, as `Saved.history` returns them.
        thinker: adapters, queries, gate and transition adapter, once there are any.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record: dict[str, Any] = {"fingerprint": FINGERPRINT, "backbone": backbone.source}
    files: list[str] = []
    if readout is not None:
        config: NanoConfig = backbone.model.config
        record["nano"] = {
            "image_size": config.image_size,
            "regions_side": config.regions_side,
            "stage_channels": config.stage_channels,
            "together": config.together,
            "loudness": config.loudness,
        }
        record["readout"] = readout.config.to_dict()
        _write(backbone.model.model.connector.state_dict(), folder / CONNECTOR)
        _write(readout.state_dict(), folder / READOUT)
        files += [CONNECTOR, READOUT]
    if thinker is not None:
        record["thinker"] = asdict(thinker.config)
        thinker.adapters.save(folder)
        _write(thinker.queries.state_dict(), folder / QUERIES)
        files += [*(f"{name}/{WEIGHTS}" for name in ADAPTERS), QUERIES]
        if thinker.gate is not None:
            _write(thinker.gate.layers.state_dict(), folder / GATE)
            files.append(GATE)
        if thinker.latent is not None:
            record["latent"] = asdict(thinker.latent.config)
            _write(thinker.latent.state_dict(), folder / LATENT)
            files.append(LATENT)
    record["instructions"] = {"query": "", "document": ""}
    record["weights"] = {name: sha256(folder / name) for name in files}
    record["training"] = list(history)
    write_interchange(folder, record["instructions"])
    (folder / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def hub_backbone(
    name: str, revision: str | None, dtype: torch.dtype, may_fetch: bool = False
) -> Backbone:
    """Return a Hugging Face model, from a folder or by its hub id, as a backbone.

    Args:
        name: the folder or the hub id.
        revision: of the hub's model; None for its latest.
        dtype: of its weights.
        may_fetch: whether to ask the hub for what the local cache lacks.

    Raises:
        WeightsError: there is no such model, or it takes no pictures.
    """
    source: dict[str, Any] = {"name": name, "revision": None}
    if (place := Path(name)).is_dir():
        model, processor = load_model(name, revision=revision, dtype=dtype)
        source["weights"] = {f.name: sha256(f) for f in sorted(place.glob("*.safetensors"))}
    elif may_fetch:
        model, processor = load_model(name, revision=revision, dtype=dtype)
        source["revision"] = getattr(model.config, "_commit_hash", None)
    else:
        snapshot = _cached(name, revision)
        model, processor = load_model(str(snapshot), revision=None, dtype=dtype)
        source["revision"] = snapshot.name
    return Backbone(model, processor, source)


def _cached(name: str, revision: str | None) -> Path:
    """Return the folder of a hub's model in the local cache, named by its commit.

    transformers' own `local_files_only` is no answer: it still asks the hub for other things.

    Raises:
        WeightsError: it is not there.
    """
    try:
        found = try_to_load_from_cache(name, "config.json", revision=revision)
    except ValueError:  # no name that the hub gives
        found = None
    if not isinstance(found, str):
        raise WeightsError(
            f"the backbone {short(repr(name))} is not on this machine; if you trust the folder "
            "that names it, fetch it with allow_download=True or `ponder pull FOLDER`"
        )
    return Path(found).parent


def nano_backbone(shape: dict[str, Any]) -> Backbone:
    """Return `nano` in float32 with its towers' real weights and a fresh connector.

    Args:
        shape: `NanoConfig`'s own arguments.

    Raises:
        WeightsError: `nano` was not pulled yet.
    """
    folder = nano_folder()
    config = _nano_config(shape)
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
    pulled = json.loads((folder / "manifest.json").read_text())
    source = {"name": "nano", "sources": pulled["sources"], "layout": pulled["layout"]}
    return Backbone(model, processor, source, picture_side=config.image_size)


def _read_record(folder: Path) -> dict[str, Any]:
    path = folder / RECORD
    if is_published(folder):
        return published_record(folder)
    if not path.is_file():
        raise WeightsError(
            f"{folder} is no ponder model: it has no {RECORD}; give {' or '.join(SHIPPED)}, a "
            "saved folder, or a backbone with adapters=FOLDER"
        )
    return read_record(path)


def _nano_config(shape: dict[str, Any]) -> NanoConfig:
    return NanoConfig(LlamaConfig.from_pretrained(nano_folder() / "language"), **shape)


def _load_nano(folder: Path, record: dict[str, Any]) -> tuple[Backbone, ReadOut]:
    """Return `nano` with a folder's connector, and its read-out of means."""
    config = _nano_config(record["nano"])
    shape, text = ReadOutConfig.from_dict(record["readout"]), config.text_config
    if shape.hidden_size != text.hidden_size:
        raise WeightsError(
            f"{folder / RECORD}: readout.hidden_size: expected nano's, {text.hidden_size}, "
            f"got {shape.hidden_size}"
        )
    if max(shape.layers) > text.num_hidden_layers:
        raise WeightsError(
            f"{folder / RECORD}: readout.layers: nano has {text.num_hidden_layers} layers, "
            f"got {max(shape.layers)}"
        )
    fitting(folder / CONNECTOR, lambda: Connector(config))
    readout = load_module(folder / READOUT, lambda: ReadOut(shape))
    backbone = nano_backbone(record["nano"])
    load_weights(backbone.model.model.connector, folder / CONNECTOR)
    return backbone, readout


def _transition_config(path: Path, record: dict[str, Any]) -> TransitionConfig | None:
    try:
        return TransitionConfig(**record["latent"]) if "latent" in record else None
    except ConfigError as error:
        raise WeightsError(f"{path}: latent.{error}") from error


def _load_thinker(
    folder: Path,
    config: ThinkerConfig,
    backbone: Backbone,
    readout: ReadOut | None,
    place: torch.device,
) -> Thinker:
    adapters = Adapters.load(backbone.model, folder)
    adapters.train()
    gate: Gate | None = None
    if is_published(folder):
        queries = published_queries(folder, backbone.hidden_size)
        config = replace(config, queries=len(queries.vectors))
        gate = published_gate(folder, backbone.hidden_size)
    else:
        shape = config.queries, backbone.hidden_size, readout.dim if readout else None
        queries = load_module(folder / QUERIES, lambda: Queries(*shape))
        if (folder / GATE).exists():
            gate = Gate.of(read_tensors(folder / GATE), backbone.hidden_size, str(folder / GATE))
    parts = (queries.requires_grad_(False).to(place), gate.eval().to(place) if gate else None)
    return Thinker(backbone, adapters, *parts, config, readout)


def _is_stage(kept: Any) -> bool:
    """Tell whether part of a record, which may be anybody's, is a stage of training."""
    mappings = ("recipe", "values", "versions", "data")
    return (
        isinstance(kept, dict)
        and isinstance(kept.get("stage"), str)
        and all(isinstance(kept.get(name, {}), dict) for name in mappings)
        and isinstance(kept.get("commit"), str | None)
    )


def _write(state: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors in bfloat16, but for what standardises, which is not exact enough in it."""
    cpu = {key: value.detach().cpu() for key, value in state.items()}
    kept = {k: v if k in ("center", "scale") else v.bfloat16() for k, v in cpu.items()}
    save_file({key: value.contiguous() for key, value in kept.items()}, path)


def fastest_dtype(device: torch.device) -> torch.dtype:
    """Return bfloat16 where the device multiplies it in hardware, else float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.bfloat16 if torch.cpu._is_amx_tile_supported() else torch.float32
