"""Thinking from the command line, with the real `nano` and random adapters."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest
import torch

from ponder.cli import app, console
from ponder.errors import ThinkModeError
from ponder.model.saved import load_saved, save
from ponder.model.thinker import ThinkerConfig
from tests.thinkers import shaken

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.nano


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a `nano` that thinks, briefly and without sense."""
    folder = tmp_path_factory.mktemp("model")
    saved = load_saved("nano", dtype=torch.float32, device="cpu")
    config = ThinkerConfig({"reasoning": 2, "embedding": 4}, queries=4, max_thought_tokens=10)
    thinker = shaken(saved.backbone, config, saved.readout)
    save(folder, saved.backbone, saved.readout, [{"stage": "random"}], thinker)
    return folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[str, str]]:
    """Run a command line in this process and return what it printed, and what on stderr."""

    def run(*arguments: object) -> tuple[str, str]:
        for name in ("stdout", "stderr"):  # the consoles hold the streams of the test before
            getattr(console, name).file = getattr(sys, name)
        app(list(map(str, arguments)), exit_on_error=False, result_action="return_value")
        captured = capsys.readouterr()
        return captured.out, captured.err

    return run


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("texts")
    (folder / "owl.txt").write_text("The owl hunts at night.\n")
    (folder / "bread.txt").write_text("Bread rises in a warm kitchen.\n")
    return folder


def test_show_adds_up(model: Path, run: Callable[..., tuple[str, str]]) -> None:
    out, _ = run("show", model)
    rows = {
        name.strip(): int(size.split()[0].replace(",", ""))
        for name, _, size in (line.strip().partition("  ") for line in out.splitlines())
        if size.strip()[:1].isdigit() and "%" in size
    }
    assert rows["reasoning adapter, rank 2"] * 2 == rows["embedding adapter, rank 4"]
    assert rows["queries"] == 4 * 576 + 512 * 576
    parts = [
        size for name, size in rows.items() if name not in ("backbone (frozen)", "trained in all")
    ]
    assert sum(parts) == rows["trained in all"]
    assert "interface:   kv, 4 queries" in out
    assert "thinks:      no" in run("show", "nano")[0]


def test_search_shows_the_thought(
    model: Path, texts: Path, tmp_path: Path, run: Callable[..., tuple[str, str]]
) -> None:
    place = ("--index", tmp_path / "x.lance", "--model", model)
    run("index", texts, *place)
    out, err = run("search", "an owl", "--json", "--think", "always", "--show-thoughts", *place)
    assert {hit["kind"] for hit in json.loads(out)} == {"passage"}
    assert err.startswith("thought for ")
    assert "<think>" in err
    assert "</answer>" in err
    _, err = run("search", "an owl", "--json", "--think", "never", "--show-thoughts", *place)
    assert err == "no thought\n"
    _, err = run("search", "an owl", "--json", "--think", "auto", "--show-thoughts", *place)
    assert "the gate gives a thought " in err


def test_the_shipped_thinker_searches_with_latent_steps(
    texts: Path, tmp_path: Path, run: Callable[..., tuple[str, str]]
) -> None:
    place = ("--index", tmp_path / "x.lance", "--model", "nano-think")
    run("index", texts, "--think", "latent", *place)
    out, err = run("search", "an owl", "--json", "--think", "latent", "--show-thoughts", *place)
    assert json.loads(out)[0]["path"].endswith("owl.txt")
    assert err.startswith("2 latent steps, ")
    out, _ = run("show", "nano-think")
    assert "latent:      2 steps, 2 of 4 experts in each" in out


def test_a_model_without_adapters_cannot_think(
    texts: Path, tmp_path: Path, run: Callable[..., tuple[str, str]]
) -> None:
    run("index", texts, "--index", tmp_path / "x.lance")
    with pytest.raises(ThinkModeError, match="no reasoning adapter"):
        run("search", "an owl", "--think", "auto", "--index", tmp_path / "x.lance")
