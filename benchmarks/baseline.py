"""The two-heads baseline on the Gallery: how much the connector and the read-out add.

    python benchmarks/baseline.py [--split test] [--json FILE]

Pooled features of the two frozen towers, a two-layer head on each side, InfoNCE over the English
names of the same training split, tested on the same tasks as `ponder eval gallery`.
"""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from ponder.eval.gallery import tasks
from ponder.eval.metrics import hit, ndcg, ranks
from ponder.gallery import default_folder, read
from ponder.model.saved import fastest_dtype, nano_backbone
from ponder.train.frozen import pool_texts
from ponder.train.losses import info_nce

if TYPE_CHECKING:
    from ponder.model.backbone import Backbone

STEPS, BATCH, RATE, TEMPERATURE = 400, 1024, 1e-3, 0.05


def head(inputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, 1024), nn.GELU(), nn.Dropout(0.1), nn.Linear(1024, 512))


def see(backbone: Backbone, pictures: list[bytes]) -> Tensor:
    """Return the averages of the tower's head and of its last stage: (N, 1600)."""
    tower = backbone.model.model.vision_tower
    features = []
    with torch.inference_mode():
        for start in range(0, len(pictures), 8):
            batch = [Image.open(io.BytesIO(file)) for file in pictures[start : start + 8]]
            pixels = backbone.processor.image_processor(batch)["pixel_values"]
            maps = tower(pixels.to(backbone.model.dtype), (320,))
            features.append(torch.cat([grid.mean(dim=(2, 3)) for grid in maps], dim=1).float())
    return torch.cat(features).clone()


def words(backbone: Backbone, texts: list[str]) -> Tensor:
    """Return the language model's last states, averaged over the text: (N, 576)."""
    return pool_texts(backbone, texts, [-1], lambda *_: None).float()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", default="test", choices=["dev", "test"])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.manual_seed(0)
    backbone = nano_backbone({})
    backbone.model.to(fastest_dtype(backbone.device))
    gallery = default_folder("full")
    rows = read(gallery, "train", ["picture", "caption", "concept", "variant"]).to_pylist()
    rows = [row for row in rows if not row["variant"]]
    seen = see(backbone, [row["picture"] for row in rows])
    read_ = words(backbone, [row["caption"] for row in rows])
    names = {name: i for i, name in enumerate(sorted({row["concept"] for row in rows}))}
    concept = torch.tensor([names[row["concept"]] for row in rows])
    of_picture = nn.Sequential(nn.LayerNorm(seen.shape[1]), head(seen.shape[1]))
    of_text = nn.Sequential(nn.LayerNorm(read_.shape[1]), head(read_.shape[1]))
    parameters = [*of_picture.parameters(), *of_text.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, STEPS)
    for _ in range(STEPS):
        batch = torch.randint(len(rows), (BATCH,))
        pair = of_picture(seen[batch]), of_text(read_[batch])
        loss = info_nce(*pair, concept[batch], TEMPERATURE)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    of_picture.eval()
    of_text.eval()

    def embed(items: list[str] | list[bytes]) -> Tensor:
        if isinstance(items[0], bytes):
            return F.normalize(of_picture(see(backbone, items)), dim=-1)
        return F.normalize(of_text(words(backbone, items)), dim=-1)

    result = {}
    for task in tasks(gallery, options.split):
        with torch.no_grad():
            scores = (embed(task.queries) @ embed(task.candidates).T).numpy()
        ranked = ranks(scores, task.right)
        result[task.name] = {f"hit@{k}": hit(ranked, k) for k in (1, 5, 10)}
        result[task.name]["ndcg@5"] = ndcg(ranked, 5)
        print(task.name, *(f"{name} {value:.1%}" for name, value in result[task.name].items()))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
