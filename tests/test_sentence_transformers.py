"""sentence-transformers opens what ponder saved, and its vectors are ponder's."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

import ponder
from ponder.engine.budget import Budget
from ponder.errors import ItemError, WeightsError
from ponder.model.saved import SHIPPED, hub_backbone, save
from tests.families import FAMILIES
from tests.thinkers import picture, shaken

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FIND, SHOWN = "Find a picture of it.", "Say what it shows."
TEXTS = ["yes", "a quick brown fox jumps", "seven wizards box over the lazy dog " * 6, "a"]


@pytest.fixture(scope="module")
def thinker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny model with adapters, queries and a gate, all of them random."""
    home = tmp_path_factory.mktemp("tiny")
    made = FAMILIES["qwen3_vl"]()
    made.model.save_pretrained(home / "backbone")
    made.processor.save_pretrained(home / "backbone")
    thinker = shaken(hub_backbone(str(home / "backbone"), None, torch.float32))
    save(home / "trained", thinker.backbone, None, (), thinker)
    return home / "trained"


@pytest.fixture(scope="module", params=["thinker", pytest.param("nano", marks=pytest.mark.nano)])
def folder(request: pytest.FixtureRequest, thinker: Path) -> Path:
    return thinker if request.param == "thinker" else SHIPPED["nano"]


def peer(folder: Path, **options: Any) -> SentenceTransformer:
    """Open a folder with sentence-transformers, in float32, where the batch changes little."""
    exact = {"model_kwargs": {"dtype": torch.float32}, "device": "cpu"}
    trusted = {"trust_remote_code": True, "local_files_only": True}
    return SentenceTransformer(str(folder), **trusted, **(exact | options))


def own(folder: Path) -> ponder.Model:
    return ponder.load(folder, dtype=torch.float32, device="cpu")


@pytest.fixture(scope="module")
def opened(folder: Path) -> SentenceTransformer:
    return peer(folder)


@pytest.fixture(scope="module")
def model(folder: Path) -> ponder.Model:
    return own(folder)


def is_close(a: Any, b: Any) -> bool:
    return bool(np.shape(a) == np.shape(b) and np.allclose(a, b, atol=1e-4))


def test_vectors_are_ponders(
    opened: SentenceTransformer, model: ponder.Model, tmp_path: Path
) -> None:
    shown = picture(1)
    path = tmp_path / "a.png"
    shown.save(path)
    both = {"image": picture(2), "text": "what is this?"}
    several = {"text": ["and", "this"], "image": [picture(3, (40, 90)), str(path)]}
    mixed = [*TEXTS, shown, both, (picture(4), "beside", path), {"image": str(path)}]
    batches = [(TEXTS, 2), ([shown, str(path), path], 32), ([both, several], 32), (mixed, 3)]
    for items, batch_size in batches:
        got = opened.encode(items, batch_size=batch_size)
        assert got.dtype == np.float32
        assert is_close(got, model.encode(items))
    assert is_close(opened.encode("yes"), model.encode("yes"))
    assert opened.get_embedding_dimension() == model.dim
    assert opened.max_seq_length == model.max_text_tokens


def test_prompts_are_instructions(folder: Path, model: ponder.Model, tmp_path: Path) -> None:
    """Those a model is saved with from there are in `ponder.json` too."""
    items = ["yes", "a quick brown fox", {"image": picture(2), "text": "this"}, picture(1)]
    first = peer(folder, prompts={"query": FIND, "document": SHOWN})
    first.save_pretrained(str(tmp_path / "prompted"))
    again, prompted = peer(tmp_path / "prompted"), own(tmp_path / "prompted")
    queries, documents = prompted.encode_query(items), prompted.encode_document(items)
    for one in (first, again):
        assert is_close(one.encode_query(items), queries)
        assert is_close(one.encode_document(items), documents)
        assert is_close(one.encode(items), model.encode(items))
    assert is_close(queries, model.encode(items, instruction=FIND))
    assert is_close(documents, again.encode(items, prompt=SHOWN))
    worded = slice(3)  # a picture without words is read the same by `nano`, whatever it is for
    for a, b in ((queries, documents), (queries, model.encode(items))):
        assert (np.abs(a - b)[worded].max(axis=1) > 1e-3).all()
    told = [{"text": "yes", "instruction": FIND}]
    assert is_close(again.encode_document(told), queries[:1])
    assert prompted.fingerprint != model.fingerprint


def test_a_chat_is_an_item_and_its_instruction(thinker: Path) -> None:
    shown = picture(1)
    content = [{"type": "text", "text": "see"}, {"type": "image", "image": shown}]
    turn, system = {"role": "user", "content": content}, {"role": "system", "content": FIND}
    plain = {"role": "user", "content": "yes"}
    got = peer(thinker).encode([[turn], [system, turn], [plain], "yes"], prompt=SHOWN)
    rows = own(thinker).encode([("see", shown), "yes"], instruction=SHOWN)
    assert is_close(got[[0, 2, 3]], rows[[0, 1, 1]])
    assert is_close(got[1], own(thinker).encode(("see", shown), instruction=FIND))


