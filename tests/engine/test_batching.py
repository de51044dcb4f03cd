"""Batches keep order, respect the budget and stay bounded."""

from __future__ import annotations

import threading
from itertools import count, islice
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.engine.batching import ahead, by_length, windows

if TYPE_CHECKING:
    from collections.abc import Iterator


@given(st.lists(st.integers(1, 300), max_size=60), st.integers(1, 500))
def test_every_item_is_in_one_batch_within_the_budget(lengths: list[int], budget: int) -> None:
    batches = list(by_length(lengths, budget))
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        padded = len(batch) * max(lengths[i] for i in batch)
        assert padded <= budget or len(batch) == 1


def test_the_longest_come_first() -> None:
    assert next(by_length([1, 9, 5], budget=9)) == [1]


def test_a_batch_ends_before_padding_costs_more_than_another_batch() -> None:
    lengths = [100] * 10 + [5] * 10
    batches = list(by_length(lengths, budget=4000))
    assert batches == [list(range(10)), list(range(10, 20))]


def test_ahead_keeps_order_and_pulls_no_more_than_its_depth() -> None:
    pulled = []

    def source() -> Iterator[int]:
        for i in count():
            pulled.append(i)
            yield i

    assert list(islice(ahead(lambda x: x * x, source(), depth=3), 5)) == [0, 1, 4, 9, 16]
    assert len(pulled) <= 5 + 3 + 2  # and one in hand on either side


def test_ahead_raises_in_turn_what_its_source_raises() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise KeyError("two")

    results = ahead(str, source(), depth=8)
    assert next(results) == "1"
    with pytest.raises(KeyError, match="two"):
        next(results)


def test_ahead_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    results = ahead(str, count(), depth=2)
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_windows_are_bounded_and_lose_nothing() -> None:
    cut = list(windows([3, 3, 3, 10, 1], size=lambda x: x, limit=6))
    assert cut == [[3, 3], [3, 10], [1]]
