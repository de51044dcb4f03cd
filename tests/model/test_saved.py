"""Saving and loading a model that thinks, in ponder's layout and in the published one."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import ponder
from ponder.engine.model import Model
from ponder.errors import WeightsError
from ponder.model.saved import hub_backbone, load_saved, save
from ponder.model.thinker import Thinker
from tests.families import FAMILIES
from tests.thinkers import CONFIG, ITEMS, kept, with_config

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ponder.engine.trace import ThinkMode

FLOAT = {"dtype": torch.float32, "device": "cpu"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder `backbone` with a tiny Qwen3-VL, and `trained` with what was trained on it."""
    folder = tmp_path_factory.mktemp("saved")
    kept(folder, "qwen3_vl")
    return folder


def vectors(folder: Path, think: ThinkMode) -> NDArray[np.float32]:
    """Return vectors of the items, thoughts being as short as a test wants them."""
    saved = load_saved(folder, **FLOAT)
    assert saved.thinker is not None
    brief = with_config(saved.thinker, max_thought_tokens=CONFIG.max_thought_tokens)
    rows: NDArray[np.float32] = Model(replace(saved, thinker=brief)).encode(ITEMS, think=think)
    return rows


@pytest.mark.parametrize("family", list(FAMILIES))
def test_any_family_comes_back_from_disk(family: str, tmp_path: Path) -> None:
    made = FAMILIES[family]()
    made.model.save_pretrained(tmp_path / "backbone")
    made.processor.save_pretrained(tmp_path / "backbone")
    again = hub_backbone(str(tmp_path / "backbone"), None, torch.float32)
    for item in ITEMS:
        before, after = made.prepare(item, "item"), again.prepare(item, "item")
        assert torch.equal(before.input_ids, after.input_ids)
        assert before.media.keys() == after.media.keys()
        for key, value in before.media.items():
            assert torch.equal(value, after.media[key])


def test_a_saved_model_comes_back(home: Path, tmp_path: Path) -> None:
    model = ponder.load(home / "trained", **FLOAT)
    assert model.thinks
    for mode in ("never", "always", "auto"):
        assert np.isfinite(model.encode(ITEMS, think=mode)).all()
    thinker = load_saved(home / "trained", **FLOAT).thinker
    assert thinker is not None
    save(tmp_path / "again", thinker.backbone, None, {}, thinker)
    again = ponder.load(tmp_path / "again", **FLOAT)
    assert np.array_equal(model.encode(ITEMS, think="auto"), again.encode(ITEMS, think="auto"))
    assert again.fingerprint == model.fingerprint


def test_what_is_written_is_safetensors_and_json_alone(home: Path) -> None:
    written = {path.name for path in (home / "trained").rglob("*") if path.is_file()}
    assert {Path(name).suffix for name in written} <= {".safetensors", ".json", ".md"}
    assert {"queries.safetensors", "gate.safetensors", "ponder.json"} <= written
    record = json.loads((home / "trained" / "ponder.json").read_text())
    assert record["backbone"]["weights"]
    assert record["thinker"]["ranks"] == CONFIG.ranks


def test_other_weights_are_another_model(home: Path, tmp_path: Path) -> None:
    saved = load_saved(home / "trained", **FLOAT)
    assert saved.thinker is not None
    with torch.no_grad():
        saved.thinker.queries.vectors.add_(1)
    save(tmp_path / "other", saved.backbone, None, {}, saved.thinker)
    assert ponder.load(tmp_path / "other", **FLOAT).fingerprint != saved.fingerprint


def publish(home: Path, folder: Path, gate: dict[str, torch.Tensor] | None = None) -> Path:
    """Write the trained parts as the authors of the method publish theirs."""
    trained = home / "trained"
    for name in ("reasoning", "embedding"):
        (folder / name).mkdir(parents=True)
        for file in ("adapter_model.safetensors", "adapter_config.json"):
            (folder / name / file).write_bytes((trained / name / file).read_bytes())
        config = json.loads((folder / name / "adapter_config.json").read_text())
        config["base_model_name_or_path"] = str(home / "backbone")
        (folder / name / "adapter_config.json").write_text(json.dumps(config))
    torch.save(load_file(trained / "queries.safetensors")["vectors"], folder / "queries.pt")
    torch.save(gate or load_file(trained / "gate.safetensors"), folder / "gate_mlp.pt")
    return folder


def test_the_published_layout_gives_the_same_vectors(home: Path, tmp_path: Path) -> None:
    folder = publish(home, tmp_path / "published")
    for mode in ("never", "always", "auto"):
        assert np.array_equal(vectors(folder, mode), vectors(home / "trained", mode))
    elsewhere = ponder.load(home / "backbone", adapters=folder, **FLOAT)
    assert np.allclose(elsewhere.encode(ITEMS), vectors(folder, "never"), atol=1e-5)


