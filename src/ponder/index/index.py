"""`Index`: files of any kind in a folder of their own, searched by words, pictures or both."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ponder.errors import FingerprintError, PonderError
from ponder.forks import check_fork
from ponder.index.decoders import Decoders
from ponder.index.files import Found, look, walk
from ponder.index.folder import Record, alone, check_folder, index_flag, no_index
from ponder.index.hits import HIT_COLUMNS, Hit
from ponder.index.ingest import Ingest
from ponder.index.ranking import Ranking, open_ranking
from ponder.index.report import ERRORS, Report, write_errors
from ponder.index.store import Held, LanceStore, drop, held
from ponder.index.upkeep import absent, forget
from ponder.items import parse
from ponder.paths import expanded, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy as np
    from numpy.typing import NDArray

    from ponder.engine.trace import ThinkMode, Trace
    from ponder.index.encoder import Encoder

    Tell = Callable[[int, int], None]


def _silent(done: int, total: int) -> None:
    """Tell nobody."""


class Index:
    """A searchable collection of files.

    It can be pickled if its model can: the pickle holds the folder's path and the model.

    Args:
        path: the index's own folder, made on the first `add`; as all paths here it may begin with
            `~`.
        model: what embeds its files and queries; every use must be with the same model.

    Raises:
        FingerprintError: the index holds vectors of another model.
        PonderError: `path` is a file.
        ForkError: this process is a fork of one that has loaded a model.

    Example:
        >>> index = ponder.Index("my.lance", ponder.load("nano"))
        >>> report = index.add(["photos", "papers/thesis.pdf"])
        >>> for hit in index.search("a red bicycle", k=10):
        ...     print(hit.score, hit.path, hit.where)
    """

    def __init__(self, path: Path | str, model: Encoder) -> None:
        self.path = expanded(path)
        check_folder(self.path)
        self._model = model
        self._store: LanceStore | None = None
        self._ranking: tuple[str, Ranking] | None = None  # and the version it is of
        if held(self.path):
            self._opened()

    def __reduce__(self) -> tuple[type[Index], tuple[Path, Encoder]]:
        # Whoever opens the pickle opens the folder; the model says how it travels itself.
        return type(self), (self.path.absolute(), self._model)

    def add(
        self,
        paths: Iterable[Path | str] | Path | str,
        *,
        think: ThinkMode = "never",
        tell: Tell = _silent,
    ) -> Report:
        """Bring the index in line with files and folders.

        What is new or changed is embedded, what is gone from under `paths` is forgotten, the rest
        is left as it is. Files of a drive that seems not to be mounted are kept, and the report
        says so. Files that cannot be read are skipped, each with its reason in the report
        and in `errors.parquet` in the index's folder, which tells of the latest run, also of
        what was left out of a file. A run that is killed loses a few seconds of work, one that is
        interrupted nothing that was finished; the next one goes on from there.

        Args:
            paths: files, and folders with all below them.
            think: which of what is embedded now to think about first; what is unchanged stays.
            tell: called with (files done, files in all).

        Raises:
            PonderError: one of `paths` does not exist, or there is no room for what is to be added.
            StoreError: the index cannot be written to.
            ThinkModeError: the model cannot think so.
            FingerprintError: the index holds vectors of another model.
        """
        given = [expanded(p) for p in ([paths] if isinstance(paths, Path | str) else paths)]
        for path in given:
            if not os.path.lexists(path) and (count := self._count_under(path)):
                raise PonderError(
                    f"no such file or folder: {printable(path)}, but the index has {count:,} of "
                    "its files. If it is on a drive, mount it; else drop them with: ponder forget "
                    f"{shlex.quote(printable(path))} {index_flag(self.path)}"
                )
        found = walk(given)
        report = _update(self._opened(create=True), self._model, found, self.path, think, tell)
        self._ranked()  # builds what searching needs now, not when somebody waits for an answer
        return report

    def search(self, query: Any, k: int = 10, *, think: ThinkMode = "never") -> list[Hit]:
        """Return the `k` rows nearest to a query, best first.

        Args:
            query: words, a picture, or both, in any form that `ponder.items.parse` takes.
            k: how many.
            think: whether to think about the query first.

        Raises:
            ItemError: the query cannot be read.
            ThinkModeError: the model cannot think so.
            PonderError: there is nothing in the index.
            FingerprintError: the index holds vectors of another model.
        """
        vector, _ = self.embed(query, think=think)
        return self.nearest(vector, k)

    def embed(self, query: Any, *, think: ThinkMode = "never") -> tuple[NDArray[np.float32], Trace]:
        """Return the vector (dim,) that `search` looks for, and its trace; errors as there."""
        self._opened()
        item = parse(query, "query", self._model.limits)
        results = self._model.stream([("query", item)], kind="query", think=think)
        [(_, vector, trace)] = results
        return vector, trace

    def nearest(self, vector: NDArray[np.float32], k: int = 10) -> list[Hit]:
        """Return the `k` rows nearest to a unit vector (dim,) of the same model; as `search`."""
        positions, scores = self._ranked().top(vector, k)
        rows = self._opened().take(positions, HIT_COLUMNS).to_pylist()
        return [Hit.from_row(row, float(score)) for row, score in zip(rows, scores, strict=True)]

    def forget(self, paths: Iterable[Path | str] | Path | str) -> int:
        """Drop files from the index, whether they still exist or not.

        Args:
            paths: files, and folders with all below them.

        Returns:
            How many files were dropped.

        Raises:
            PonderError: there is no index, or nothing in it is under one of the paths.
        """
        return forget(self.path, [paths] if isinstance(paths, Path | str) else paths)

    @staticmethod
    def re_embed(
        path: Path | str, model: Encoder, *, think: ThinkMode = "never", tell: Tell = _silent
    ) -> Report:
        """Embed every file of an index again, with another model.

        The old vectors stay until the new ones are complete; a run that is killed goes on when it
        is started again.

        Raises:
            PonderError: there is no index at `path`, or it has files on a drive that seems not to
                be mounted.
        """
        folder = expanded(path)
        check_folder(folder)
        old = [table for table in held(folder) if table.fingerprint != model.fingerprint]
        if not held(folder):
            raise PonderError(no_index(folder))
        files = {file for table in old for file in _files(folder, table)}
        found = Found()
        gone = []
        for file in sorted(files, key=os.fsencode):
            try:
                found.files.append(look(file))
            except (OSError, PonderError):
                gone.append(file)
        if places := absent(gone, Record.read(folder).roots):
            place, count = places.most_common(1)[0]
            raise PonderError(
                f"{printable(place)}: {count:,} files are known from under it and none is there "
                "now. If it is on a drive, mount it; else drop them with: ponder forget "
                f"{shlex.quote(printable(place))} {index_flag(folder)}"
            )
        found.gone = len(gone)
        store = LanceStore(folder, model.fingerprint, model.name, model.dim)
        report = _update(store, model, found, folder, think, tell)
        for table in old:
            drop(folder, table.fingerprint)
        return report

    def _opened(self, *, create: bool = False) -> LanceStore:
        """Return the store, or say why there is none to be had."""
        check_fork()
        model = self._model
        if self._store is None:
            tables = held(self.path)
            for table in tables:
                if table.fingerprint != model.fingerprint:
                    raise FingerprintError(_other_model(self.path, table, model))
            if not (tables or create):
                raise PonderError(no_index(self.path))
            self._store = LanceStore(self.path, model.fingerprint, model.name, model.dim)
        if self._store.fingerprint != model.fingerprint:
            table = Held(self._store.fingerprint, model.name, model.dim)
            raise FingerprintError(_other_model(self.path, table, model))
        return self._store

    def _count_under(self, path: Path) -> int:
        if not held(self.path):
            return 0
        real = Path(os.path.realpath(path))
        return sum(file.is_relative_to(real) for file in self._opened().files().values())

    def _ranked(self) -> Ranking:
        store = self._opened()
        version = store.version()
        if self._ranking is None or self._ranking[0] != version:
            self._ranking = version, open_ranking(store, self.path, self._model.dim)
        return self._ranking[1]


def _update(
    store: LanceStore, model: Encoder, found: Found, folder: Path, think: ThinkMode, tell: Tell
) -> Report:
    with alone(folder), Decoders() as decoders:
        report = Ingest(store, store.schema, model, think, decoders, folder, tell).run(found)
        write_errors(report, folder / ERRORS)
        Record.read(folder).after(found.roots, report.counts()).write(folder)
    return report


def _files(folder: Path, table: Held) -> Iterable[Path]:
    store = LanceStore(folder, table.fingerprint, table.model, table.dim)
    return store.files().values()


def _other_model(folder: Path, table: Held, model: Encoder) -> str:
    return (
        f"{printable(folder)} holds vectors of {table.model} (fingerprint "
        f"{table.fingerprint[:12]}), which do not mix with those of {model.name} (fingerprint "
        f"{model.fingerprint[:12]}); embed its files again with: ponder index --re-embed "
        f"{index_flag(folder)} --model {shlex.quote(model.name)}"
    )
