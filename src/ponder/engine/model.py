"""`Model`: what a program holds. Items go in, unit vectors come out."""

from __future__ import annotations

import time
import warnings
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch.nn import functional as F

from ponder.engine.batching import ahead
from ponder.engine.budget import WINDOW_ITEMS, Budget
from ponder.engine.precision import Precision, check_smaller, dequantize, quantize, truncate
from ponder.engine.scheduler import Scheduler
from ponder.engine.trace import GATED, LATENT, THINK_MODES, WRITTEN, ThinkMode, Trace
from ponder.engine.writing import GREEDY, Sampling, Writer
from ponder.errors import FingerprintError, PonderError, ThinkModeError
from ponder.forks import check_fork
from ponder.items import Item, check_text, parse
from ponder.media import DEFAULT_LIMITS
from ponder.model.saved import SHIPPED, Saved, load_saved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from ponder.engine.scheduler import Result
    from ponder.media import Limits
    from ponder.model.backbone import Prepared
    from ponder.model.readout import ReadOut
    from ponder.model.thinker import Kind

K = TypeVar("K")
ONE_ITEM = (str, bytes, bytearray, Path, Mapping, Item, tuple, np.ndarray)

LONG_WORK = 256  # items from which a terminal is shown a progress bar


@dataclass(frozen=True)
class _Source:
    """The arguments of `load` that gave a model, folders by their full paths."""

    name_or_folder: str | Path
    adapters: Path | None
    dtype: torch.dtype | None
    device: str | torch.device | None
    allow_download: bool