def test_a_published_gate_of_another_shape_is_discovered(home: Path, tmp_path: Path) -> None:
    """Three linear layers on the queries' states alone, keys as in a module of its own."""
    hidden = FAMILIES["qwen3_vl"]().hidden_size
    layers = [torch.nn.Linear(hidden, 8), torch.nn.Linear(8, 6), torch.nn.Linear(6, 1)]
    state = {
        f"mlp.{2 * i}.{name}": value
        for i, layer in enumerate(layers)
        for name, value in layer.state_dict().items()
    }
    folder = publish(home, tmp_path / "published", state)
    model = ponder.load(folder, **FLOAT)
    thinker = model._saved.thinker
    assert thinker is not None
    rows = [thinker.backbone.prepare(item, "item") for item in ITEMS]
    with torch.inference_mode():
        read = thinker.read_out(thinker.read(rows), rows)
        got, states = thinker.decide(read).tolist(), read.queries
        for layer in layers[:-1]:
            states = torch.nn.functional.gelu(layer(states))
        expected = layers[-1](states).sigmoid().squeeze(-1).tolist()
    assert got == pytest.approx(expected, abs=1e-5)


def broken_queries(folder: Path) -> None:
    torch.save(torch.zeros(4, 7), folder / "queries.pt")


def two_queries(folder: Path) -> None:
    torch.save({"a": torch.zeros(4, 64), "b": torch.zeros(1)}, folder / "queries.pt")


def hostile_queries(folder: Path) -> None:
    (folder / "queries.pt").write_bytes(pickle.dumps(Path.cwd))


def broken_gate(folder: Path) -> None:
    torch.save(
        {"0.weight": torch.zeros(5, 64), "2.weight": torch.zeros(1, 6)}, folder / "gate_mlp.pt"
    )


def two_way_gate(folder: Path) -> None:
    torch.save({"0.weight": torch.zeros(2, 64)}, folder / "gate_mlp.pt")


def other_adapter(folder: Path) -> None:
    path = folder / "reasoning" / "adapter_model.safetensors"
    tensors = load_file(path)
    name = next(name for name in tensors if "q_proj.lora_A" in name)
    tensors[name] = torch.zeros(2, 5)
    save_file(tensors, path)


def adapter_too_few(folder: Path) -> None:
    path = folder / "embedding" / "adapter_model.safetensors"
    tensors = load_file(path)
    tensors.pop(next(iter(tensors)))
    save_file(tensors, path)


def no_adapter(folder: Path) -> None:
    (folder / "embedding" / "adapter_model.safetensors").unlink()


def no_config(folder: Path) -> None:
    (folder / "embedding" / "adapter_config.json").write_text("{}")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (broken_queries, r"queries.pt: the tensor: expected \(N, 64\), got \(4, 7\)"),
        (two_queries, r"queries.pt: expected one tensor, got \{'a': \(4, 64\), 'b': \(1,\)\}"),
        (hostile_queries, r"queries.pt does not load as tensors alone"),
        (broken_gate, r"gate_mlp.pt: 2.weight: expected a last dimension of 5, got \(1, 6\)"),
        (two_way_gate, r"gate_mlp.pt: the last layer must have one output, not 2"),
        (other_adapter, r"reasoning.*q_proj.lora_A.*: expected \(2, 64\), got \(2, 5\)"),
        (adapter_too_few, r"embedding.*: expected \(\d+, \d+\), got no such tensor"),
        (no_adapter, r"embedding/adapter_model.safetensors is missing"),
        (no_config, r"embedding/adapter_config.json: r: expected .*, but it is missing"),
    ],
)
def test_what_does_not_fit_is_named(spoil: Any, message: str, home: Path, tmp_path: Path) -> None:
    folder = publish(home, tmp_path / "published")
    spoil(folder)
    with pytest.raises(WeightsError, match=message):
        ponder.load(folder, **FLOAT)


def test_a_backbone_alone_says_what_it_lacks(home: Path) -> None:
    with pytest.raises(WeightsError, match="adapters=FOLDER"):
        ponder.load(home / "backbone", **FLOAT)


@pytest.mark.nano
def test_fresh_parts_over_a_read_out_of_means_change_no_vector(nano: ponder.Model) -> None:
    """What is added to `nano` starts from the vectors it has."""
    saved = load_saved("nano", **FLOAT)
    made = Thinker.fresh(saved.backbone, CONFIG, saved.readout)
    rows = [made.backbone.prepare(item, "item") for item in ITEMS]
    with torch.inference_mode():
        got = made.embed(made.read_out(made.read(rows), rows)).numpy()
    assert np.allclose(got, nano.encode(ITEMS), atol=1e-4)
