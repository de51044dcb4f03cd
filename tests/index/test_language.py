from __future__ import annotations

import base64
import textwrap

import numpy as np
import pytest

from ponder.index.language import is_language, without_data

RAW = np.random.default_rng(0).bytes(3000)
ENGLISH = "The owl hunts at night. " * 40
CHINESE = "貓頭鷹在夜裡捕獵。它們的眼睛很大、飛行時沒有聲音。" * 100
THAI = "นกฮูกล่าเหยื่อในเวลากลางคืนและบินโดยไม่มีเสียง" * 60


@pytest.mark.parametrize(
    "data",
    [
        base64.b64encode(RAW).decode(),
        RAW.hex(),
        "a" * 2_000_000,
        "function(a,b){return(a.b||c).d(e[f])};" * 100,
        "é" * 1000,
    ],
)
def test_an_enormous_word_is_left_out_and_what_is_around_it_stays(data: str) -> None:
    assert without_data(f"before {data} after\nnext") == ("before   after\nnext", len(data))


@pytest.mark.parametrize("text", [ENGLISH, CHINESE, THAI, CHINESE + "OpenAI" + THAI, "w" * 999])
def test_scripts_without_spaces_and_long_words_stay(text: str) -> None:
    assert without_data(text) == (text, 0)


@pytest.mark.parametrize(
    "data",
    [
        textwrap.fill(base64.b64encode(RAW[:600]).decode(), 76),
        textwrap.fill(RAW[:400].hex(), 64),
        "0 1 1 0 " * 60,
        "acgt" * 60,
        "字" * 300,
        "=" * 80 + "\n" + "-" * 200,
    ],
)
def test_data_in_short_lines_is_no_language(data: str) -> None:
    assert not is_language(data)


@pytest.mark.parametrize(
    "text",
    [
        ENGLISH,
        CHINESE[:300],
        THAI[:300],
        "ha ha ha",
        "https://example.org/recipes/bread/the-best-sourdough-of-the-year?from=home&x=1\n" * 8,
        "2024-01-03,ACME,1234.50,Paris,invoice,paid\n" * 12,
        "Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichen und so weiter. " * 4,
        "for (int i = 0; i < n; ++i) { total += values[i] * weights[i]; }\n" * 5,
    ],
)
def test_language_and_code_stay(text: str) -> None:
    assert is_language(text)
