"""Training configurations: YAML files read into frozen dataclasses, every key checked."""

from __future__ import annotations

import dataclasses
import difflib
import typing
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from ponder.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

C = TypeVar("C")


def read_config(path: Path, kind: type[C]) -> C:
    """Read a YAML file into the dataclass `kind`; keys left out keep their defaults.

    Raises:
        ConfigError: the file is missing or no mapping, a key is unknown (the nearest one is named),
            or a value has the wrong type.
    """
    if not path.exists():
        raise ConfigError(f"{path}: no such file")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected keys and values, got {values!r}")
    types = typing.get_type_hints(kind)
    known = [field.name for field in dataclasses.fields(typing.cast("Any", kind))]
    made: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; the keys are {', '.join(known)}"
            raise ConfigError(f"{path}: unknown key {key!r}{hint}")
        made[key] = _value(types[key], value, f"{path}: {key}")
    return kind(**made)


def _value(expected: Any, value: Any, where: str) -> Any:
    if typing.get_origin(expected) is tuple:
        if not isinstance(value, list):
            raise ConfigError(f"{where}: expected a list, got {value!r}")
        element = typing.get_args(expected)[0]
        return tuple(_value(element, part, where) for part in value)
    if typing.get_origin(expected) is typing.Literal:
        if value not in typing.get_args(expected):
            raise ConfigError(
                f"{where}: expected one of {typing.get_args(expected)}, got {value!r}"
            )
        return value
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not expected:
        raise ConfigError(f"{where}: expected {expected.__name__}, got {value!r}")
    return value
