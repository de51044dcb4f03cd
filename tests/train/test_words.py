"""Picture tokens near the words for what they show."""

from __future__ import annotations

import pytest
import torch

from ponder.train.words import Words

pytestmark = pytest.mark.nano  # the tokenizer is the real one's


@pytest.fixture(scope="module")
def words() -> Words:
    from transformers import AutoTokenizer

    from ponder.model.pull import nano_folder

    tokenizer = AutoTokenizer.from_pretrained(nano_folder() / "language")
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(len(tokenizer), 32, generator=generator)
    animals = [f" a {name} ." for name in ("cat", "dog", "cow", "pig") for _ in range(4)]
    clocks = [f" at {hour} o'clock, not a cat" for hour in ("one", "two", "six", "ten") * 3]
    sources = [tokenizer(some)["input_ids"] for some in (animals, [*clocks, " a zebra"])]
    made = Words(sources, embeddings, tokenizer)
    made.tokenizer = tokenizer
    return made


def ids(words: Words, text: str) -> list[int]:
    found: list[int] = words.tokenizer(text)["input_ids"]
    return found


def test_kept_are_words_that_tell_the_pictures_of_a_source_apart(words: Words) -> None:
    kept = {words.tokenizer.decode([token]).strip() for token in words.places}
    assert kept == {"cat", "dog", "cow", "pig", "one", "two", "six", "ten"}


def test_the_loss_is_least_where_each_token_is_near_a_word_of_the_picture(words: Words) -> None:
    texts = [ids(words, " a cat at six")]
    near = {token: words.vectors[place] for token, place in words.places.items()}
    cat, six, dog = (near[ids(words, name)[0]] for name in (" cat", " six", " dog"))
    right, half, wrong = (
        words.loss(torch.stack(pair)[None], texts) for pair in ((cat, six), (cat, dog), (dog, dog))
    )
    assert right < half < wrong
    assert words.found(torch.stack((cat, six))[None], texts) == 1.0
    assert words.found(torch.stack((cat, -six))[None], texts) == 0.5
    # Which token is near which word is the connector's choice.
    assert torch.equal(right, words.loss(torch.stack((six, cat))[None], texts))


def test_a_picture_of_no_known_word_costs_nothing(words: Words) -> None:
    tokens = torch.randn(1, 2, 32, requires_grad=True)
    words.loss(tokens, [ids(words, " a zebra")]).backward()
    assert tokens.grad is not None
    assert not tokens.grad.any()
