"""One text, and indexing, beside processes that index on the same cores: before and now.

    python benchmarks/neighbours.py [--rounds 3] [--seconds 4] [--json FILE]

Before: OpenMP's threads wait for each other as their runtime does by itself. Now: as
`ponder.threads.share_cores` has them wait, which the command line calls. Each process is started
and loads `nano` once; then all of them take turns, the two settings one after the other in every
round, so that both see the same machine. A text is embedded, then 50 ms go by, as if someone were
searching. A neighbour indexes pictures, as does the process whose indexing is measured.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import re
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from indexing import draw
from ponder.threads import share_cores

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    from ponder.engine.model import Model

NEIGHBOURS = (0, 1, 2)
SETTINGS = ("before", "now")
TEXT = "a slice of pizza on a table"
PAUSE_S = 0.05
WARM_UP_S = 2.0
PATIENCE_S = 3.0
HEAD_START_S = 1.0  # by which neighbours are in their work
PICTURES = 200


def embed_texts(model: Model, goes_on: Callable[[], bool], _: Path) -> list[float]:
    """Return how long each text took, in milliseconds."""
    took = []
    while goes_on() or not took:
        start = time.perf_counter()
        model.encode_query(TEXT)
        took.append(1000 * (time.perf_counter() - start))
        time.sleep(PAUSE_S)
    return took


def index_pictures(model: Model, goes_on: Callable[[], bool], pictures: Path) -> float:
    """Return the pictures a second that new indexes take in, one index after the other."""
    import ponder

    start = time.perf_counter()
    done = 0
    while goes_on() or not done:
        with tempfile.TemporaryDirectory() as scratch:
            done += ponder.Index(Path(scratch) / "index.lance", model).add([pictures]).added
    return done / (time.perf_counter() - start)


WORK = {"text": embed_texts, "indexing": index_pictures}


def serve(pipe: Connection, kind: str, setting: str, pictures: Path) -> None:
    """Load a model in a fresh process, then work whenever the pipe says so, and answer.

    It says for how many seconds, or 0 for until it says something else.
    """
    if setting == "now":
        share_cores()
    import ponder  # and torch, which reads the environment

    model = ponder.load("nano")

    def work(seconds: float) -> Any:
        until = time.perf_counter() + seconds

        def goes_on() -> bool:
            return time.perf_counter() < until if seconds else not pipe.poll()

        return WORK[kind](model, goes_on, pictures)

    work(WARM_UP_S)
    pipe.send(None)
    with contextlib.suppress(EOFError):  # the end
        while True:
            if seconds := pipe.recv():
                pipe.send(work(seconds))
            else:
                work(0)
                pipe.send(pipe.recv())


def start(kind: str, setting: str, pictures: Path) -> Connection:
    """Start a process; return the pipe to it, which says once when the process is ready."""
    here, there = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    context.Process(target=serve, args=(there, kind, setting, pictures), daemon=True).start()
    there.close()
    return here


def wait_for_rest() -> float:
    """Wait until strangers leave the cores alone, for a while; return how busy they are, 0 to 1."""
    until = time.perf_counter() + PATIENCE_S
    while (busy := psutil.cpu_percent(0.5) / 100) > 0.1 and time.perf_counter() < until:
        pass
    return busy


def measure(one: Connection, neighbours: list[Connection], seconds: float) -> Any:
    """Return what a process measures while its neighbours work."""
    for pipe in neighbours:
        pipe.send(0)
    time.sleep(HEAD_START_S)
    one.send(seconds)
    result = one.recv()
    for pipe in neighbours:
        pipe.send(0)
    for pipe in neighbours:
        pipe.recv()
    return result


def compare(rounds: list[dict[str, float]], of: str, to: str) -> float:
    """Return the median over the rounds of one figure divided by another."""
    return round(float(np.median([figures[of] / figures[to] for figures in rounds])), 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rounds: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as scratch:
        pictures = Path(scratch)
        draw(pictures, PICTURES)
        ones = {(kind, each): start(kind, each, pictures) for kind in WORK for each in SETTINGS}
        neighbours = {
            each: [start("indexing", each, pictures) for _ in range(max(NEIGHBOURS))]
            for each in SETTINGS
        }
        everyone = [*ones.values(), *(pipe for pipes in neighbours.values() for pipe in pipes)]
        for pipe in everyone:
            pipe.recv()
        for turn in range(options.rounds):
            figures: dict[str, float] = {}
            strangers = []
            for count in NEIGHBOURS:
                for kind in WORK:
                    for each in SETTINGS if turn % 2 else SETTINGS[::-1]:
                        strangers.append(wait_for_rest())
                        beside = neighbours[each][:count]
                        result = measure(ones[kind, each], beside, options.seconds)
                        if kind == "text":
                            for share in (50, 90):
                                name = f"text p{share}, {count}, {each}"
                                figures[name] = float(np.percentile(result, share))
                        else:
                            figures[f"indexing, {count}, {each}"] = result
            rounds.append(figures | {"strangers": float(np.mean(strangers))})
            print(f"round {turn + 1} of {options.rounds}", flush=True)
    result = summary(rounds)
    for line in table(result):
        print(line)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def summary(rounds: list[dict[str, float]]) -> dict[str, Any]:
    """Return medians over the rounds, and medians of what is divided within each."""
    names = [name for name in rounds[0] if name != "strangers"]
    return {
        "cores": os.cpu_count(),
        "busy_with_others": round(float(np.mean([each["strangers"] for each in rounds])), 2),
        "medians": {n: round(float(np.median([each[n] for each in rounds])), 1) for n in names},
        "to_alone": {n: compare(rounds, n, re.sub(r", \d,", ", 0,", n)) for n in names},
        "now_to_before": {
            n: compare(rounds, n, n.replace("now", "before")) for n in names if n.endswith("now")
        },
        "rounds": [{name: round(value, 2) for name, value in each.items()} for each in rounds],
    }


def table(result: dict[str, Any]) -> list[str]:
    """Return the lines of a table, times in ms and pictures a second."""
    lines = [f"{'':12} {'neighbours':>10} {'before':>8} {'to alone':>8} {'now':>8} {'to alone':>8}"]
    lines[0] += f" {'now/before':>10}"
    for measured in ("text p50", "text p90", "indexing"):
        for count in NEIGHBOURS:
            line = f"{measured:12} {count:>10}"
            for each in SETTINGS:
                name = f"{measured}, {count}, {each}"
                line += f" {result['medians'][name]:8.1f} {result['to_alone'][name]:8.2f}"
            lines.append(f"{line} {result['now_to_before'][name]:10.2f}")
    lines.append(f"busy with others: {result['busy_with_others']:.0%} of {result['cores']} cores")
    return lines


if __name__ == "__main__":
    main()
