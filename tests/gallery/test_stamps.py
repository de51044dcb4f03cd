"""Reading stamps' descriptions in many languages."""

import pytest

from ponder.gallery.stamps import read_captions, short_name


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("A banana.", "banana"),
        ("An old Chinese sailing ship.", "old Chinese sailing ship"),
        ("The sign for the letter J in ASL.", "sign for the letter J in ASL"),
        ("Hard candy—yum!", "Hard candy"),
        ("A US “Sacagawea” dollar ($1.00).", "US “Sacagawea” dollar ($1.00)"),
        ("Euro cent sign. 100 Euro cents make 1 Euro.", "Euro cent sign"),
        ("“Toilets”.", "Toilets"),
        ("Pound sign.", "Pound sign"),
        ("A happy lion!", "happy lion"),
    ],
)
def test_a_sentence_becomes_a_name(sentence: str, expected: str) -> None:
    assert short_name(sentence) == expected


def test_reads_every_language_once() -> None:
    text = (
        "A rabbit.\nde.utf8=Ein Kaninchen.\nen_GB.utf8=A rabbit.\npt_BR.utf8=Um coelho.\n"
        "ca@valencia.utf8=Un conill.\nsr@latin.utf8=Zec.\nzh_TW.utf8=兔子\nfr.utf8=\n\nnonsense\n"
    )
    assert [(c.language, c.text, c.kind) for c in read_captions(text)] == [
        ("en", "rabbit", "name"),
        ("en", "A rabbit.", "sentence"),
        ("de", "Ein Kaninchen.", "sentence"),
        ("pt-BR", "Um coelho.", "sentence"),
        ("ca-valencia", "Un conill.", "sentence"),
        ("sr-Latn", "Zec.", "sentence"),
        ("zh-Hant", "兔子", "sentence"),
    ]


@pytest.mark.parametrize("text", ["", "\nde.utf8=Ein Kaninchen.\n"])
def test_without_english_there_is_no_caption(text: str) -> None:
    assert read_captions(text) == ()
