"""Configurations say what is wrong with them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from ponder.errors import ConfigError
from ponder.train.align import AlignConfig
from ponder.train.config import read_config
from ponder.train.gating import GateConfig
from ponder.train.latent import LatentConfig
from ponder.train.rl import RlConfig
from ponder.train.sft import SftConfig

SHIPPED = Path(__file__).parents[2] / "configs"


def config(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text)
    return path


def test_keys_left_out_keep_their_defaults(tmp_path: Path) -> None:
    text = "seed: 3\nlanguages: [en]\nlearning_rate: 1"
    read = read_config(config(tmp_path, text), AlignConfig)
    assert read == AlignConfig(seed=3, languages=("en",), learning_rate=1.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sed: 3", "unknown key 'sed'; did you mean 'seed'"),
        ("seed: three", "seed: expected int, got 'three'"),
        ("part: half", "part: expected one of"),
        ("languages: en", "languages: expected a list"),
        ("- seed", "expected keys and values"),
        ("a: [", "not YAML"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_config(config(tmp_path, text), AlignConfig)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("align", AlignConfig),
        ("sft", SftConfig),
        ("gate", GateConfig),
        ("rl", RlConfig),
        ("latent", LatentConfig),
    ],
)
def test_the_shipped_recipe_is_the_default(name: str, kind: type[Any]) -> None:
    assert read_config(SHIPPED / f"{name}.yaml", kind) == kind()


@pytest.mark.parametrize(("stage", "kind"), [("sft", SftConfig), ("latent", LatentConfig)])
def test_an_ablation_differs_from_its_base_in_one_thing(stage: str, kind: type[Any]) -> None:
    recipes = {
        path.stem: asdict(read_config(path, kind))
        for path in (SHIPPED / "ablations" / stage).glob("*.yaml")
    }
    base = recipes.pop("base")
    assert recipes
    for name, recipe in recipes.items():
        changed = [key for key in base if recipe[key] != base[key]]
        assert 1 <= len(changed) <= 2, (name, changed)
