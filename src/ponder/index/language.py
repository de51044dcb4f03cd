"""Telling language and program code from data that is written in letters.

Encoded pictures, minified programs, dumps and fillers would become thousands of passages that
nobody can look for.
"""

from __future__ import annotations

import re

_ENORMOUS = re.compile(r"\S{1000,}")  # addresses and rows of a table are shorter
# Thai, Lao, Tibetan, Burmese; Khmer; Tai scripts; Chinese, Japanese, Yi; Javanese; compatibility,
# full-width and rare Chinese signs.
_NO_SPACES = re.compile(
    "[\u0e00-\u109f\u1780-\u17ff\u1950-\u1aaf\u2e80-\ua4cf\ua980-\ua9df\uf900-\ufaff\uff00-\uffef"
    "\U00020000-\U0003ffff]"
)
_ENCODED = re.compile(r"[A-Za-z0-9+/]{60,}={0,2}")  # base64 and hex, in lines of 64 or 76
_MOSTLY = 0.8
_ENOUGH_CHARS = 100  # in less there is too little to judge by, and it costs little
_FEW_SIGNS = 8


def without_data(text: str) -> tuple[str, int]:
    """Put a space in the place of words over 1,000 characters, but in scripts without spaces.

    Returns:
        What is left, its lines as they were; and how many characters were left out.
    """
    left_out = 0

    def replaced(match: re.Match[str]) -> str:
        nonlocal left_out
        word = match[0]
        if 2 * len(_NO_SPACES.findall(word)) >= len(word):
            return word
        left_out += len(word)
        return " "

    return _ENORMOUS.sub(replaced, text), left_out


def is_language(passage: str) -> bool:
    """Whether a passage says anything: not if it is encoded, or long and of very few signs."""
    signs = "".join(passage.split())
    if len(signs) < _ENOUGH_CHARS:
        return True
    encoded = sum(map(len, _ENCODED.findall(passage)))
    return len(set(signs)) >= _FEW_SIGNS and encoded < _MOSTLY * len(signs)
