"""Mutates a saved folder and loads it: `python -m tests.model.hostile FOLDER SEED COUNT`.

A process of its own, since its memory is limited and its network is watched. It prints what went
wrong, as JSON: anything raised but one line of a `PonderError`, and any connection asked for.
"""

from __future__ import annotations

import copy
import json
import random
import resource
import shutil
import socket
import struct
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ponder.engine.model import load
from ponder.errors import PonderError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOM = 3 * 2**30  # bytes that loading may take beside what this process has mapped
VALUES: list[Any] = [
    *(None, True, False, -1, 0, 1, 3, 2**24, 2**31, 2**63, 10**30, 10**400, -(2**40)),
    *(0.5, -0.5, 1e308, float("nan"), float("inf"), "", "nano", "x" * 5000, "\ud800", "a\0b"),
    *("../../etc/passwd", "https://example.org", "org/a-remote-model", "(a+)+$", "LORA", "ADALORA"),
    *([], {}, [[]], [-1], [2**40], [1, "a"], {"a": {"b": []}}, {"reasoning": 2**31}, "line\nline"),
]


def deep(opening: str) -> bytes:
    return opening.encode() * 100_000


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path to everything in a JSON value, but for how the model was trained."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, one in inner:
        if key == "training":
            continue
        yield (*path, key)
        if isinstance(one, dict | list):
            yield from places(one, (*path, key))


def mutate_value(value: Any, draw: random.Random) -> Any:
    """Return a JSON value with one thing in it changed, added or gone."""
    value = copy.deepcopy(value)
    *parents, key = draw.choice(list(places(value)))
    holder = value
    for parent in parents:
        holder = holder[parent]
    how = draw.random()
    if how < 0.15:
        del holder[key]
    elif how < 0.25 and isinstance(holder, dict):
        holder[draw.choice(["unknown", "use_dora", "layer_replication", "line\nline"])] = [[0, 2]]
    elif how < 0.4 and type(holder[key]) in (int, float):
        holder[key] = draw.choice([-holder[key], holder[key] * 2**24, holder[key] + 1])
    else:
        holder[key] = draw.choice(VALUES)
    return value


def mutate_bytes(raw: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(raw)) if raw else 0
    return draw.choice(
        [
            raw[:at],
            raw[:at] + bytes([draw.randrange(256)]) + raw[at + 1 :],
            b"",
            b"\xff\xfe" + raw,
            deep("["),
            deep('{"a":'),
            b"[" * 20 + b"]" * 20,
            b'"text"',
        ]
    )


def mutate_json(path: Path, draw: random.Random) -> None:
    if draw.random() < 0.2:
        path.write_bytes(mutate_bytes(path.read_bytes(), draw))
    else:
        path.write_text(json.dumps(mutate_value(json.loads(path.read_text()), draw)))


def mutate_tensors(path: Path, draw: random.Random) -> None:
    """Change a safetensors file's header, its length, or what follows it."""
    raw = path.read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    header, rest = raw[8 : 8 + size], raw[8 + size :]
    how = draw.random()
    if how < 0.6:
        header = json.dumps(mutate_value(json.loads(header), draw)).encode()
    elif how < 0.7:
        header = mutate_bytes(header, draw)
    elif how < 0.8:
        rest = rest[: draw.randrange(len(rest))]
    elif how < 0.9:
        rest = b"\xff" * len(rest)  # not a number, in every format
    length = draw.choice([0, 2**40, 2**63, size - 1]) if how >= 0.9 else len(header)
    path.write_bytes(struct.pack("<Q", length) + header + rest)


def watch(asked: list[str]) -> None:
    """Note every address that anything wants to reach, and let it reach none."""

    def refuse(*args: Any, **_: Any) -> Any:
        asked.append(str(args))
        raise OSError("no network here")

    socket.socket.connect = refuse  # type: ignore[method-assign]
    socket.socket.connect_ex = refuse  # type: ignore[method-assign]
    socket.getaddrinfo = refuse


def limit_memory() -> None:
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + ROOM, mapped + ROOM))


def use(folder: Path) -> None:
    model = load(folder, dtype=torch.float32, device="cpu")
    for think in {"never", "latent"}.intersection(model.think_modes):
        model.encode(["yes", np.zeros((40, 30, 3), dtype=np.uint8)], think=think)
    if not model.fingerprint:
        raise AssertionError("no fingerprint")


def wrong(work: Callable[[], None], asked: list[str]) -> str | None:
    """Return what is wrong with how work ended; None if it worked or was refused in one line."""
    try:
        work()
    except PonderError as error:
        said = str(error)
        if "\n" in said or len(said) > 1500:
            return f"not one line: {said[:3000]!r}"
    except BaseException as error:
        return f"{type(error).__name__}: {str(error)[:500]}"
    if asked:
        return f"asked for {asked.pop()}"
    return None


def main(folder: Path, seed: int, count: int) -> None:
    asked: list[str] = []
    watch(asked)
    use(folder)  # unspoilt; and whatever is loaded once is
    limit_memory()
    files = [*sorted(folder.rglob("*.safetensors"))]
    jsons = [folder / "ponder.json", *sorted(folder.rglob("adapter_config.json"))]
    found = []
    for number in range(count):
        draw = random.Random(f"{seed} {number}")
        with tempfile.TemporaryDirectory() as scratch:
            copied = Path(scratch, "model")
            shutil.copytree(folder, copied)
            spoil = mutate_json if draw.random() < 0.6 else mutate_tensors
            path = draw.choice(jsons if spoil is mutate_json else files)
            spoil(copied / path.relative_to(folder), draw)
            if said := wrong(lambda: use(copied), asked):  # noqa: B023 (called at once)
                found.append(f"{number}, {path.name}: {said}")
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
