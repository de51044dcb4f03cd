"""Indexing against the bare model: how much of its throughput is left when files are read too.

    python benchmarks/indexing.py [FOLDER] [--pictures 400] [--model nano] [--json out.json]

Bare is `model.stream` over pictures decoded before; indexing is `Index.add` over the same files,
with walking, hashing, decoding, thumbnails and the table. The two take turns, each first in every
other round, so that both see the same machine. Without FOLDER the pictures are drawn: JPEG and
PNG, 640 x 480.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

import ponder
from ponder.index.files import walk
from ponder.items import Item
from ponder.media import read_picture


def draw(folder: Path, count: int) -> None:
    """Pictures with edges and texture, so that decoding costs what it costs for photographs."""
    rng = np.random.default_rng(0)
    for i in range(count):
        shapes = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        picture = Image.fromarray(shapes).resize((640, 480), Image.Resampling.NEAREST)
        grain = rng.integers(0, 40, (480, 640, 3), dtype=np.uint8)
        smooth = np.asarray(picture.filter(ImageFilter.GaussianBlur(2)), dtype=np.uint16)
        picture = Image.fromarray(np.minimum(smooth + grain, 255).astype(np.uint8))
        suffix = "jpg" if i % 4 else "png"
        picture.save(folder / f"{i:05d}.{suffix}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--pictures", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    model = ponder.load(options.model)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder
        if folder is None:
            folder = Path(scratch) / "pictures"
            folder.mkdir()
            draw(folder, options.pictures)
        pictures = [file for file in walk([folder]).files if file.reader == "picture"]
        files = list(islice(pictures, options.pictures))
        items = [(i, Item((read_picture(file.path),))) for i, file in enumerate(files)]
        list(model.stream(items[:32]))
        ponder.Index(Path(scratch) / "warm.lance", model).add([file.path for file in files[:32]])
        bare, full = [], []
        for turn in range(options.rounds):
            for is_bare in (turn % 2 == 0, turn % 2 == 1):
                began = time.perf_counter()
                if is_bare:
                    assert len(list(model.stream(items))) == len(items)
                    bare.append(len(items) / (time.perf_counter() - began))
                else:
                    index = ponder.Index(Path(scratch) / f"{turn}.lance", model)
                    report = index.add([file.path for file in files])
                    full.append(len(items) / (time.perf_counter() - began))
                    copies = report.added - report.embedded
                    assert report.added == len(items), report
    result = {
        "pictures": len(items),
        "copies": copies,
        "model": options.model,
        "cpus": os.cpu_count(),
        "bare_per_s": round(float(np.median(bare)), 2),
        "indexing_per_s": round(float(np.median(full)), 2),
        "ratio": round(float(np.median(np.array(full) / np.array(bare))), 3),
        "rounds": [[round(b, 2), round(f, 2)] for b, f in zip(bare, full, strict=True)],
    }
    print(f"bare model  {result['bare_per_s']:>8} pictures/s")
    print(f"indexing    {result['indexing_per_s']:>8} pictures/s, {result['ratio']:.1%} of it")
    print(json.dumps(result))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
