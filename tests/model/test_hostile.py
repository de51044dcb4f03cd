"""A folder that is damaged or made to do harm is refused in one line, before it costs anything."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

import ponder
from ponder.errors import WeightsError
from ponder.model.latent import TransitionAdapter, TransitionConfig
from ponder.model.saved import SHIPPED, load_saved, save
from tests.thinkers import kept

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
FLOAT: dict[str, Any] = {"dtype": torch.float32, "device": "cpu"}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with all parts but those of `nano`."""
    folder = kept(tmp_path_factory.mktemp("hostile"))
    saved = load_saved(folder, **FLOAT)
    made = saved.trained_thinker()
    made.latent = TransitionAdapter(TransitionConfig(steps=2, width=8), made.backbone.hidden_size)
    save(folder, saved.backbone, None, (), made)
    return folder


def mutations(folder: Path, count: int) -> list[str]:
    """Return what went wrong in so many loads of a spoilt folder."""
    known = {key: value for key, value in os.environ.items() if key != "HF_HUB_OFFLINE"}
    known["OMP_NUM_THREADS"] = "1"  # the model is too small for more to pay
    command = [sys.executable, "-m", "tests.model.hostile", str(folder), "0", str(count)]
    done = subprocess.run(command, cwd=ROOT, env=known, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_mutated_folders_are_refused_in_one_line(tiny: Path) -> None:
    assert mutations(tiny, 60) == []


@pytest.mark.slow
def test_many_mutated_folders_are_refused_in_one_line(tiny: Path) -> None:
    assert mutations(tiny, 600) == []


@pytest.mark.slow
@pytest.mark.nano
def test_the_shipped_model_mutated_is_refused_in_one_line(tmp_path: Path) -> None:
    shutil.copytree(SHIPPED["nano-think"], tmp_path / "model")
    assert mutations(tmp_path / "model", 200) == []


def set_key(*keys: str, to: Any) -> Callable[[Any], None]:
    def change(record: Any) -> None:
        for key in keys[:-1]:
            record = record[key]
        record[keys[-1]] = to

    return change


def refused(folder: Path, scratch: Path, file: str, change: Callable[[Any], None]) -> str:
    """Return how a copy of a folder is refused when a JSON file of it is changed."""
    shutil.copytree(folder, scratch / "model")
    path = scratch / "model" / file
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))
    with pytest.raises(WeightsError) as caught:
        load_saved(scratch / "model", **FLOAT)
    return str(caught.value)


@pytest.mark.nano
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_key("readout", "width", to=2**31), r"ponder\.json: readout\.width: "),
        (set_key("readout", "width", to=2**20), r"readout\.safetensors: from_"),
        (set_key("readout", "dim", to=-1), r"ponder\.json: readout\.dim: .*got -1"),
        (set_key("readout", "hidden_size", to=64), r"readout\.hidden_size: .*576"),
        (set_key("readout", "layers", to=[31]), r"readout\.layers: .*30 layers"),
        (set_key("nano", "together", to=2**16), r"connector\.safetensors: together"),
        (set_key("nano", "stage_channels", to=[41]), r"nano\.stage_channels: "),
    ],
)
def test_a_hostile_value_for_nano_is_named(
    change: Callable[[Any], None], message: str, tmp_path: Path
) -> None:
    assert re.search(message, refused(SHIPPED["nano-think"], tmp_path, "ponder.json", change))


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("ponder.json", set_key("latent", "steps", to=10**9), r"latent\.steps: .*got 1000000000"),
        ("ponder.json", set_key("latent", "steps", to=1000), r"latent\.safetensors: step_embed"),
        ("ponder.json", set_key("latent", "chosen", to=5), r"ponder\.json: latent\.chosen: "),
        ("ponder.json", set_key("thinker", "queries", to=9), r"queries\.safetensors: vectors"),
        ("ponder.json", set_key("weights", to={"../x": ""}), r"ponder\.json: weights: "),
        ("reasoning/adapter_config.json", set_key("r", to=2**24), r"adapter_config\.json: r: "),
        ("reasoning/adapter_config.json", set_key("r", to=64), r"reasoning/adapter_model.*lora_A"),
        ("embedding/adapter_config.json", set_key("peft_type", to="X"), "peft_type: .*'LORA'"),
        ("embedding/adapter_config.json", set_key("use_dora", to=True), "use_dora.*plain LoRA"),
    ],
)
def test_a_hostile_value_is_named(
    file: str, change: Callable[[Any], None], message: str, tiny: Path, tmp_path: Path
) -> None:
    assert re.search(message, refused(tiny, tmp_path, file, change))


def test_a_backbone_without_all_its_weights_is_refused(tiny: Path, tmp_path: Path) -> None:
    """They would be random numbers."""
    shutil.copytree(tiny.parent, tmp_path / "copy")
    path = tmp_path / "copy" / "backbone" / "config.json"
    config = json.loads(path.read_text())
    config["text_config"]["num_hidden_layers"] += 1
    path.write_text(json.dumps(config))
    with pytest.raises(WeightsError, match=r"lacks \d+ tensors that its config.json asks for"):
        ponder.load(tmp_path / "copy" / "backbone", adapters=tiny, **FLOAT)


def test_a_pattern_of_an_adapter_is_not_matched(tiny: Path, tmp_path: Path) -> None:
    """A pattern may take for ever to match; the tensors' names say where the adapter sits."""
    shutil.copytree(tiny, tmp_path / "model")
    for path in (tmp_path / "model").rglob("adapter_config.json"):
        record = json.loads(path.read_text()) | {"target_modules": "(((.*)*)*)*!"}
        path.write_text(json.dumps(record))
    changed = ponder.load(tmp_path / "model", **FLOAT)
    assert (changed.encode(["yes"]) == ponder.load(tiny, **FLOAT).encode(["yes"])).all()


def test_a_backbone_in_the_local_cache_is_opened_without_the_hub(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = tmp_path / "hub" / "models--me--tiny" / "snapshots" / "0123abc"
    shutil.copytree(tiny.parent / "backbone", snapshot)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    shutil.copytree(tiny, tmp_path / "model")
    path = tmp_path / "model" / "ponder.json"
    record = json.loads(path.read_text())
    record["backbone"] = {"name": "me/tiny", "revision": "0123abc"}
    path.write_text(json.dumps(record))
    monkeypatch.setattr(socket, "getaddrinfo", pytest.fail)
    source = ponder.load(tmp_path / "model", **FLOAT).saved.backbone.source
    assert source == {"name": "me/tiny", "revision": "0123abc"}


def test_a_folder_makes_nobody_ask_the_hub(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def refuse(*args: object, **_: object) -> None:
        asked.append(args)
        raise RuntimeError("no network here")  # which nothing tries again

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    shutil.copytree(tiny, tmp_path / "model")
    path = tmp_path / "model" / "ponder.json"
    record = json.loads(path.read_text())
    record["backbone"] = {"name": "nobody/no-such-model", "revision": "main"}
    path.write_text(json.dumps(record))
    with pytest.raises(WeightsError, match=r"no-such-model' is not on this machine.*ponder pull"):
        ponder.load(tmp_path / "model", **FLOAT)
    assert not asked
    with pytest.raises(WeightsError, match="no-such-model"):
        ponder.load(tmp_path / "model", allow_download=True, **FLOAT)
    assert asked
    asked.clear()
    with pytest.raises(WeightsError, match="no-such-model"):
        ponder.load("nobody/no-such-model", adapters=tiny, **FLOAT)
    assert asked
