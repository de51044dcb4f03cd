"""Fetching from a real local index, and unpacking archives that mean harm."""

import hashlib
import io
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from ponder.errors import FetchError
from ponder.packages import Deb, Npm, Wheel, fetch, unpack


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wheel:
    """A wheel that pip finds in a folder and nowhere else."""
    links = tmp_path / "links"
    links.mkdir()
    wheel = links / "tiny_thing-1.0-py3-none-any.whl"
    meta = "tiny_thing-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as zipped:
        zipped.writestr("tiny_thing/data.bin", b"weights")
        zipped.writestr(
            f"{meta}/METADATA", "Metadata-Version: 2.1\nName: tiny-thing\nVersion: 1.0\n"
        )
        zipped.writestr(
            f"{meta}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        zipped.writestr(f"{meta}/RECORD", "")
    monkeypatch.setenv("PONDER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    return Wheel("tiny-thing", "1.0", hashlib.sha256(wheel.read_bytes()).hexdigest())


def test_fetches_once_and_then_needs_no_index(tiny: Wheel, tmp_path: Path) -> None:
    archive = fetch(tiny)
    assert archive.parent == tmp_path / "home" / "packages"
    shutil.rmtree(tmp_path / "links")
    assert fetch(tiny) == archive
    unpack(archive, tmp_path / "out", lambda name: name.endswith(".bin"))
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert [path.read_bytes() for path in files] == [b"weights"]


def test_wrong_checksum_keeps_nothing(tiny: Wheel, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=f"{tiny.sha256}.*{'0' * 64}"):
        fetch(Wheel(tiny.name, tiny.version, "0" * 64))
    assert list((tmp_path / "home" / "packages").iterdir()) == []


def test_interrupted_or_damaged_fetch_starts_again(tiny: Wheel, tmp_path: Path) -> None:
    archive = fetch(tiny)
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    leftover = archive.parent / ".fetching-killed"
    leftover.mkdir()
    (leftover / archive.name).write_bytes(b"half")
    assert fetch(tiny).read_bytes() == whole


def test_unreachable_index_says_what_to_do(tiny: Wheel, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "links")
    with pytest.raises(FetchError, match=r"cannot fetch tiny-thing@1\.0: .*pip config list"):
        fetch(tiny)


@pytest.mark.parametrize(
    ("package", "advice"),
    [
        (Npm("some-icons", "1.0.0", "0" * 64), "no npm here.*install Node.js"),
        (Deb("some-stamps", "1:1.0-1", "0" * 64), "no apt-get here.*apt-get update"),
    ],
)
def test_missing_client_is_named(
    package: Npm | Deb, advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PONDER_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FetchError, match=advice):
        fetch(package)


@pytest.mark.parametrize("name", ["../escaped", "a/../../escaped", "/escaped", "a\\..\\escaped"])
@pytest.mark.parametrize("suffix", [".zip", ".tgz"])
def test_unpack_refuses_paths_outside(name: str, suffix: str, tmp_path: Path) -> None:
    archive = tmp_path / f"bad{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(archive, "w") as zipped:
            zipped.writestr(name, b"x")
    else:
        with tarfile.open(archive, "w:gz") as tarred:
            member = tarfile.TarInfo(name)
            member.size = 1
            tarred.addfile(member, io.BytesIO(b"x"))
    with pytest.raises(FetchError, match="outside"):
        unpack(archive, tmp_path / "out", lambda _: True)
    assert not list(tmp_path.rglob("escaped"))


def test_unpack_follows_no_link_out_of_the_folder(tmp_path: Path) -> None:
    archive = tmp_path / "linked.tgz"
    (tmp_path / "outside").mkdir()
    with tarfile.open(archive, "w:gz") as tarred:
        link = tarfile.TarInfo("door")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "outside")
        tarred.addfile(link)
        member = tarfile.TarInfo("door/escaped")
        member.size = 1
        tarred.addfile(member, io.BytesIO(b"x"))
    unpack(archive, tmp_path / "out", lambda _: True)
    assert (tmp_path / "out" / "door" / "escaped").read_bytes() == b"x"
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.parametrize("name", ["broken.whl", "broken.tgz"])
def test_unpack_names_a_broken_archive(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"not an archive")
    with pytest.raises(FetchError, match=f"{name}: broken archive"):
        unpack(tmp_path / name, tmp_path / "out", lambda _: True)


@pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="needs dpkg-deb")
def test_unpacks_debian_packages(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN" / "control").write_text(
        "Package: tiny\nVersion: 1\nArchitecture: all\nMaintainer: A B <a@example.org>\n"
        "Description: tiny\n"
    )
    (tree / "usr" / "share").mkdir(parents=True)
    (tree / "usr" / "share" / "a.txt").write_text("kept")
    (tree / "usr" / "share" / "b.ogg").write_text("not wanted")
    archive = tmp_path / "tiny.deb"
    subprocess.run(["dpkg-deb", "--build", tree, archive], check=True, capture_output=True)
    unpack(archive, tmp_path / "out", lambda name: name.endswith(".txt"))
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert files == [tmp_path / "out" / "usr" / "share" / "a.txt"]


@pytest.mark.net
def test_fetches_from_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PONDER_HOME", str(tmp_path))
    sha256 = "d01d0e2ca4e22cb402679532155342c71e2e871f25c32223c013b8b166ebdf5a"
    archive = fetch(Npm("emojibase-data", "17.0.0", sha256))
    unpack(archive, tmp_path / "out", lambda name: name == "package/fr/data.json")
    assert (tmp_path / "out" / "package" / "fr" / "data.json").stat().st_size > 100_000
