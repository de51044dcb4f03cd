"""The files by which sentence-transformers opens a saved folder; ponder itself reads neither."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MODULES = "modules.json"
CONFIG = "config_sentence_transformers.json"
# Part of the format: folders in the world name the class so.
MODULE = "ponder.sentence_transformers.PonderModule"


def write_interchange(folder: Path, instructions: Mapping[str, str]) -> None:
    """Name the class that embeds, and write the instructions as prompts of the same names."""
    config = {
        "model_type": "SentenceTransformer",
        "prompts": dict(instructions),
        "default_prompt_name": None,
        "similarity_fn_name": "cosine",
    }
    _write(folder / CONFIG, config)
    _write(folder / MODULES, [{"idx": 0, "name": "0", "path": "", "type": MODULE}])


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
