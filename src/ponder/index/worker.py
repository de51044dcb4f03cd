"""A decoder process: `python -m ponder.index.worker LIMIT_S`.

It reads pickled calls from stdin and writes what they yield to stdout. A decoder that crashes or
hangs on a hostile file takes this process with it and nothing else.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import pickle
import sys
from pathlib import Path
from typing import Any

from ponder.errors import PonderError
from ponder.media import MediaError

# The first half of each reply says which of these it is.
VALUE, END, ERROR = "value", "end", "error"
TIMED_OUT = 1  # the exit status that faulthandler gives


def main() -> None:
    """Answer calls until stdin closes."""
    limit_s = float(sys.argv[1])
    calls = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    # Native decoders may print; their words must not end up among the replies, or on the terminal.
    with Path(os.devnull).open("r+b") as nothing:
        for number in (0, 1, 2):
            os.dup2(nothing.fileno(), number)
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt), calls, replies:
        while True:
            try:
                function, arguments = pickle.load(calls)
            except EOFError:
                return
            for reply in _answer(function, arguments, limit_s):
                pickle.dump(reply, replies, protocol=5)
                replies.flush()


def _answer(function: Any, arguments: tuple[Any, ...], limit_s: float) -> Any:
    values = None
    try:
        while True:
            # Only making a value counts against the limit, not waiting until the caller takes it.
            # The watchdog is a thread of C, so it ends decoders that never return to Python.
            faulthandler.dump_traceback_later(limit_s, exit=True)
            try:
                values = values or function(*arguments)
                value = next(values)
            finally:
                faulthandler.cancel_dump_traceback_later()
            yield VALUE, value
    except StopIteration:
        yield END, None
    except (PonderError, OSError) as error:
        yield ERROR, error
    except Exception as error:  # of any class, perhaps one that does not pickle
        yield ERROR, MediaError(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
