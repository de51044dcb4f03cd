"""Embeddings of an evaluation's items, kept on disk by what they show, so that a run goes on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ponder.engine.trace import Trace
from ponder.errors import PonderError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ponder.engine.model import Model
    from ponder.engine.trace import ThinkMode
    from ponder.items import Item
    from ponder.media import Limits
    from ponder.model.thinker import Kind

BLOCK = 256  # items that are kept, and lost by a kill, together


class Content(Protocol):
    """What is embedded, its media not read yet."""

    def digest(self) -> str:
        """Return a hash of all that its vector depends on."""

    def to_item(self, name: str, limits: Limits) -> Item:
        """Read it; errors call it `name`."""


@dataclass(frozen=True)
class Embedded:
    """Items embedded in one mode.

    Attributes:
        vectors: (n, D), unit rows.
        traces: what happened to each.
    """

    vectors: NDArray[np.float32]
    traces: list[Trace]


def embed(
    model: Model,
    contents: Sequence[Content],
    kind: Kind,
    think: ThinkMode,
    name: str,
    cache: Path,
    advance: Callable[[int], None],
) -> Embedded:
    """Embed items, or read what an earlier run of the same model kept of them.

    Args:
        model: what embeds.
        contents: n items.
        kind: whether they are queries or documents.
        think: which of them to think about.
        name: what errors call them, before their number.
        cache: the folder where blocks of them are kept.
        advance: told how many more are done.

    Raises:
        ItemError: one cannot be read.
        PonderError: a vector is not of unit length.
    """
    cache.mkdir(parents=True, exist_ok=True)
    parts = []
    for start in range(0, len(contents), BLOCK):
        block = contents[start : start + BLOCK]
        path = cache / f"{_key(model, block, kind, think)}.parquet"
        if not path.exists():
            named = ((f"{name} {start + i}", content) for i, content in enumerate(block))
            items = ((key, content.to_item(key, model.limits)) for key, content in named)
            _write(path, _checked(model.stream(items, kind=kind, think=think)))
        parts.append(_read(path))
        advance(len(block))
    return Embedded(
        np.concatenate([part.vectors for part in parts]),
        [trace for part in parts for trace in part.traces],
    )


def _checked(
    results: Iterator[tuple[str, NDArray[np.float32], Trace]],
) -> Iterator[tuple[NDArray[np.float32], Trace]]:
    for name, vector, trace in results:
        norm = float(np.linalg.norm(vector))
        if not abs(norm - 1) < 1e-2:  # true of NaN, too
            raise PonderError(f"{name}: the length of its vector is {norm}, not 1")
        yield vector, trace


def _key(model: Model, block: Sequence[Content], kind: Kind, think: ThinkMode) -> str:
    parts = [model.fingerprint, kind, think, *(content.digest() for content in block)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _write(path: Path, results: Iterator[tuple[NDArray[np.float32], Trace]]) -> None:
    vectors, traces = zip(*results, strict=True)
    notes = [json.dumps(asdict(trace)) for trace in traces]
    part = path.with_suffix(".part")
    pq.write_table(pa.table({"vector": list(vectors), "trace": notes}), part)
    part.replace(path)


def _read(path: Path) -> Embedded:
    table = pq.read_table(path)
    vectors = table["vector"].combine_chunks().flatten().to_numpy().reshape(len(table), -1)
    return Embedded(vectors, [_trace(json.loads(note)) for note in table["trace"].to_pylist()])


def _trace(values: dict[str, Any]) -> Trace:
    tuples: dict[str, Any] = {key: tuple(values[key]) for key in ("thought_ids", "cosines")}
    tuples["experts"] = tuple(map(tuple, values["experts"]))
    return Trace(**values | tuples)
