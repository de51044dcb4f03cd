"""A model in other processes: a fork is refused, a spawned process loads it again by name."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

import ponder
from ponder.engine.model import Model
from ponder.errors import FingerprintError, ForkError, PonderError
from ponder.model.saved import load_saved, save
from tests.thinkers import kept

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

DEADLINE_S = 60
TEXTS = ["a red bicycle", "yes"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return kept(tmp_path_factory.mktemp("forks"))


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return ponder.load(folder, dtype=torch.float32, device="cpu")


def forked(work: Callable[[], object]) -> str:
    """Do work in a forked child; return what it raised, or say that it hung."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        said = "nothing"
        try:
            work()
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    deadline = time.monotonic() + DEADLINE_S
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return "it hung"
        time.sleep(0.01)
    with os.fdopen(reading, "rb") as answer:
        return answer.read().decode()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_is_told_and_does_not_hang(
    model: Model, folder: Path, tmp_path: Path
) -> None:
    model.encode(TEXTS)
    index = ponder.Index(tmp_path / "index.lance", model)
    (tmp_path / "note.txt").write_text("a red bicycle")
    index.add([tmp_path / "note.txt"])
    vector = model.encode_query("a bicycle")
    uses: list[Callable[[], object]] = [
        lambda: model.encode(TEXTS),
        lambda: ponder.load(folder),
        lambda: index.nearest(vector),
        lambda: ponder.Index(tmp_path / "index.lance", model),
    ]
    for use in uses:
        said = forked(use)
        assert said.startswith("ForkError: process "), said
        assert "spawn" in said
    with pytest.raises(ForkError, match=r"docs/processes\.md"):
        raise ForkError(said)
    assert index.nearest(vector)  # the parent goes on


def encoded(model: Model, texts: list[str]) -> NDArray[np.float32]:
    rows: NDArray[np.float32] = model.encode(texts)
    return rows


def test_a_spawned_process_gets_the_model(
    folder: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    relative = ponder.load(folder.name, dtype=torch.float32, device="cpu")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        rows = pool.apply_async(encoded, (relative, TEXTS)).get(DEADLINE_S)
    assert np.array_equal(rows, model.encode(TEXTS))


def test_a_pickle_holds_names_and_loads_from_anywhere(
    folder: Path, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    relative = ponder.load("backbone", adapters="trained", dtype=torch.float32, device="cpu")
    pickled = pickle.dumps(relative)
    assert len(pickled) < 2000
    monkeypatch.chdir(tmp_path)
    again = pickle.loads(pickled)
    assert again.fingerprint == relative.fingerprint
    assert np.array_equal(again.encode(TEXTS), model.encode(TEXTS))
    index = ponder.Index("index.lance", again)
    (tmp_path / "note.txt").write_text("a red bicycle")
    index.add([tmp_path / "note.txt"])
    pickled = pickle.dumps(index)
    monkeypatch.chdir(folder)
    [hit] = pickle.loads(pickled).search("a red bicycle")
    assert hit.path.endswith("note.txt")


def test_a_pickle_does_not_load_another_model(tmp_path: Path) -> None:
    folder = kept(tmp_path)
    pickled = pickle.dumps(ponder.load(folder, device="cpu"))
    saved = load_saved(folder, device="cpu")
    thinker = saved.trained_thinker()
    with torch.no_grad():
        thinker.queries.vectors.add_(1)
    save(folder, saved.backbone, None, (), thinker)
    with pytest.raises(FingerprintError, match=r"trained was pickled with fingerprint"):
        pickle.loads(pickled)


def test_a_model_that_nothing_can_load_is_not_pickled(model: Model, tmp_path: Path) -> None:
    made = Model(model.saved)
    for value in (made, ponder.Index(tmp_path / "index.lance", made)):
        with pytest.raises(PonderError, match="cannot be pickled") as caught:
            pickle.dumps(value)
        assert "\n" not in str(caught.value)
