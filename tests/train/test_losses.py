"""Contrastive losses against a plain loop, and what their masks promise."""

from __future__ import annotations

import math

import pytest
import torch

from ponder.train.losses import info_nce, matryoshka


def by_hand(a: torch.Tensor, b: torch.Tensor, group: list[int], temperature: float) -> float:
    cosine = torch.nn.functional.cosine_similarity
    total = 0.0
    for left, right in ((a, b), (b, a)):
        for i in range(len(a)):
            exps = {
                j: math.exp(float(cosine(left[i], right[j], dim=0)) / temperature)
                for j in range(len(a))
                if j == i or group[i] != group[j]
            }
            total -= math.log(exps[i] / sum(exps.values()))
    return total / (2 * len(a))


def test_info_nce_equals_a_plain_loop() -> None:
    torch.manual_seed(0)
    a, b = torch.randn(7, 5), torch.randn(7, 5)
    group = [0, 1, 1, 2, 3, 3, 3]
    loss = info_nce(a, b, torch.tensor(group), 0.1)
    assert loss.item() == pytest.approx(by_hand(a, b, group, 0.1), rel=1e-4)


def test_rows_of_one_group_do_not_push_each_other() -> None:
    a = torch.eye(2, requires_grad=True)
    loss = info_nce(a, torch.eye(2), torch.tensor([4, 4]), 0.1)
    assert loss.item() == 0
    loss.backward()
    assert a.grad is not None
    assert a.grad.abs().max() == 0


def test_matryoshka_reaches_every_prefix_most_at_the_front() -> None:
    torch.manual_seed(0)
    a, b = torch.randn(6, 8, requires_grad=True), torch.randn(6, 8)
    group = torch.arange(6)
    dims = (8, 4)
    loss = matryoshka(a, b, group, 0.1, dims)
    parts = [info_nce(a[:, :dim], b[:, :dim], group, 0.1) for dim in dims]
    assert torch.allclose(loss, (parts[0] + parts[1]) / 2)
