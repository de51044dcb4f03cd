"""The read-out looks where it says it looks."""

from __future__ import annotations

import torch

from ponder.model.readout import Pooled, ReadOut, ReadOutConfig

CONFIG = ReadOutConfig(hidden_size=8, width=32, dim=16, matryoshka=(16, 8))


def pooled(has_text: list[int], has_picture: list[int]) -> Pooled:
    random = torch.Generator().manual_seed(0)
    rows = len(has_text)
    return Pooled(
        torch.randn(rows, 24, generator=random),
        torch.randn(rows, 8, generator=random),
        torch.tensor(has_text).float().unsqueeze(1),
        torch.tensor(has_picture).float().unsqueeze(1),
    )


@torch.inference_mode()
def test_what_an_item_has_not_is_not_looked_at() -> None:
    torch.manual_seed(0)
    readout = ReadOut(CONFIG).eval()
    given = pooled([1, 0, 1], [0, 1, 1])
    before = readout(given)
    given.picture[0] += 9
    given.text[1] += 9
    assert torch.equal(before, readout(given))
    given.picture[2] += 9
    assert not torch.allclose(before[2], readout(given)[2])


def test_standardised_text_has_no_offset_and_one_scale() -> None:
    readout = ReadOut(CONFIG)
    sample = torch.randn(500, 24) * torch.arange(1, 25) + 100
    readout.standardise(sample)
    standard = (sample - readout.center) / readout.scale
    assert standard.mean(dim=0).abs().max() < 1e-3
    assert torch.allclose(standard.std(dim=0), torch.ones(24), atol=1e-3)


def test_the_record_makes_the_same_shape() -> None:
    import json

    assert ReadOutConfig.from_dict(json.loads(json.dumps(CONFIG.to_dict()))) == CONFIG