class Model:
    """A backbone and what ponder trained for it, ready to embed.

    What `ponder.load` returned can be pickled: the pickle holds names and the fingerprint, and
    whoever opens it loads the model from disk. A forked process cannot use a model of its parent.

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

    def __init__(
        self, saved: Saved, budget: Budget | None = None, source: _Source | None = None
    ) -> None:
        self._saved = saved
        self._backbone = saved.backbone
        self._given_budget = budget
        self._source = source

    def __reduce__(self) -> tuple[Callable[[_Source, str], Model], tuple[_Source, str]]:
        if self._source is None:
            raise PonderError(
                f"{self.name} cannot be pickled, since nothing says where to load it from; save it "
                "and use what ponder.load returns"
            )
        return _load_again, (self._source, self.fingerprint)

    @property
    def saved(self) -> Saved:
        """Its parts and its record."""
        return self._saved

    @property
    def name(self) -> str:
        """What the model was loaded from."""
        return self._saved.name

    @property
    def dim(self) -> int:
        """Dimensions of a vector."""
        reader = self._saved.thinker or self._saved.readout
        return reader.dim if reader else 0

    @property
    def thinks(self) -> bool:
        """Whether it can think before it embeds."""
        return self._saved.thinker is not None

    @property
    def has_gate(self) -> bool:
        """Whether it can decide itself when to think."""
        return self._saved.thinker is not None and self._saved.thinker.gate is not None

    @property
    def think_modes(self) -> tuple[ThinkMode, ...]:
        """The think modes it can run."""
        return tuple(mode for mode in THINK_MODES if self._lack(mode) is None)

    @property
    def experts(self) -> int | None:
        """How many experts its latent steps choose from; None where it takes no such steps."""
        thinker = self._saved.thinker
        return thinker.latent.config.experts if thinker and thinker.latent else None

    @property
    def backbone_name(self) -> str:
        """The frozen model it stands on."""
        return str(self._backbone.source["name"])

    @property
    def max_text_tokens(self) -> int:
        """How many tokens of an item's text it reads."""
        return self._backbone.max_text_tokens

    @property
    def limits(self) -> Limits:
        """Bounds on the media it reads; `max_side` is as large as it looks at pictures."""
        side = self._backbone.picture_side
        return replace(DEFAULT_LIMITS, max_side=side) if side else DEFAULT_LIMITS

    @property
    def parameter_count(self) -> int:
        """Parameters of the backbone and of everything that was trained on it."""
        return self._saved.parameter_count

    @property
    def fingerprint(self) -> str:
        """Hex digest of weights, preprocessing and prompts."""
        return self._saved.fingerprint

    def encode(
        self,
        items: Sequence[Any] | Any,
        *,
        think: ThinkMode = "never",
        kind: Kind = "query",
        instruction: str | None = None,
        sampling: Sampling = GREEDY,
        truncate_dim: int | None = None,
        precision: Precision = "float32",
        batch_size: int | None = None,
        show_progress: bool | None = None,
        return_trace: bool = False,
    ) -> Any:
        """Embed items.

        Args:
            items: a list of anything `ponder.items.parse` takes: text, a picture (path, PIL image,
                bytes, array), a dict, or a tuple of parts. One item alone, not in a list, gives one
                vector.
            think: how to think before embedding: `never`; `always`, in words; `latent`, in latent
                steps; `auto` and `auto-latent`, so for the items that the model's gate picks.
            kind: whose threshold the gate has, a query's or a document's.
            instruction: what the vectors are for, where an item has no instruction of its own; None
                for the model's own for this kind.
            sampling: how the tokens of thoughts are chosen; the likeliest each time by default.
            truncate_dim: keep the first so many dimensions; the model is trained for that.
            precision: `float32`, `int8` or `binary`.
            batch_size: run at most so many items together, to take less memory; None for as many
                as a budget of tokens allows. It changes vectors by no more than rounding.
            show_progress: draw a progress bar; None for one on long work at a terminal.
            return_trace: also return what happened to each item.

        Returns:
            (n, D) unit rows in the order given, or (D,) for one item alone; with `return_trace` a
            pair of them and a list of n traces.

        Raises:
            ItemError: an item cannot be read; the message names it by its position.
            ThinkModeError: the model cannot think, or has no gate to decide.
            ValueError: an argument is out of range, which is found before any item is read.
        """
        check_smaller(self.dim, truncate_dim, precision)
        check_text(instruction or "")
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size={batch_size}, but a batch has one item at least")
        budget = replace(self._budget, most_items=batch_size)
        is_batch = isinstance(items, Iterable) and not isinstance(items, ONE_ITEM)
        values = list(items) if is_batch else [items]
        rows = np.empty((len(values), self.dim), dtype=np.float32)
        traces: list[Trace] = []
        named = ((f"item {i}", value) for i, value in enumerate(values))
        parsed = ((name, parse(value, name, self.limits)) for name, value in named)
        if instruction is None:
            instruction = self._saved.instructions[kind]
        results = self._stream(parsed, instruction, think, kind, sampling, budget)
        with _progress(len(values), show_progress) as advance:
            for i, (_, (vector, trace)) in enumerate(results):
                rows[i] = vector
                traces.append(trace)
                advance()
        vectors = quantize(truncate(rows, truncate_dim), precision)
        chosen = vectors if is_batch else vectors[0]
        return (chosen, traces) if return_trace else chosen

    def encode_query(self, items: Sequence[Any] | Any, **options: Any) -> Any:
        """Embed what is searched for: `encode` with the instruction and threshold of queries."""
        return self.encode(items, kind="query", **options)

    def encode_document(self, items: Sequence[Any] | Any, **options: Any) -> Any:
        """Embed what is searched: `encode` with the instruction and threshold of documents."""
        return self.encode(items, kind="document", **options)

    def similarity(self, a: NDArray[np.generic], b: NDArray[np.generic]) -> NDArray[np.float32]:
        """Return the cosines (n, m) of rows (n, D) and (m, D), in any precision, alike in both."""
        left, right = (dequantize(np.atleast_2d(rows), self.dim) for rows in (a, b))
        left = left / np.linalg.norm(left, axis=1, keepdims=True)
        right = right / np.linalg.norm(right, axis=1, keepdims=True)
        cosines: NDArray[np.float32] = left @ right.T
        return cosines

    def stream(
        self,
        items: Iterable[tuple[K, Item]],
        *,
        kind: Kind = "document",
        think: ThinkMode = "never",
    ) -> Iterator[tuple[K, NDArray[np.float32], Trace]]:
        """Embed an endless stream of keyed items, a bounded window at a time.

        Args:
            items: pairs of a key, handed back as it is, and an item. Another thread pulls the
                iterator, up to two windows ahead of what is yielded.
            kind: whether the items are queries or documents.
            think: which of them to think about.

        Yields:
            The key, a unit vector (D,) and the trace, in the order of the input.
        """
        instruction = self._saved.instructions[kind]
        budget = self._budget
        for key, (vector, trace) in self._stream(items, instruction, think, kind, GREEDY, budget):
            yield key, vector, trace

    def _stream(
        self,
        items: Iterable[tuple[K, Item]],
        instruction: str,
        think: ThinkMode,
        kind: Kind,
        sampling: Sampling,
        budget: Budget,
    ) -> Iterator[tuple[K, Result]]:
        run = self._runner(think, kind, sampling, budget)
        keys: deque[K] = deque()

        def prepare(pair: tuple[K, Item]) -> tuple[K, Prepared]:
            key, item = pair
            if not self.thinks and not item.texts and (item.instruction or instruction):
                warnings.warn(
                    f"{self.name} reads no instruction beside a picture without words, so it "
                    "changes nothing; put words into the item, or use a model that thinks",
                    stacklevel=2,
                )
            return key, self._backbone.prepare(item, str(key), instruction)

        def prepared() -> Iterator[Prepared]:
            for key, item in ahead(prepare, items, depth=WINDOW_ITEMS):
                keys.append(key)
                yield item

        for result in run(prepared()):
            yield keys.popleft(), result

    def _runner(
        self, think: ThinkMode, kind: Kind, sampling: Sampling, budget: Budget
    ) -> Callable[[Iterable[Prepared]], Iterator[Result]]:
        """Return what turns prepared items into results, in their order."""
        check_fork()
        if think not in THINK_MODES:
            raise ValueError(f"unknown think mode {think!r}; choose {', '.join(THINK_MODES)}")
        if lack := self._lack(think):
            raise ThinkModeError(
                f"think={think!r}: {self.name} {lack}; choose one of {', '.join(self.think_modes)}"
                ", or train it"
            )
        thinker, readout = self._saved.thinker, self._saved.readout
        if thinker is None:
            if readout is None:
                raise ThinkModeError(f"{self.name} has nothing that reads out; train it")
            return lambda items: self._pool(items, readout, budget)
        config, tokenizer = thinker.config, self._backbone.processor.tokenizer
        writer = Writer(tokenizer, config.max_thought_tokens, sampling)
        return Scheduler(thinker, budget, think, config.thresholds[kind], writer).run

    def _lack(self, think: ThinkMode) -> str | None:
        """Say what the model lacks for a think mode; None if nothing."""
        thinker = self._saved.thinker
        if think == "never":
            return None
        if thinker is None:
            return "has no reasoning adapter"
        if think in WRITTEN and not thinker.writes:
            return "writes no thoughts"
        if think in GATED and thinker.gate is None:
            return "has no gate"
        if think in LATENT and not thinker.can_roll_out:
            return "has no transition adapter on a kv interface"
        return None

    @property
    def _budget(self) -> Budget:
        # Asked for anew: the backbone may have moved to another device.
        return self._given_budget or Budget.of(self._backbone.device)

    @torch.inference_mode()
    def _pool(
        self, items: Iterable[Prepared], readout: ReadOut, budget: Budget
    ) -> Iterator[Result]:
        """Embed by the means alone, which is all a model without adapters has."""
        results: dict[int, Result] = {}
        turn = 0
        for batch in budget.batches(items):
            start = time.perf_counter()
            pooled = self._backbone.pool([item for _, item in batch], readout.config.layers)
            vectors = F.normalize(readout(pooled), dim=-1).cpu().numpy()
            share = 1000 * (time.perf_counter() - start) / len(batch)
            for (number, item), vector in zip(batch, vectors, strict=True):
                trace = Trace(
                    mode="never",
                    context_tokens=len(item),
                    cut_tokens=item.cut_tokens,
                    embed_ms=share,
                )
                results[number] = vector, trace
            while turn in results:
                yield results.pop(turn)
                turn += 1


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
    adapters: str | Path | None = None,
    dtype: torch.dtype | None = None,
    device: str | torch.device | None = None,
    allow_download: bool = False,
) -> Model:
    """Load a model.

    Args:
        name_or_folder: `nano`, `nano-think`, a folder that ponder saved, or, with `adapters`, any
            backbone of Hugging Face by its folder or hub id.
        adapters: the folder of what was trained on that backbone, in ponder's layout or in that of
            the published Think When Needed models. None where `name_or_folder` is that folder.
        dtype: of the backbone; None for bfloat16 where the machine multiplies it in hardware, else
            float32.
        device: where to; None for the first GPU, else the CPU.
        allow_download: fetch the backbone that a folder's record names from the hub. By default it
            must be a folder or in the local cache. A backbone you name yourself is always fetched.

    Raises:
        WeightsError: the folder is missing, incomplete or made for another backbone, or `nano` has
            not been pulled.
        ForkError: this process is a fork of one that has loaded a model.
    """
    check_fork()
    saved = load_saved(
        name_or_folder,
        adapters=adapters,
        dtype=dtype,
        device=device,
        allow_download=allow_download,
    )
    if saved.thinker is not None and saved.thinker.can_merge:
        saved.thinker.adapters.merge()
    saved.backbone.fuse()
    folder = None if adapters is None else Path(adapters).absolute()
    name = _in_full(name_or_folder)
    return Model(saved, source=_Source(name, folder, dtype, device, allow_download))


def _in_full(name_or_folder: str | Path) -> str | Path:
    """Return a folder's full path, which holds in any working folder; a name as it is."""
    is_folder = str(name_or_folder) not in SHIPPED and Path(name_or_folder).is_dir()
    return Path(name_or_folder).absolute() if is_folder else name_or_folder


def _load_again(source: _Source, fingerprint: str) -> Model:
    """Load a model that was pickled.

    Raises:
        FingerprintError: what is there now is another model.
    """
    model = load(**vars(source))
    if model.fingerprint != fingerprint:
        raise FingerprintError(
            f"{model.name} was pickled with fingerprint {fingerprint[:12]}, but what is there now "
            f"has {model.fingerprint[:12]}; pickle it again"
        )
    return model
