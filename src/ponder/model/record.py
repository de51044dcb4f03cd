"""Reading a model's JSON files, which may be damaged or made to do harm.

Every value is checked before anything is made of it, so that whoever uses a record can rely on
types, ranges and keys. What a size may be at most is decided by the tensor files' own shapes
(`ponder.model.tensors`); the bounds here keep counts of modules and numbers within reason.
"""

from __future__ import annotations

import json
import reprlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from ponder.errors import WeightsError
from ponder.model.vision import STAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

MAX_BYTES = 4 * 2**20
MAX_DEPTH = 32


@dataclass(frozen=True)
class Rule:
    """What a value must be.

    Attributes:
        expected: that in words, for errors.
        holds: whether it is so of a value.
    """

    expected: str
    holds: Callable[[Any], bool]


def whole(low: int, high: int) -> Rule:
    """Return the rule of a whole number from `low` to `high`."""
    return Rule(
        f"a whole number from {low} to {high}",
        lambda value: type(value) is int and low <= value <= high,
    )


def real(low: float, high: float) -> Rule:
    """Return the rule of a number from `low` to `high`."""
    return Rule(
        f"a number from {low:g} to {high:g}",
        lambda value: type(value) in (int, float) and low <= value <= high,
    )


def one_of(*choices: Any) -> Rule:
    """Return the rule of a value that is one of these, and of the same type."""
    return Rule(
        "one of " + ", ".join(map(repr, choices)),
        lambda value: any(value == one and type(value) is type(one) for one in choices),
    )


def several(rule: Rule) -> Rule:
    """Return the rule of a list of up to 64 different values that keep a rule."""
    return Rule(
        f"1 to 64 different values, each {rule.expected}",
        lambda value: (
            isinstance(value, list)
            and 1 <= len(value) <= 64
            and all(map(rule.holds, value))
            and len(set(value)) == len(value)
        ),
    )


def or_null(rule: Rule) -> Rule:
    """Return the rule of null or a value that keeps a rule."""
    return Rule(f"null or {rule.expected}", lambda value: value is None or rule.holds(value))


def each(keys: Collection[str], rule: Rule, *, is_whole: bool = False) -> Rule:
    """Return the rule of an object with some of these keys, or all if `is_whole`."""
    return Rule(
        f"an object with {', '.join(keys)}, each {rule.expected}",
        lambda value: (
            isinstance(value, dict)
            and value.keys() <= set(keys)
            and (not is_whole or len(value) == len(keys))
            and all(map(rule.holds, value.values()))
        ),
    )


def _is_text(value: Any) -> bool:
    # No path holds a NUL, and half a surrogate pair cannot be encoded.
    return isinstance(value, str) and not any(c == "\0" or "\ud800" <= c <= "\udfff" for c in value)


SIZE = whole(1, 2**20)
RANK = whole(1, 2**14)
FLAG = one_of(True, False)
TEXT = Rule("a text", _is_text)
NAME = Rule("a name", lambda value: _is_text(value) and 0 < len(value) <= 4096)

