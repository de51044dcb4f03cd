"""A task's items embedded in every think mode, kept on disk so that a stopped run goes on."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ponder.engine.trace import THINK_MODES, ThinkMode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ponder.engine.model import Model
    from ponder.engine.trace import Trace
    from ponder.eval.gallery import Task


@dataclass(frozen=True)
class Side:
    """n queries, or n candidates, of one task.

    Attributes:
        vectors: for each mode (n, D).
        tokens: for each mode (n,), of the thoughts.
        seconds: what each mode took for all of them.
        gate: (n,), the probability that a thought pays.
        thoughts: what `always` wrote.
    """

    vectors: dict[ThinkMode, NDArray[np.float32]]
    tokens: dict[ThinkMode, NDArray[np.int64]]
    seconds: dict[ThinkMode, float]
    gate: NDArray[np.float64]
    thoughts: list[str]

    def __len__(self) -> int:
        return len(self.thoughts)


@dataclass(frozen=True)
class BothWays:
    """One task in every mode.

    Attributes:
        task: its name.
        queries: one side.
        candidates: the other.
        right: (Q,) the candidate that answers each query.
    """

    task: str
    queries: Side
    candidates: Side
    right: NDArray[np.int64]


def embed_both_ways(model: Model, task: Task, folder: Path) -> BothWays:
    """Embed a task in every mode, or read what an earlier run of the same model kept of it.

    Args:
        model: what embeds; it has a gate.
        task: what is embedded.
        folder: where it is kept.
    """
    sides: dict[str, tuple[Callable[..., Any], list[Any]]] = {
        "queries": (model.encode_query, task.queries),
        "candidates": (model.encode_document, task.candidates),
    }
    found = {}
    for name, (encode, items) in sides.items():
        path = folder / f"{task.name}.{name}.parquet"
        if not path.exists() or _key(path) != _key_of(model, items):
            _write(path, _embed(encode, items), _key_of(model, items))
        found[name] = _read(path)
    return BothWays(task.name, found["queries"], found["candidates"], task.right)


def _embed(encode: Callable[..., Any], items: Sequence[Any]) -> Side:
    vectors: dict[ThinkMode, NDArray[np.float32]] = {}
    traces: dict[ThinkMode, list[Trace]] = {}
    seconds: dict[ThinkMode, float] = {}
    for mode in THINK_MODES:
        start = time.perf_counter()
        vectors[mode], traces[mode] = encode(items, think=mode, return_trace=True)
        seconds[mode] = time.perf_counter() - start
    return Side(
        vectors,
        {mode: np.array([trace.thought_tokens for trace in traces[mode]]) for mode in THINK_MODES},
        seconds,
        np.array([trace.gate for trace in traces["auto"]], dtype=np.float64),
        [trace.thought or "" for trace in traces["always"]],
    )


def _key_of(model: Model, items: Sequence[Any]) -> dict[str, Any]:
    digest = hashlib.sha256()
    for item in items:
        for name, value in (item if isinstance(item, dict) else {"": item}).items():
            digest.update(name.encode() + b"\0")
            digest.update(value if isinstance(value, bytes) else value.encode())
    return {"model": model.fingerprint, "items": digest.hexdigest()}


def _key(path: Path) -> Any:
    return json.loads(pq.read_schema(path).metadata[b"ponder"])["key"]


def _write(path: Path, side: Side, key: dict[str, Any]) -> None:
    columns: dict[str, Any] = {"gate": side.gate, "thought": side.thoughts}
    for mode in THINK_MODES:
        columns[f"vector_{mode}"] = list(side.vectors[mode])
        columns[f"tokens_{mode}"] = side.tokens[mode]
    note = json.dumps({"key": key, "seconds": side.seconds})
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    pq.write_table(pa.table(columns).replace_schema_metadata({"ponder": note}), part)
    part.replace(path)


def _read(path: Path) -> Side:
    table = pq.read_table(path)

    def vectors(mode: ThinkMode) -> NDArray[np.float32]:
        column = table[f"vector_{mode}"].combine_chunks()
        rows: NDArray[np.float32] = column.flatten().to_numpy().reshape(len(table), -1)
        return rows

    return Side(
        {mode: vectors(mode) for mode in THINK_MODES},
        {mode: table[f"tokens_{mode}"].to_numpy() for mode in THINK_MODES},
        json.loads(table.schema.metadata[b"ponder"])["seconds"],
        table["gate"].to_numpy(),
        table["thought"].to_pylist(),
    )
