"""Which files under some folders can be indexed, each found once."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter, deque
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ponder.documents.reading import DocumentKind
from ponder.errors import MissingExtraError, PonderError
from ponder.media import DOCUMENT_SUFFIXES, PICTURE_SUFFIXES, VIDEO_SUFFIXES
from ponder.paths import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

# Among the suffixes that a walk counts: hidden entries, and folders of other people's programs.
HIDDEN, INSTALLED = "hidden", "installed packages"

_INSTALLED_NAMES = frozenset(["node_modules", "site-packages", "__pycache__"])
_INSTALLED_MARK = "pyvenv.cfg"  # lies in a Python environment, whatever that is called

Reader = Literal["picture", "document", "video", "text", "markdown"] | DocumentKind

_TEXTS = (
    ".txt .text .rst .adoc .org .tex .bib .srt .vtt .csv .tsv .ini .cfg .conf .toml .yaml .yml "
    ".py .pyi .js .mjs .jsx .ts .tsx .vue .svelte .css .scss .less .php .rb .pl .pm .lua .tcl .r "
    ".jl .m .c .h .cc .cpp .cxx .hh .hpp .cu .mm .cs .java .kt .kts .scala .groovy .go .rs .swift "
    ".dart .zig .d .pas .f90 .hs .ml .mli .fs .ex .exs .erl .elm .clj .lisp .el .scm .sql .graphql "
    ".proto .sh .bash .zsh .fish .ps1 .bat .cmd .cmake .gradle .tf .nix"
)

_READERS: dict[str, Reader] = {
    **dict.fromkeys(PICTURE_SUFFIXES, "picture"),
    **dict.fromkeys(DOCUMENT_SUFFIXES, "document"),
    **dict.fromkeys(VIDEO_SUFFIXES, "video"),
    **dict.fromkeys(_TEXTS.split(), "text"),
    **dict.fromkeys((".md", ".markdown"), "markdown"),
    **dict.fromkeys((".html", ".htm", ".xhtml"), "html"),
    ".eml": "mail",
    ".epub": "epub",
    ".docx": "docx",
    ".pptx": "pptx",
    ".xlsx": "xlsx",
}
# What reads these comes with the extra `formats`.
_MODULES = {".docx": "docx", ".pptx": "pptx", ".xlsx": "openpyxl"}


@dataclass(frozen=True)
class File:
    """A file that can be indexed, as it was when found.

    Attributes:
        path: absolute; a name that is no UTF-8 keeps its bytes as surrogates.
        reader: what reads it, told from its suffix.
        size: in bytes.
        mtime_ns: when it was last written.
    """

    path: Path
    reader: Reader
    size: int
    mtime_ns: int

    @property
    def key(self) -> str:
        """A short name for the path that is the same in every run."""
        return hashlib.sha256(os.fsencode(self.path)).hexdigest()[:24]

    def __str__(self) -> str:
        return printable(self.path)


@dataclass(frozen=True)
class Skipped:
    """A file that is not in the index, or only in part, and why."""

    path: Path
    reason: str


@dataclass
class Found:
    """What a walk came across.

    Attributes:
        files: what can be indexed, in a fixed order.
        skipped: what should have been readable and is not: broken links, loops, closed folders.
        ignored: how many files there are of each suffix that ponder does not read, "" standing for
            none, and how many entries are `HIDDEN`.
        roots: the folders and files walked, resolved.
        closed: folders that could not be listed; what is below them is unknown, not gone.
        gone: how many files, asked for by name, no longer exist.
    """

    files: list[File] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    roots: list[Path] = field(default_factory=list)
    closed: list[Path] = field(default_factory=list)
    gone: int = 0

    def covers(self, path: Path) -> bool:
        """Whether the walk would have come across `path`, did it still exist."""
        inside = any(path.is_relative_to(root) for root in self.roots)
        return inside and not any(path.is_relative_to(folder) for folder in self.closed)


def reader_of(path: Path | str) -> Reader | None:
    """Return what reads a file of this name, or None where nothing does."""
    return _READERS.get(suffix_of(path))


def suffix_of(path: Path | str) -> str:
    """Return a name's suffix in lower case, its dot included; "" where it has none."""
    return os.path.splitext(path)[1].lower()  # noqa: PTH122 (a str needs no Path)


