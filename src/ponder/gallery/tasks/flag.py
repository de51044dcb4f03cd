"""Flag + question -> country, or what it is called elsewhere."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ponder.gallery.tasks.foreign import LANGUAGES
from ponder.gallery.tasks.schema import Query, Task, label
from ponder.gallery.tasks.wording import draw, sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ponder.gallery.shards import Row
    from ponder.gallery.tasks.schema import Candidate

ABROAD = ("de", "es", "fr", "it", "nl", "pl", "pt", "sv")
"""Languages asked for; their words for "flag" are known to be cut from the name."""

_INSTRUCTION = "Find the answer to the question about the flag."
_WHICH = ("Whose flag is this?", "Which country or territory has this flag?", "Name the flag.")
_CODE = ("What is the two-letter code of this flag's country?", "Which ISO code goes with it?")
_CALLED = ("What is it called in {}?", "How does one say this country's name in {}?")


def flag(rows: Sequence[Row], limit: int) -> Task:
    """Ask which country has a flag (easy), for its code, or for its name abroad (both hard).

    Flags that two countries share to the pixel are left out.
    """
    flags = [row for row in rows if row["caption"].startswith("flag: ") and code(row)]
    often = Counter(row["picture"] for row in flags)
    shared = {row["caption"] for row in flags if often[row["picture"]] > 1}
    flags = [row for row in flags if row["caption"] not in shared]
    queries = []
    for row in flags:
        chosen = draw("flag", row["id"])
        queries.append(_query(row, "which", chosen.choice(_WHICH), "en"))
        queries.append(_query(row, "code", chosen.choice(_CODE), "code"))
        if abroad := [one for one in ABROAD if name(row, one) not in ("", name(row, "en"))]:
            language = chosen.choice(abroad)
            question = chosen.choice(_CALLED).format(LANGUAGES[language])
            queries.append(_query(row, language, question, language))
    queries = sample(queries, limit, "flag")
    answers: dict[str, Candidate] = {}
    for row in flags:
        for answer in [name(row, "en"), code(row), *(name(row, one) for one in ABROAD)]:
            if answer:
                answers.setdefault(answer, label(answer, row["concept"]))
    return Task(queries, list(answers.values()))


def name(row: Row, language: str) -> str:
    """Return a flag's country in a language: its flag's name less the word for "flag"."""
    captions = (
        caption["text"]
        for caption in row["captions"]
        if caption["language"] == language and caption["kind"] == "name"
    )
    text = next(captions, "")
    return text.partition(":")[2].strip() if ":" in text else text


def code(row: Row) -> str:
    """Return a flag's two letters, as its codepoints spell them; "" for a flag without."""
    points = [int(point, 16) for point in row["id"].partition("/")[2].split("-")]
    letters = [chr(point - 0x1F1E6 + ord("A")) for point in points if 0x1F1E6 <= point <= 0x1F1FF]
    return "".join(letters)


def _query(row: Row, kind: str, question: str, asked: str) -> Query:
    country, letters = name(row, "en"), code(row)
    right = letters if asked == "code" else name(row, asked)
    chosen = draw("flag", row["id"], kind)
    reasoning = ""
    if asked != "en":
        seen = chosen.choice(
            ["This is the flag of {}.", "The flag is that of {}.", "I see the flag of {}."]
        )
        told = f"Its code is {letters}." if asked == "code" else f"In {LANGUAGES[asked]}: {right}."
        reasoning = f"{seen.format(country)} {told}"
    return Query(
        id=f"{row['id']}@{kind}",
        concept=row["concept"],
        part="easy" if asked == "en" else "hard",
        right=label(right).id,
        instruction=_INSTRUCTION,
        text=question,
        picture=row["picture"],
        reasoning=reasoning,
        answer=right,
    )
