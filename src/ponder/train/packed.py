"""Prepared items whose pictures are seen, as a few tensors that can be kept on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ponder.model.backbone import Prepared

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

FEATURES = "image_features"


def pack(rows: Sequence[Prepared]) -> dict[str, Tensor]:
    """Return n items as tensors, one behind the other."""
    seen = [row.media[FEATURES] for row in rows if row.media]
    return {
        "input_ids": torch.cat([row.input_ids for row in rows]),
        "positions": torch.cat([row.positions for row in rows], dim=1),
        "tokens": torch.tensor([len(row) for row in rows]),
        "bounds": torch.tensor([[row.start, row.stop] for row in rows]),
        "pictures": torch.tensor([len(row.media[FEATURES]) if row.media else 0 for row in rows]),
        FEATURES: torch.cat(seen) if seen else torch.zeros(0),
    }


def unpack(tensors: dict[str, Tensor], names: Sequence[str]) -> list[Prepared]:
    """Return the items that `pack` was given; errors call them by `names`."""
    tokens, pictures = tensors["tokens"].tolist(), tensors["pictures"].tolist()
    return [
        Prepared(name, ids, positions, start, stop, {FEATURES: seen} if len(seen) else {})
        for name, ids, positions, (start, stop), seen in zip(
            names,
            tensors["input_ids"].split(tokens),
            tensors["positions"].split(tokens, dim=1),
            tensors["bounds"].tolist(),
            tensors[FEATURES].split(pictures),
            strict=True,
        )
    ]
