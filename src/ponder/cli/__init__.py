"""The command line. Verbs are import strings, so `ponder --help` loads none of them."""

from __future__ import annotations

import sys

from cyclopts import App

from ponder import __version__

app = App(
    name="ponder",
    help="Search pictures, pages and texts in words, with embeddings that think when it helps.",
    version=__version__,
)
app.command("ponder.cli.demo:demo", name="demo", help="Search a thousand real pictures, now.")
app.command("ponder.cli.pull:pull", name="pull", help="Fetch a backbone's weights once.")
app.command("ponder.cli.gallery:gallery", name="gallery", help="Build the Gallery data set.")
app.command("ponder.cli.embed:embed", name="embed", help="Embed JSONL rows into Parquet.")
app.command("ponder.cli.index:index", name="index", help="Index files so they can be searched.")
app.command(
    "ponder.cli.search:search", name="search", help="Search an index by words or a picture."
)
app.command("ponder.cli.show:show", name="show", help="Print what a saved model is made of.")
app.command("ponder.cli.train:app", name="train", help="Train the parts ponder adds.")
app.command("ponder.cli.annotate:annotate", name="annotate", help="Write thoughts for pairs.")
app.command("ponder.cli.eval:app", name="eval", help="Measure retrieval quality.")
app.command("ponder.cli.report:report", name="report", help="Show when thinking helps, and why.")


def main() -> None:
    """Run the command line; a known error is one line on stderr and exit code 1."""
    from ponder.errors import PonderError

    try:
        app()
    except PonderError as error:
        from rich.markup import escape

        from ponder.cli.console import stderr

        stderr.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
