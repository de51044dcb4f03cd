from __future__ import annotations

import os
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from ponder.errors import ItemError
from ponder.index.decoders import FILES_AHEAD, UNITS_AHEAD, Decoder, Decoders
from ponder.index.units import read_file, read_item
from ponder.media import MediaError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def task(function: Callable[..., Any], *arguments: Any) -> Callable[[Decoder], Any]:
    def run(decoder: Decoder) -> Iterator[Any]:
        yield from decoder.call(function, *arguments)

    return run


def outcomes(decoders: Decoders, tasks: list[Any]) -> list[Any]:
    results: list[Any] = []
    for key, values in decoders.stream(enumerate(tasks)):
        try:
            results.append((key, [item.parts[0] for item in values]))
        except (ItemError, MediaError) as error:
            results.append((key, str(error)))
    return results


def test_values_come_in_the_order_asked_for() -> None:
    tasks = [task(read_item, {"text": str(i)}, str(i)) for i in range(3 * FILES_AHEAD)]
    with Decoders() as decoders:
        assert outcomes(decoders, tasks) == [(i, [str(i)]) for i in range(len(tasks))]


def test_an_error_stays_with_its_task() -> None:
    tasks = [task(read_item, {"text": "a"}, "a"), task(read_item, {}, "b")]
    with Decoders() as decoders:
        good, bad = outcomes(decoders, tasks)
    assert good == (0, ["a"])
    assert bad[1].startswith("b: nothing to embed")


def test_a_crash_or_a_hang_of_a_decoder_costs_only_its_own_task() -> None:
    good = task(read_item, {"text": "a"}, "a")
    tasks = [good, task(os.abort), good, task(time.sleep, 60), good, task(os._exit, 7), good]
    with Decoders(limit_s=2) as decoders:
        results = dict(outcomes(decoders, tasks))
    assert [results[i] for i in (0, 2, 4, 6)] == [["a"]] * 4
    assert results[1] == "its decoder crashed (SIGABRT)"
    assert results[3] == "decoding took over 2 s"
    assert results[5] == "its decoder crashed (exit status 7)"


def test_waiting_for_the_consumer_does_not_count_as_decoding(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text("".join(f"# {i}\n\nwords\n\n" for i in range(4 * UNITS_AHEAD)))
    with Decoders(limit_s=0.5) as decoders:
        stream = decoders.stream([(0, task(read_file, path, "markdown"))])
        _, values = next(stream)
        next(values)
        time.sleep(1)
        assert len(list(values)) == 4 * UNITS_AHEAD - 1


def test_no_more_than_a_bounded_number_of_tasks_runs_ahead() -> None:
    started = []

    def run(i: int, decoder: Decoder) -> Iterator[int]:
        started.append(i)
        yield i

    with Decoders() as decoders:
        stream = decoders.stream((i, partial(run, i)) for i in range(10 * FILES_AHEAD))
        next(stream)
        time.sleep(0.3)
        assert len(started) <= FILES_AHEAD + 1


@pytest.mark.parametrize("taken", [0, 1])
def test_leaving_early_ends_the_processes(taken: int, tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text("".join(f"# {i}\n\nwords\n\n" for i in range(100)))
    with Decoders() as decoders:
        stream = decoders.stream((i, task(read_file, path, "markdown")) for i in range(20))
        _, values = next(stream)
        for _ in range(taken):
            next(values)
        stream.close()
        # A second stream works though the first was left in the middle.
        again = decoders.stream([(0, task(read_file, path, "markdown"))])
        assert len(list(next(again)[1])) == 100
        processes = [decoder._process for decoder in decoders._decoders.values()]
    assert all(process is None or process.poll() is not None for process in processes)