@cache
def _lacks_extra(suffix: str) -> bool:
    module = _MODULES.get(suffix)
    return module is not None and find_spec(module) is None


def look(path: Path) -> File:
    """Describe one file.

    Raises:
        OSError: it does not exist or may not be looked at.
        PonderError: it is not a file, or of no kind that ponder reads.
        MissingExtraError: it is of a kind that needs an extra.
    """
    reader = reader_of(path)
    if reader is None:
        raise PonderError(f"{path.suffix or 'no suffix'}: not a kind of file that ponder reads")
    if _lacks_extra(suffix_of(path)):
        raise MissingExtraError(f"a {suffix_of(path)} file", "formats")
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise PonderError("not a regular file")
    return File(path, reader, status.st_size, status.st_mtime_ns)


def walk(paths: Iterable[Path]) -> Found:
    """Find the files under `paths` that can be indexed.

    Symbolic links are followed, after everything else, so that a file within reach by its own name
    is found by that name; each real file and folder is visited once, so loops end. Hidden entries
    (a leading dot) and folders of installed packages are left out, unless given as a path
    themselves.

    Raises:
        PonderError: one of `paths` does not exist.
    """
    walker = _Walker()
    for path in paths:
        if not os.path.lexists(path):
            raise PonderError(f"no such file or folder: {printable(path)}")
        walker.visit(Path(os.path.realpath(path)))
    return walker.found


class _Walker:
    def __init__(self) -> None:
        self.found = Found()
        self._seen: set[str] = set()  # real paths of files and folders

    def visit(self, root: Path) -> None:
        self.found.roots.append(root)
        links: deque[Path] = deque()
        if root.is_dir():
            self._folder(root, links)
        elif reader_of(root) is None:
            self.found.skipped.append(Skipped(root, "not a kind of file that ponder reads"))
        else:
            self._file(root)
        while links:
            self._link(links.popleft(), links)

    def _folder(self, top: Path, links: deque[Path]) -> None:
        stack = [top]
        while stack:
            folder = stack.pop()
            if not self._is_new(folder):
                continue
            try:
                with os.scandir(folder) as listing:
                    entries = sorted(listing, key=lambda entry: os.fsencode(entry.name))
            except OSError as error:
                self.found.closed.append(folder)
                self._skip(folder, error)
                continue
            if folder != top and any(entry.name == _INSTALLED_MARK for entry in entries):
                self.found.ignored[INSTALLED] += 1
                continue
            folders = []
            for entry in entries:
                path = folder / entry.name
                if entry.name.startswith("."):
                    self.found.ignored[HIDDEN] += 1
                elif entry.is_symlink():
                    links.append(path)
                elif entry.is_dir() and entry.name in _INSTALLED_NAMES:
                    self.found.ignored[INSTALLED] += 1
                elif entry.is_dir():
                    folders.append(path)
                elif reader_of(path) is None:
                    self.found.ignored[suffix_of(path)] += 1
                else:
                    self._file(path)
            stack += reversed(folders)

    def _link(self, link: Path, links: deque[Path]) -> None:
        real, here = Path(os.path.realpath(link)), Path(os.path.realpath(link.parent))
        if here.is_relative_to(real):
            reason = f"a link back to {printable(real)}, the folder it lies in; not followed"
            self.found.skipped.append(Skipped(link, reason))
        elif real.is_dir():
            self._folder(link, links)
        elif reader_of(link) is None:
            self.found.ignored[suffix_of(link)] += 1
        else:
            self._file(link)

    def _file(self, path: Path) -> None:
        try:
            file = look(path)
        except (OSError, PonderError) as error:
            self._skip(path, error)
            return
        if self._is_new(path):
            self.found.files.append(file)

    def _is_new(self, path: Path) -> bool:
        real = os.path.realpath(path)
        if real in self._seen:
            return False
        self._seen.add(real)
        return True

    def _skip(self, path: Path, error: OSError | PonderError) -> None:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        self.found.skipped.append(Skipped(path, reason))
