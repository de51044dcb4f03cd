"""mteb's own check passes, and its tasks score what ponder's own metrics do."""

from __future__ import annotations

import socket
import sys
from importlib import import_module
from itertools import chain
from typing import TYPE_CHECKING, Any

import datasets
import mteb
import numpy as np
import pytest
import torch
from mteb.abstasks import AbsTaskRetrieval
from mteb.results import TaskResult
from mteb.types import PromptType
from PIL import Image

from ponder.engine.model import Model
from ponder.errors import FingerprintError, ItemError, MissingExtraError, ThinkModeError
from ponder.eval.metrics import hit, ndcg, ranks
from ponder.eval.mteb import ModalityError, PonderEncoder, model_meta
from ponder.model.adapters import ADAPTERS
from ponder.model.saved import Saved
from tests.families import FAMILIES
from tests.thinkers import picture, thinker

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PROMPT = "Find the picture that shows this."


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object) -> None:
        raise OSError("nothing here may use the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def tiny(family: str) -> Model:
    made = thinker(family)
    record = {"instructions": {"query": "Find it.", "document": "Remember it."}}
    return Model(Saved("folder/tiny", made.backbone, made.readout, made, record))


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny("qwen3_vl")


def metadata(**changes: Any) -> mteb.TaskMetadata:
    values: dict[str, Any] = {
        "name": "LocalPictures",
        "description": "Captions and the photographs they are of.",
        "dataset": {"path": "none", "revision": "1"},
        "type": "Any2AnyRetrieval",
        "category": "t2i",
        "modalities": ["text", "image"],
        "eval_splits": ["test"],
        "eval_langs": ["eng-Latn"],
        "main_score": "ndcg_at_5",
        "prompt": {"query": PROMPT},
    }
    return mteb.TaskMetadata(**(values | changes))


def encode(
    encoder: PonderEncoder, side: PromptType | None, *batches: dict[str, list[Any]], **changes: Any
) -> np.ndarray:
    task = metadata(**changes)
    return encoder.encode(  # a loader is no more than its batches
        batches,  # type: ignore[arg-type]
        task_metadata=task,
        hf_split="test",
        hf_subset="default",
        prompt_type=side,
    )


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return np.allclose(a, b, atol=1e-4)


# mteb's tasks of two items leave scikit-learn and SciPy classes without a prediction.
@pytest.mark.filterwarnings("ignore")
def test_the_conformance_check_passes_with_text_and_pictures(model: Model) -> None:
    results = mteb.mock_run(PonderEncoder(model, think="auto"))
    ran = {name: status for name, status in results.items() if status is not None}
    assert all(isinstance(status, TaskResult) for status in ran.values()), results.to_markdown()
    shares = {name: share for share, name, _ in results.modality_summary()}
    assert shares["audio"] == shares["video"] == "skipped"
    assert "✓" in shares["text"]
    assert "✓" in shares["image"]
    assert len(ran) > 40


def photographs() -> dict[str, Image.Image]:
    from skimage import data

    arrays = {
        "an astronaut in an orange suit": data.astronaut(),
        "the face of a cat": data.chelsea(),
        "a cup of coffee on a table": data.coffee(),
        "a rocket taking off at night": data.rocket(),
        "old coins": data.coins(),
        "a page of a printed book": data.page(),
        "the surface of the moon": data.moon(),
        "grass": data.grass(),
        "a man with a camera on a tripod": data.camera(),
        "a wall of bricks.png": data.brick(),  # a caption that ends like a file name is text
    }
    return {caption: Image.fromarray(array) for caption, array in arrays.items()}


def dataset(folder: Path, pairs: Mapping[str, Image.Image]) -> None:
    """Write a retrieval dataset as mteb reads it from the hub: three tables and a card."""
    files = folder / "files"
    files.mkdir(parents=True)
    for i, image in enumerate(pairs.values()):
        image.save(files / f"{i}.png")
    ids = [str(i) for i in range(len(pairs))]
    paths = [str(files / f"{i}.png") for i in ids]
    pictures = datasets.Dataset.from_dict({"id": ids, "image": paths})
    tables = {
        "corpus": pictures.cast_column("image", datasets.Image()),
        "queries": datasets.Dataset.from_dict({"id": ids, "text": list(pairs)}),
        "qrels": datasets.Dataset.from_dict(
            {"query-id": ids, "corpus-id": ids, "score": [1] * len(ids)}
        ),
    }
    card = ["---", "configs:"]
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet")
        card += [f"- config_name: {name}", "  data_files:"]
        card += ["  - split: test", f"    path: {name}.parquet"]
    (folder / "README.md").write_text("\n".join([*card, "---", ""]))


def local_task(folder: Path) -> AbsTaskRetrieval:
    class LocalPictures(AbsTaskRetrieval):
        metadata = metadata(dataset={"path": str(folder), "revision": "1"})

    return LocalPictures()


@pytest.mark.nano
def test_a_task_scores_what_ponders_metrics_do(nano: Model, tmp_path: Path) -> None:
    pairs = photographs()
    dataset(tmp_path / "data", pairs)
    cache = mteb.ResultCache(tmp_path / "results")
    found = mteb.evaluate(PonderEncoder(nano), local_task(tmp_path / "data"), cache=cache)
    (scores,) = found.task_results[0].scores["test"]
    queries = nano.encode_query([{"text": c} for c in pairs], instruction=PROMPT)
    cosines = nano.similarity(queries, nano.encode_document(list(pairs.values())))
    ranked = ranks(cosines, np.arange(len(pairs)))
    for k in (1, 3, 5):
        assert scores[f"ndcg_at_{k}"] == pytest.approx(ndcg(ranked, k), abs=1e-5)
        assert scores[f"hit_rate_at_{k}"] == pytest.approx(hit(ranked, k), abs=1e-5)
    assert 1 / len(pairs) < hit(ranked, 1) < 1  # better than chance, and not all alike
    assert scores["main_score"] == scores["ndcg_at_5"]
    (written,) = (tmp_path / "results").rglob("LocalPictures.json")
    assert f"ponder__nano/{nano.fingerprint}" in written.as_posix()


def test_thoughts_are_thought_and_kept_apart(model: Model, tmp_path: Path) -> None:
    pairs = {f"number {i}": picture(i) for i in range(3)}
    dataset(tmp_path / "data", pairs)
    cache = mteb.ResultCache(tmp_path / "results")
    for think in ("never", "always"):
        mteb.evaluate(PonderEncoder(model, think), local_task(tmp_path / "data"), cache=cache)
    written = sorted(path.parent.name for path in tmp_path.rglob("LocalPictures.json"))
    assert written == [model.fingerprint, "think_always"]
    vectors = {}
    for think in ("never", "always", "auto"):
        encoder = PonderEncoder(model, think)
        vectors[think] = encode(encoder, PromptType.document, {"image": list(pairs.values())})
        own = model.encode_document(list(pairs.values()), think=think)
        assert same(vectors[think], own)
    assert not same(vectors["never"], vectors["always"])


def test_a_mode_the_model_lacks_is_refused_at_once() -> None:
    made = thinker("nano")
    plain = Model(Saved("plain", made.backbone, made.readout, None, {}))
    with pytest.raises(ThinkModeError, match="no reasoning adapter"):
        PonderEncoder(plain, think="always")


def test_prompts_and_queries_own_instructions_are_the_items(model: Model) -> None:
    encoder = PonderEncoder(model)
    asked = {"text": ["what is this?"]}
    prompted = model.encode_query(["what is this?"], instruction=PROMPT)
    searched, kept = model.encode_query(["what is this?"]), model.encode_document(["what is this?"])
    assert not same(prompted, searched)
    assert not same(searched, kept)
    assert same(encode(encoder, PromptType.query, asked), prompted)
    assert same(encode(encoder, None, asked), prompted)
    assert same(encode(encoder, PromptType.document, asked), kept)
    assert same(encode(encoder, PromptType.query, asked, prompt=None), searched)
    both = {"query": PROMPT, "document": "Name the animal."}
    named = model.encode_document(["what is this?"], instruction="Name the animal.")
    assert same(encode(encoder, PromptType.document, asked, prompt=both), named)
    assert same(encode(encoder, PromptType.document, asked, prompt="Name the animal."), named)
    own = {
        "text": ["what is this? Name the animal."],
        "query": ["what is this?"],
        "instruction": ["Name the animal."],
    }
    assert same(encode(encoder, PromptType.query, own), named)
    # Columns of that name in a corpus are the dataset's own affair.
    assert same(encode(encoder, PromptType.document, own | asked), kept)


@pytest.mark.parametrize("family", ["nano", "qwen3_vl"])
def test_every_form_of_an_item_is_read(family: str) -> None:
    tiny_model = tiny(family)
    encoder = PonderEncoder(tiny_model)
    first, second = picture(1, (40, 60)), picture(2, (60, 40))
    grey = picture(3, (40, 40)).convert("L")
    tensors = [torch.tensor(np.array(image)).movedim(-1, 0) for image in (first, second)]
    tensors += [torch.tensor(np.array(grey))[None], tensors[0] / 255]
    pictures = [first, second, grey, first]
    batches = [{"image": tensors[:3]}, {"image": tensors[3:]}]
    rows = encode(encoder, None, *batches, prompt=None)
    assert rows.dtype == np.float32
    assert same(rows, tiny_model.encode_query(pictures))
    mixed = {"text": ["a fox.png", "how do they differ?", ""], "image": [None, first, None]}
    rows = encode(encoder, None, mixed, prompt=None)
    alone = [{"text": "a fox.png"}, {"text": "how do they differ?", "image": first}, {"text": ""}]
    assert np.isfinite(rows).all()
    assert same(rows, tiny_model.encode_query(alone))


def test_what_cannot_be_read_is_named(model: Model) -> None:
    encoder = PonderEncoder(model)
    clips = {"name": "Clips", "category": "vt2t", "modalities": ["text", "video"]}
    with pytest.raises(ModalityError, match="Clips holds video"):
        encode(encoder, PromptType.query, {"text": ["what happens?"]}, **clips)
    with pytest.raises(ItemError, match="LocalPictures, item 2: nothing to embed"):
        encode(encoder, None, {"image": [picture(1), picture(2)]}, {"image": [None]})
    with pytest.raises(ValueError, match="float32 alone"):
        encoder.encode(
            [],  # type: ignore[arg-type]
            task_metadata=metadata(),
            hf_split="test",
            hf_subset="default",
            precision="int8",
        )


@pytest.mark.nano
def test_a_description_loads_the_model_it_describes(nano: Model, tmp_path: Path) -> None:
    meta = model_meta("nano")
    assert meta.name == "ponder/nano"
    assert meta.revision == nano.fingerprint
    assert meta.embed_dim == nano.dim
    assert meta.max_tokens == 1024
    assert meta.n_parameters == pytest.approx(144.0e6, rel=0.002)  # the table in docs/nano.md
    assert (meta.license, meta.open_weights) == ("apache-2.0", True)
    assert set(meta.modalities) == {"text", "image"}
    assert meta.is_zero_shot_on(["STS12"])
    assert not meta.is_zero_shot_on(["Imagenet1k"])
    encoder = meta.load_model(embed_dim=nano.dim)
    assert isinstance(encoder, mteb.EncoderProtocol)
    assert encoder.mteb_model_meta.revision == nano.fingerprint
    assert encoder.mteb_model_meta.modalities == meta.modalities
    words = {"text": ["a red bicycle"]}
    # The fixture is in float32; what is loaded anew may be in bfloat16.
    assert np.allclose(
        encode(encoder, PromptType.document, words), nano.encode(["a red bicycle"]), atol=0.02
    )
    dataset(tmp_path / "data", {"a cat": picture(1), "a dog": picture(2)})
    found = mteb.evaluate(meta, local_task(tmp_path / "data"), cache=None)
    assert (found.model_name, found.model_revision) == (meta.name, meta.revision)
    with pytest.raises(ThinkModeError, match="no reasoning adapter"):
        meta.load_model(think="always")
    with pytest.raises(FingerprintError, match="nano has changed"):
        meta.model_copy(update={"revision": "0123456789abcdef"}).load_model()


def test_a_description_claims_no_more_than_is_known(model: Model) -> None:
    meta = PonderEncoder(model, think="auto").mteb_model_meta
    assert meta.name == "ponder/tiny"
    assert meta.experiment_name == "think_auto"
    assert meta.license is meta.open_weights is meta.languages is meta.training_datasets is None
    with pytest.raises(NotImplementedError):  # it was made in memory: mteb has nowhere to load it
        meta.load_model()


def test_merged_adapters_count_as_what_they_are() -> None:
    made = thinker("qwen3_vl")
    bare = FAMILIES["qwen3_vl"]().model
    adapters = [made.adapters.parameters(name) for name in ADAPTERS]
    parts = [bare.parameters(), *adapters, made.queries.parameters(), made.gate.parameters()]
    count = sum(p.numel() for p in chain(*parts))
    merged = Model(Saved("merged", made.backbone, None, made, {}))
    assert merged.parameter_count == count
    made.adapters.merge()
    assert merged.parameter_count == count


def test_without_mteb_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "ponder.eval.mteb")
    monkeypatch.setitem(sys.modules, "mteb.models.abs_encoder", None)
    with pytest.raises(MissingExtraError, match=r"ponder\[mteb\]"):
        import_module("ponder.eval.mteb")
