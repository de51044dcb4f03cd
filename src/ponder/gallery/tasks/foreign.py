"""Words of another language -> picture."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ponder.gallery.tasks.pictures import picture
from ponder.gallery.tasks.schema import Query, Task
from ponder.gallery.tasks.wording import draw, group_words, shorten, tag_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ponder.gallery.shards import Row
    from ponder.gallery.tasks.schema import Part

LANGUAGES = {
    "af": "Afrikaans",
    "ar": "Arabic",
    "bg": "Bulgarian",
    "bn": "Bengali",
    "ca": "Catalan",
    "cs": "Czech",
    "da": "Danish",
    "de": "German",
    "el": "Greek",
    "es": "Spanish",
    "et": "Estonian",
    "eu": "Basque",
    "fi": "Finnish",
    "fr": "French",
    "ga": "Irish",
    "gl": "Galician",
    "he": "Hebrew",
    "hi": "Hindi",
    "hu": "Hungarian",
    "id": "Indonesian",
    "is": "Icelandic",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "lt": "Lithuanian",
    "lv": "Latvian",
    "ms": "Malay",
    "nb": "Norwegian",
    "nl": "Dutch",
    "pl": "Polish",
    "pt": "Portuguese",
    "ro": "Romanian",
    "ru": "Russian",
    "sk": "Slovak",
    "sl": "Slovenian",
    "sr": "Serbian",
    "sv": "Swedish",
    "th": "Thai",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "vi": "Vietnamese",
    "zh": "Chinese",
    "zh-Hant": "traditional Chinese",
}
"""Languages a query may be in, and their English names."""

_ROOT = 4  # letters two words must share to be taken for one word in two languages


def foreign_caption(pairs: Sequence[Row], limit: int) -> Task:
    """Look for rows' pictures with their names in other languages.

    Easy: a word of the query begins with the same four letters as a word of the English name.
    """
    named = [(row, words) for row in pairs if (words := _abroad(row))][:limit]
    asked = [draw("foreign", row["id"]).sample(words, min(2, len(words))) for row, words in named]
    queries = [
        _query(row, *words[turn])
        for turn in range(2)  # a second language for as many as there is room for
        for (row, _), words in zip(named, asked, strict=True)
        if turn < len(words)
    ]
    return Task(queries[:limit], [picture(row) for row, _ in named])


def root_is_shared(text: str, english: str) -> bool:
    """Tell whether a word of each begins with the same four letters."""
    return bool(_roots(text) & _roots(english))


def _query(row: Row, language: str, text: str) -> Query:
    which: Part = "easy" if root_is_shared(text, row["caption"]) else "hard"
    chosen = draw("foreign", row["id"], language)
    english, name = shorten(row["caption"]), LANGUAGES[language]
    reasoning = ""
    if which == "hard":
        means = chosen.choice(
            [
                "These words are {language}; in English they say: {english}.",
                "In {language} this means {english}.",
                "Translated from {language}: {english}.",
            ]
        )
        reasoning = means.format(language=name, english=english)
        if tags := tag_words(row):
            also = chosen.choice(["It has to do with {}.", "Related words: {}.", "Think of {}."])
            reasoning += " " + also.format(", ".join(tags))
        else:
            reasoning += f" Its subject is {group_words(row['group'])}."
    return Query(
        id=f"{row['id']}@{language}",
        concept=row["concept"],
        part=which,
        right=row["id"],
        instruction="Find the picture that these words of another language describe.",
        text=text,
        reasoning=reasoning,
        answer=chosen.choice(["{}", "a picture of {}"]).format(english),
    )


def _abroad(row: Row) -> list[tuple[str, str]]:
    """Return a name, or else a sentence, in each language, if it differs from the English."""
    found: dict[str, str] = {}
    for kind in ("name", "sentence"):
        for caption in row["captions"] or ():
            if caption["kind"] == kind and caption["language"] in LANGUAGES:
                found.setdefault(caption["language"], caption["text"])
    english = row["caption"].casefold()
    return sorted((code, text) for code, text in found.items() if text.casefold() != english)


def _roots(text: str) -> set[str]:
    words = re.findall(r"[^\W\d_]+", text.casefold())
    return {word[:_ROOT] for word in words if len(word) >= _ROOT}