def test_smaller_vectors_and_similarity(opened: SentenceTransformer, model: ponder.Model) -> None:
    items = ["yes", "a quick brown fox", picture(1)]
    whole, cut = model.encode(items), model.encode(items, truncate_dim=16)
    short = opened.encode(items, truncate_dim=16)
    assert is_close(short, whole[:, :16])
    assert is_close(opened.encode(items, truncate_dim=16, normalize_embeddings=True), cut)
    assert is_close(opened.similarity(short, short), model.similarity(cut, cut))
    rows = opened.encode(items, convert_to_tensor=True)
    assert is_close(opened.similarity(rows, rows[:2]), model.similarity(whole, whole[:2]))
    with opened.truncate_embeddings(16):
        assert is_close(opened.encode(items), short)


def test_saving_from_there_is_a_copy(
    folder: Path, opened: SentenceTransformer, model: ponder.Model, tmp_path: Path
) -> None:
    opened.save_pretrained(str(tmp_path))
    peer(tmp_path).save_pretrained(str(tmp_path))  # over itself
    again = own(tmp_path)
    assert again.fingerprint == model.fingerprint
    assert again.has_gate == model.has_gate
    assert np.array_equal(again.encode(TEXTS[:2]), model.encode(TEXTS[:2]))
    assert is_close(peer(tmp_path).encode(TEXTS[:2]), model.encode(TEXTS[:2]))
    written = json.loads((folder / "modules.json").read_text())
    assert json.loads((tmp_path / "modules.json").read_text()) == written


def test_every_weight_follows_to_another_device(folder: Path) -> None:
    moved = peer(folder).to("meta")
    saved = moved[0]._model.saved
    parts = [saved.backbone.model, saved.readout]
    if saved.thinker is not None:
        parts += [saved.thinker.queries, saved.thinker.gate]
    tensors = [t for part in parts if part for t in (*part.parameters(), *part.buffers())]
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert moved[0]._model._budget == Budget.of(torch.device("meta"))


def test_another_process_can_have_it(thinker: Path) -> None:
    opened = peer(thinker)
    expected = opened.encode(TEXTS)
    assert is_close(pickle.loads(pickle.dumps(opened)).encode(TEXTS), expected)


def test_bad_input_is_shown(thinker: Path) -> None:
    opened = peer(thinker)
    chat = {"role": "assistant", "content": "yes"}
    mistakes: list[tuple[Any, str]] = [
        ("none.png", "'none.png': no such file"),
        ("data:image/png;base64,iVBORw0KGgo=", "a data URI is not decoded"),
        ([chat], "a chat to embed is one user's turn"),
        ([{"role": "user", "content": "a"}, "b"], "a chat to embed is one user's turn"),
        ([{"role": "user", "content": [{"type": "image", "url": "a"}]}], "unknown key 'url'"),
        ({"text": 3}, "must be a string, not int"),
    ]
    for value, message in mistakes:
        with pytest.raises(ItemError, match=message):
            opened.encode(["yes", value], prompt=FIND)
    with pytest.raises(ValueError, match="'audio' is not supported"):
        opened.encode([np.zeros((2, 2), dtype=np.uint8)])


def no_queries(folder: Path) -> None:
    (folder / "queries.safetensors").unlink()


def half_an_adapter(folder: Path) -> None:
    path = folder / "reasoning" / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def no_record(folder: Path) -> None:
    (folder / "ponder.json").unlink()


def other_instruction(folder: Path) -> None:
    path = folder / "ponder.json"
    record = json.loads(path.read_text()) | {"instructions": {"query": FIND}}
    path.write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (no_queries, "queries.safetensors is missing"),
        (half_an_adapter, "reasoning/adapter_model.safetensors is damaged"),
        (no_record, "is no ponder model: it has no ponder.json"),
        (other_instruction, "the query prompt in config_sentence_transformers.json is ''"),
    ],
)
def test_a_damaged_folder_is_named(
    spoil: Callable[[Path], None], message: str, thinker: Path, tmp_path: Path
) -> None:
    shutil.copytree(thinker, tmp_path / "copy")
    spoil(tmp_path / "copy")
    with pytest.raises(WeightsError, match=message):
        peer(tmp_path / "copy")


def test_what_it_cannot_do_is_refused(thinker: Path) -> None:
    with pytest.raises(ValueError, match="trust_remote_code=True"):
        SentenceTransformer(str(thinker), local_files_only=True)
    for option in ({"attn_implementation": "eager"}, {"dtype": "float16"}):
        with pytest.raises(ValueError, match="ponder takes model_kwargs"):
            peer(thinker, model_kwargs=option)
    with pytest.raises(ValueError, match="ponder takes model_kwargs"):
        peer(thinker, processor_kwargs={"max_pixels": 100})


def test_ponder_itself_does_without(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['sentence_transformers'] = None\n"
        "import ponder.engine.model, ponder.model.saved, ponder.index.index"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
