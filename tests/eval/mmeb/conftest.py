"""A bundle of three tasks that a model can be run on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.eval.mmeb.bundle import (
    COLOURS,
    IMAGES,
    image_row,
    page_rows,
    write_frames,
    write_rows,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="package")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three tasks of six queries: pictures to words, words to videos, words to pages."""
    folder = tmp_path_factory.mktemp("bundle")
    rows = [
        image_row(
            folder,
            qry_img_path=f"V/{colour}.png",
            tgt_text=[f"a {colour} ball", *(f"a {c} ball" for c in COLOURS if c != colour)],
        )
        for colour in COLOURS
    ]
    write_rows(folder / IMAGES, rows, "VOC2007")
    videos = [{"video_id": c, "video": f"{c}.avi", "caption": [f"a {c} ball"]} for c in COLOURS]
    write_rows(folder / "VLM2Vec/MSVD", videos)
    for colour in COLOURS:
        write_frames(folder / "video-tasks/frames/video_ret/MSVD" / colour, colour)
    gains = {colour: {i + 1: 3, (i + 1) % 6 + 1: 1} for i, colour in enumerate(COLOURS)}
    for subset, kept in page_rows(gains, [1, 2, 3, 4, 5, 6]).items():
        write_rows(folder / "VLM2Vec/ViDoSeek", kept, subset)
    return folder
