"""`ponder embed`: JSONL in, Parquet out."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (read at run time, for the command line)

from ponder.engine.trace import ThinkMode  # noqa: TC001 (read at run time, for the command line)


def embed(
    source: Path, target: Path, /, *, model: str = "nano", think: ThinkMode = "never"
) -> None:
    """Embed each line of a JSONL file into a row of a Parquet file.

    A line is an object with any of text, image, video, document, page, instruction and an optional
    id. The columns are id, line, item, what happened to it (mode, gate, thought, tokens, times) and
    vector. Run it again after a kill or with more lines:
    finished ids are not embedded again. Bad lines go to errors.parquet beside TARGET.

    Args:
        source: the JSONL file; media paths in it are taken from the working folder.
        target: the Parquet file to write or to go on with.
        model: a model's name or folder.
        think: which lines to think about first; auto leaves it to the model's gate.
    """
    import ponder
    from ponder.cli.console import progress, stdout
    from ponder.index.jsonl import embed_jsonl

    encoder = ponder.load(model)
    with progress() as display:
        task = display.add_task("Embedding", total=None)

        def tell(done: int) -> None:
            display.update(task, completed=done)

        report = embed_jsonl(source, target, encoder, think=think, tell=tell)
    line = f"{report.embedded} embedded, {report.finished} finished before, {report.bad} bad"
    if report.bad:
        line += f" (see {target.with_name('errors.parquet')})"
    stdout.print(line, soft_wrap=True, highlight=False, markup=False)
