"""`encode`'s arguments: refused before any work, and `batch_size` bounds what runs together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ponder.engine.model import Model
from ponder.errors import ItemError
from ponder.items import Item
from ponder.model.saved import Saved
from tests.families import FAMILIES
from tests.thinkers import ITEMS, rolling

if TYPE_CHECKING:
    from ponder.engine.trace import ThinkMode

MANY = [ITEMS[i % len(ITEMS)] for i in range(14)]


@pytest.fixture(scope="module")
def model() -> Model:
    made = rolling("llava")
    return Model(Saved("tiny", made.backbone, None, made))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"truncate_dim": 65}, "truncate_dim=65, but the vectors have 64 dimensions"),
        ({"truncate_dim": 0}, "truncate_dim=0"),
        ({"precision": "int4"}, "float32, int8 or binary"),
        ({"precision": "binary", "truncate_dim": 12}, "multiple of 8 dimensions, not 12"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"instruction": "\ud83d"}, "half a surrogate pair"),
    ],
)
def test_a_wrong_value_is_refused_before_the_work(
    model: Model, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        model.encode(["none.png"], **options)
    with pytest.raises(ItemError):  # which reading the item would have been
        model.encode(["none.png"])


@pytest.mark.parametrize("think", ["never", "always", "latent"])
def test_batch_size_bounds_what_runs_together_and_changes_no_vector(
    model: Model, think: ThinkMode
) -> None:
    rows: list[int] = []

    def note(_: Any, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        given = [*args, named.get("input_ids"), named.get("inputs_embeds")]
        rows.append(next(len(value) for value in given if value is not None))

    decoder = model.saved.backbone.model.get_decoder()
    handle = decoder.register_forward_pre_hook(note, with_kwargs=True)
    try:
        free = model.encode(MANY, think=think)
        assert max(rows) > 3
        for encode in (model.encode, model.encode_query, model.encode_document):
            rows.clear()
            bounded = encode(MANY, think=think, batch_size=3)
            assert max(rows) <= 3
            assert np.allclose(bounded, free, atol=1e-4)
    finally:
        handle.remove()


@pytest.mark.parametrize("think", ["never", "always", "latent"])
def test_the_trace_counts_the_tokens_of_text_that_are_not_read(
    model: Model, think: ThinkMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model.saved.backbone, "max_text_tokens", 20)
    tokenizer = model.saved.backbone.processor.tokenizer
    texts = ["yes", "what is this? " * 5, "how do they differ? " * 7]
    _, traces = model.encode([texts[0], (texts[1], texts[2])], think=think, return_trace=True)
    whole = sum(len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts[1:])
    assert [trace.cut_tokens for trace in traces] == [0, whole - 20]


def test_batch_size_bounds_a_model_that_reads_means() -> None:
    backbone, made = FAMILIES["nano"](), rolling("nano")
    model = Model(Saved("tiny", backbone, made.readout))
    pooled: list[int] = []
    pool = backbone.pool
    backbone.pool = lambda batch, layers: pooled.append(len(batch)) or pool(batch, layers)  # type: ignore[method-assign,func-returns-value]
    free = model.encode([Item(("yes",))] * 5)
    assert pooled == [5]
    backbone.max_text_tokens = 3
    [trace] = model.encode(["yes or no or yes"], return_trace=True)[1]
    assert trace.cut_tokens > 0
    backbone.max_text_tokens, pooled[:] = 1024, [5]
    assert np.allclose(model.encode([Item(("yes",))] * 5, batch_size=2), free, atol=1e-5)
    assert sorted(pooled) == [1, 2, 2, 5]