FILES = (
    "connector.safetensors",
    "readout.safetensors",
    "reasoning/adapter_model.safetensors",
    "embedding/adapter_model.safetensors",
    "queries.safetensors",
    "gate.safetensors",
    "latent.safetensors",
)
NANO = {
    "image_size": whole(32, 1024),
    "regions_side": whole(1, 16),
    "stage_channels": several(one_of(*(stage.channels for stage in STAGES))),
    "together": whole(0, 2**16),
    "loudness": real(0, 1e6),
}
READOUT = {
    "hidden_size": SIZE,
    "layers": several(whole(-1, 1024)),
    "width": SIZE,
    "dim": SIZE,
    "matryoshka": several(SIZE),
}
THINKER = {
    "ranks": each(("reasoning", "embedding"), RANK, is_whole=True),
    "queries": whole(1, 2**14),
    "interface": one_of("kv", "reencode"),
    "detach": FLAG,
    "shares_adapter": FLAG,
    "max_thought_tokens": whole(1, 2**20),
    "thresholds": each(("query", "document"), real(-1e6, 1e6), is_whole=True),
}
LATENT = {
    "steps": whole(1, 1024),
    "experts": whole(0, 1024),
    "chosen": whole(0, 1024),
    "width": or_null(SIZE),
    "is_anchored": FLAG,
    "input_scale": or_null(real(1e-6, 1e6)),
}
SECTIONS = {"nano": NANO, "readout": READOUT, "thinker": THINKER, "latent": LATENT}
# Records written before a key was known leave it out; these have always been there.
REQUIRED = {"readout": ("hidden_size", "layers", "matryoshka"), "thinker": ("ranks",)}


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        WeightsError: it is missing, too large or nested too deep, is no JSON, or holds another
            thing than an object.
    """
    try:
        if not path.is_file():
            raise WeightsError(f"{path} is missing")
        if (size := path.stat().st_size) > MAX_BYTES:
            raise WeightsError(f"{path} is damaged: {size:,} bytes, over {MAX_BYTES:,}")
        values = json.loads(path.read_bytes(), parse_constant=_refuse)
    except (ValueError, OSError) as error:
        raise WeightsError(f"{path} is damaged: {error}") from error
    except RecursionError:
        values = None
    if values is None or _depth(values) > MAX_DEPTH:
        raise WeightsError(f"{path} is damaged: expected an object at most {MAX_DEPTH} deep")
    if not isinstance(values, dict):
        raise WeightsError(f"{path} is damaged: expected an object, got {reprlib.repr(values)}")
    return values


def read_record(path: Path) -> dict[str, Any]:
    """Read a `ponder.json`.

    Raises:
        WeightsError: it is damaged, or a value is none that ponder writes; the message names the
            key.
    """
    record = read_json(path)
    check(path, "", record, {"backbone": Rule("an object", lambda value: isinstance(value, dict))})
    rules = {"name": NAME, "revision": or_null(NAME)}
    check(path, "backbone.", record["backbone"], rules, required=("name",))
    is_nano = record["backbone"]["name"] == "nano"
    for section, known in SECTIONS.items():
        if section in record:
            values = record[section]
            check_all(path, section, values, known, required=REQUIRED.get(section, ()))
        elif is_nano and section in ("nano", "readout"):
            fail(path, section, Rule("an object", bool), None)
    kinds = ("query", "document")
    rules = {
        "fingerprint": whole(1, 1024),
        "instructions": each(kinds, TEXT),
        "weights": each(FILES, TEXT),
    }
    check(path, "", record, rules, required=())
    return record


def check_all(
    path: Path, section: str, values: Any, rules: Mapping[str, Rule], required: Collection[str] = ()
) -> None:
    """Check an object that may have no other keys than those with a rule; errors as `check`."""
    if not isinstance(values, dict):
        fail(path, section, Rule("an object", bool), values)
    for key in values:
        if key not in rules:
            known = ", ".join(rules)
            raise WeightsError(f"{path}: {section}: unknown key {reprlib.repr(key)}; has {known}")
    check(path, f"{section}.", values, rules, required)


def check(
    path: Path,
    prefix: str,
    values: Mapping[str, Any],
    rules: Mapping[str, Rule],
    required: Collection[str] | None = None,
) -> None:
    """Check those values of an object that have a rule.

    Args:
        path: the file, for errors.
        prefix: what errors put before the keys.
        values: the object.
        rules: by key.
        required: keys that must be there; None for all that have a rule.

    Raises:
        WeightsError: a value breaks its rule; the message names the file and the key.
    """
    needed = rules.keys() if required is None else required
    for key, rule in rules.items():
        if key in values and not rule.holds(values[key]):
            fail(path, f"{prefix}{key}", rule, values[key])
        if key not in values and key in needed:
            raise WeightsError(
                f"{path}: {prefix}{key}: expected {rule.expected}, but it is missing"
            )


def fail(path: Path, key: str, rule: Rule, value: Any) -> NoReturn:
    """Raise the `WeightsError` of a value that breaks a rule."""
    raise WeightsError(f"{path}: {key}: expected {rule.expected}, got {reprlib.repr(value)}")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")


def _depth(value: Any) -> int:
    """Return how many objects and lists are in one another."""
    depth, level = 0, [value]
    while level := [one for one in level if isinstance(one, dict | list)]:
        depth += 1
        level = [
            inner for one in level for inner in (one.values() if isinstance(one, dict) else one)
        ]
    return depth
