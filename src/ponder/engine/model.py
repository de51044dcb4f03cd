"""`Model`: what a program holds. Items go in, unit vectors come out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
import torch
from torch.nn import functional as F

from ponder.engine.batching import ahead, by_length, windows
from ponder.engine.precision import Precision, dequantize, quantize, truncate
from ponder.items import Item, parse
from ponder.model.saved import Saved, load_saved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from ponder.model.backbone import Prepared

K = TypeVar("K")
ONE_ITEM = (str, bytes, bytearray, Path, Mapping, Item, tuple, np.ndarray)
Kind = Literal["query", "document"]

# One batch's tokens, padding included: enough to fill the machine's matrix units, no more, since a
# CPU slows down once a layer's activations leave its cache.
CPU_BATCH_TOKENS = 2048
GPU_BATCH_TOKENS = 32768
WINDOW_BATCHES = 8  # batches' worth of items among which lengths are matched
WINDOW_ITEMS = 512  # at most; the next window is prepared while one is in the model
LONG_WORK = 256  # items from which a terminal is shown a progress bar


class Model:
    """A backbone and what ponder trained for it, ready to embed.

    Attributes:
        name: what it was loaded from.
        dim: dimensions of a vector.
        fingerprint: hex digest of weights, preprocessing and prompts; vectors of two models with
            different fingerprints do not mix.

    Example:
        >>> model = ponder.load("nano")
        >>> pictures = model.encode_document(["cat.jpg", "car.png"])
        >>> words = model.encode_query(["a cat asleep"])
        >>> model.similarity(words, pictures)
    """

    def __init__(self, saved: Saved, batch_tokens: int | None = None) -> None:
        self._saved = saved
        self._backbone = saved.backbone
        self._readout = saved.readout
        on_gpu = self._backbone.device.type != "cpu"
        self._batch_tokens = batch_tokens or (GPU_BATCH_TOKENS if on_gpu else CPU_BATCH_TOKENS)

    @property
    def name(self) -> str:
        """What the model was loaded from."""
        return self._saved.name

    @property
    def dim(self) -> int:
        """Dimensions of a vector."""
        return self._readout.dim

    @property
    def fingerprint(self) -> str:
        """Hex digest of weights, preprocessing and prompts."""
        return self._saved.fingerprint

    def encode(
        self,
        items: Sequence[Any] | Any,
        *,
        think: Literal["never"] = "never",
        instruction: str | None = None,
        truncate_dim: int | None = None,
        precision: Precision = "float32",
        show_progress: bool | None = None,
    ) -> NDArray[Any]:
        """Embed items.

        Args:
            items: a list of anything `ponder.items.parse` takes: text, a picture (path, PIL image,
                bytes, array), a dict, or a tuple of parts. One item alone, not in a list, gives one
                vector.
            think: whether to think before embedding; without a trained gate only `never`.
            instruction: what the vectors are for, where an item has no instruction of its own.
            truncate_dim: keep the first so many dimensions; the model is trained for that.
            precision: `float32`, `int8` or `binary`.
            show_progress: draw a progress bar; None for one on long work at a terminal.

        Returns:
            (n, D) unit rows in the order given, or (D,) for one item alone.

        Raises:
            ItemError: an item cannot be read; the message names it by its position.
            ValueError: an argument is out of range.
        """
        if think != "never":
            raise ValueError(f"think={think!r}: this model has no gate or reasoning adapter yet")
        is_batch = isinstance(items, Iterable) and not isinstance(items, ONE_ITEM)
        values = list(items) if is_batch else [items]
        rows = np.empty((len(values), self.dim), dtype=np.float32)
        parsed = ((i, parse(value, f"item {i}")) for i, value in enumerate(values))
        with _progress(len(values), show_progress) as advance:
            for i, vector in self._stream(parsed, instruction or ""):
                rows[i] = vector
                advance()
        vectors = quantize(truncate(rows, truncate_dim), precision)
        return vectors if is_batch else vectors[0]

    def encode_query(self, items: Sequence[Any] | Any, **options: Any) -> NDArray[Any]:
        """Embed what is searched for: `encode` with the model's query instruction."""
        options.setdefault("instruction", self._saved.instructions["query"])
        return self.encode(items, **options)

    def encode_document(self, items: Sequence[Any] | Any, **options: Any) -> NDArray[Any]:
        """Embed what is searched: `encode` with the model's document instruction."""
        options.setdefault("instruction", self._saved.instructions["document"])
        return self.encode(items, **options)

    def similarity(self, a: NDArray[np.generic], b: NDArray[np.generic]) -> NDArray[np.float32]:
        """Return the cosines (n, m) of rows (n, D) and (m, D), in any precision, alike in both."""
        left, right = (dequantize(np.atleast_2d(rows), self.dim) for rows in (a, b))
        left = left / np.linalg.norm(left, axis=1, keepdims=True)
        right = right / np.linalg.norm(right, axis=1, keepdims=True)
        cosines: NDArray[np.float32] = left @ right.T
        return cosines

    def stream(
        self, items: Iterable[tuple[K, Item]], *, kind: Kind = "document"
    ) -> Iterator[tuple[K, NDArray[np.float32]]]:
        """Embed an endless stream of keyed items, a bounded window at a time.

        Args:
            items: pairs of a key, handed back as it is, and an item. Another thread pulls the
                iterator, up to two windows ahead of what is yielded.
            kind: whether the items are queries or documents.

        Yields:
            Pairs of the key and a unit vector (D,), in the order of the input.
        """
        yield from self._stream(items, self._saved.instructions[kind])

    def _stream(
        self, items: Iterable[tuple[K, Item]], instruction: str
    ) -> Iterator[tuple[K, NDArray[np.float32]]]:
        def prepare(pair: tuple[K, Item]) -> tuple[K, Prepared]:
            key, item = pair
            return key, self._backbone.prepare(item, str(key), instruction)

        prepared = ahead(prepare, items, depth=WINDOW_ITEMS)
        limit = WINDOW_BATCHES * self._batch_tokens
        least = limit // WINDOW_ITEMS
        for window in windows(prepared, lambda pair: max(least, len(pair[1])), limit):
            vectors = np.empty((len(window), self.dim), dtype=np.float32)
            for batch in by_length([len(row) for _, row in window], self._batch_tokens):
                vectors[batch] = self._embed([window[i][1] for i in batch])
            for (key, _), vector in zip(window, vectors, strict=True):
                yield key, vector

    @torch.inference_mode()
    def _embed(self, batch: Sequence[Prepared]) -> NDArray[np.float32]:
        pooled = self._backbone.pool(batch, self._readout.config.layers)
        vectors = F.normalize(self._readout(pooled), dim=-1)
        rows: NDArray[np.float32] = vectors.cpu().numpy()
        return rows


@contextmanager
def _progress(total: int, show: bool | None) -> Iterator[Callable[[], None]]:
    """Show a bar where asked to, or on long work at a terminal; yield what moves it on."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    shown = show if show is not None else console.is_terminal and total >= LONG_WORK
    with Progress(console=console, disable=not shown, transient=True) as display:
        bar = display.add_task("Embedding", total=total)
        yield lambda: display.advance(bar)


def load(
    name_or_folder: str | Path = "nano",
    *,
    dtype: torch.dtype | None = None,
    device: str | torch.device | None = None,
) -> Model:
    """Load a model.

    Args:
        name_or_folder: `nano`, or a folder that ponder saved.
        dtype: of the backbone; None for bfloat16 where the machine multiplies it in hardware, else
            float32.
        device: where to; None for the first GPU, else the CPU.

    Raises:
        WeightsError: the folder is missing or incomplete, or `nano` has not been pulled.
    """
    return Model(load_saved(name_or_folder, dtype=dtype, device=device))
