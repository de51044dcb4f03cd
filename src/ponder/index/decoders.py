"""Decoding ahead of the model, in processes of its own, in the order asked for.

Processes, not threads: a native decoder that crashes or hangs on a hostile file must cost that file
and no other, PDFium is not thread-safe, and Python's lock stays free for the model.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeVar

from ponder.index import worker
from ponder.media import MediaError
from ponder.threads import usable_cores

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from concurrent.futures import Future
    from types import TracebackType

    Task = Callable[["Decoder"], Generator[Any]]

K = TypeVar("K")

LIMIT_S = 60.0  # for one unit: a picture, a page, a whole video's frames
FILES_AHEAD = 64
UNITS_AHEAD = 4  # of one file; with FILES_AHEAD this bounds the memory that waits for the model

# Keep freed picture memory instead of handing it back to the system for every file: a fifth of the
# decoding time. Read by glibc and by Pillow; others ignore it.
_KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(2**28),
    "MALLOC_TRIM_THRESHOLD_": str(2**30),
    "PILLOW_BLOCKS_MAX": "32",
}

# A decoder needs no more; numpy's BLAS would start one for every core in each of them.
_ONE_THREAD = {"OMP_NUM_THREADS": "1"}


class Decoders:
    """A few decoder processes, started as they are needed, ended with the `with` block.

    Args:
        limit_s: wall-clock seconds that one unit may take to decode.
    """

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        self._limit_s = limit_s
        count = max(2, min(8, usable_cores() // 2))
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="ponder-decode")
        self._decoders: dict[int, Decoder] = {}  # by thread
        self._streams: list[threading.Event] = []  # set when a stream's values are wanted no more

    def __enter__(self) -> Decoders:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for over in self._streams:
            over.set()
        for decoder in list(self._decoders.values()):
            decoder.close()  # frees threads that wait for a reply
        self._threads.shutdown(cancel_futures=True)
        for decoder in self._decoders.values():
            decoder.close()

    def stream(self, tasks: Iterable[tuple[K, Task]]) -> Iterator[tuple[K, Iterator[Any]]]:
        """Run tasks, up to `FILES_AHEAD` of them ahead of the consumer.

        Args:
            tasks: pairs of a key and a function that is handed a decoder and yields values. It runs
                in a thread.

        Yields:
            Each key in order, with an iterator over its values that raises what the task raised.
            Take all of it before going on.
        """
        over = threading.Event()
        self._streams.append(over)
        waiting: deque[tuple[K, Future[None], _Values]] = deque()
        try:
            for key, task in tasks:
                values = _Values(over)
                waiting.append((key, self._threads.submit(self._run, task, values), values))
                if len(waiting) > FILES_AHEAD:
                    first, _, values = waiting.popleft()
                    yield first, iter(values)
            while waiting:
                first, _, values = waiting.popleft()
                yield first, iter(values)
        finally:
            over.set()
            for _, future, _ in waiting:
                future.cancel()

    def _run(self, task: Task, values: _Values) -> None:
        try:
            with closing(task(self._decoder())) as made:
                for value in made:
                    if not values.put(worker.VALUE, value):
                        return
        except Exception as error:  # handed on: raised again where the values are taken
            values.put(worker.ERROR, error)
        else:
            values.put(worker.END, None)

    def _decoder(self) -> Decoder:
        return self._decoders.setdefault(threading.get_ident(), Decoder(self._limit_s))


class _Values:
    """What one task yields, on its way to the consumer; a few at a time."""

    def __init__(self, over: threading.Event) -> None:
        self._queue: queue.Queue[tuple[str, Any]] = queue.Queue(UNITS_AHEAD)
        self._over = over

    def put(self, state: str, value: Any) -> bool:
        """Wait for room and add a value; False if the consumer has gone."""
        while not self._over.is_set():
            try:
                self._queue.put((state, value), timeout=0.2)
            except queue.Full:
                continue
            return True
        return False

    def __iter__(self) -> Iterator[Any]:
        while True:
            state, value = self._queue.get()
            if state == worker.END:
                return
            if state == worker.ERROR:
                raise value
            yield value


class Decoder:
    """One process, started again after a file has ended it."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._process: subprocess.Popen[bytes] | None = None

    def call(self, function: Callable[..., Iterator[Any]], *arguments: Any) -> Generator[Any]:
        """Run a module-level generator function in the process.

        Raises:
            MediaError: the process crashed or took too long.
            Exception: whatever `function` raised.
        """
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            pickle.dump((function, arguments), process.stdin, protocol=5)
            process.stdin.flush()
            while True:
                state, value = pickle.load(process.stdout)
                if state == worker.END:
                    return
                if state == worker.ERROR:
                    raise value
                yield value
        except (EOFError, BrokenPipeError, pickle.UnpicklingError):
            status = process.wait()
            self.close()
            raise MediaError(_cause(status, self._limit_s)) from None
        except GeneratorExit:
            self.close()  # replies still on their way must not answer the next call
            raise

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ponder.index.worker", str(self._limit_s)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=_ONE_THREAD | os.environ | _KEEP_MEMORY,
                start_new_session=True,  # Ctrl-C is for the parent, which ends this in good order
            )
        return self._process


def _cause(status: int, limit_s: float) -> str:
    if status == worker.TIMED_OUT:
        return f"decoding took over {limit_s:g} s"
    name = signal.Signals(-status).name if status < 0 else f"exit status {status}"
    return f"its decoder crashed ({name})"
