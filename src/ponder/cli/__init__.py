"""The command line. Verbs are import strings, so `ponder --help` loads none of them."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import NoReturn

from cyclopts import App

from ponder import __version__

PATIENCE_S = 10.0  # what ending a run may take before another Ctrl-C breaks it off

app = App(
    name="ponder",
    help="Search pictures, pages and texts in words, with embeddings that think when it helps.",
    version=__version__,
)
app.command("ponder.cli.demo:demo", name="demo", help="Search a thousand real pictures, now.")
app.command("ponder.cli.pull:pull", name="pull", help="Fetch a backbone's weights once.")
app.command("ponder.cli.gallery:gallery", name="gallery", help="Build the Gallery data set.")
app.command("ponder.cli.embed:embed", name="embed", help="Embed JSONL rows into Parquet.")
app.command(
    "ponder.cli.index:index",
    name="index",
    help="""Index files so they can be searched.

    Reads pictures (JPEG, PNG, HEIC, AVIF, WebP, GIF, TIFF, BMP and more), PDF, videos (MP4, MOV,
    MKV, WebM, AVI and more), Markdown, plain text, source code, CSV, HTML, mails (EML), e-books
    (EPUB); with `pip install 'ponder[formats]'` DOCX, PPTX and XLSX as well.
    """,
)
app.command(
    "ponder.cli.search:search",
    name="search",
    help="""Search an index by words, a picture or a page.

    Hits are laid out for reading on a terminal. Elsewhere each is a line of score, kind, path,
    place and snippet with tabs between; --json is exact.
    """,
)
app.command("ponder.cli.status:status", name="status", help="Say what an index holds.")
app.command("ponder.cli.forget:forget", name="forget", help="Drop files from an index.")
app.command("ponder.cli.show:show", name="show", help="Print what a saved model is made of.")
app.command("ponder.cli.train:app", name="train", help="Train the parts ponder adds.")
app.command("ponder.cli.annotate:annotate", name="annotate", help="Write thoughts for pairs.")
app.command("ponder.cli.eval:app", name="eval", help="Measure retrieval quality.")
app.command("ponder.cli.report:report", name="report", help="Show when thinking helps, and why.")


def main() -> None:
    """Run the command line; a known error is one line on stderr and exit code 1."""
    from ponder.errors import PonderError
    from ponder.paths import printable
    from ponder.threads import share_cores

    share_cores()
    _interrupt_once()
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        app(sys.argv[1:])
    except PonderError as error:
        _fail(str(error))
    except BrokenPipeError:  # whoever read the output, `head` for example, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except OSError as error:  # a full disk, a folder that may not be written to
        reason = error.strerror or str(error)
        _fail(f"{printable(error.filename)}: {reason}" if error.filename else reason)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


def _fail(reason: str) -> NoReturn:
    from rich.text import Text

    from ponder.cli.console import plain, stderr

    stderr.print(Text("error: ", "bold red"), Text(plain(reason)), sep="", soft_wrap=True)
    sys.exit(1)


def _interrupt_once() -> None:
    """Let Ctrl-C end a run in good order, however often it is pressed.

    Ending takes a moment, as what is finished is written first. Impatience in that moment must not
    break it off; only when it hangs does another Ctrl-C end the process at once.
    """
    began: list[float] = []

    def interrupt(number: int, frame: object) -> None:
        if not began:
            began.append(time.monotonic())
            raise KeyboardInterrupt
        if time.monotonic() - began[0] > PATIENCE_S:
            os._exit(128 + number)

    signal.signal(signal.SIGINT, interrupt)
