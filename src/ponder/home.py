"""Where ponder keeps what it can fetch or build again."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """Return the cache folder: `$PONDER_HOME`, else the platform's own cache folder."""
    if chosen := os.environ.get("PONDER_HOME"):
        return Path(chosen).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("ponder")
