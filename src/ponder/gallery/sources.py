"""The packages the Gallery is made of, and how their files become entries."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Literal

from ponder.gallery.clipart import read_clipart
from ponder.gallery.emoji import read_google, read_names, read_openmoji
from ponder.gallery.stamps import read_stamps
from ponder.packages import Deb, Npm, Package, unpack

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ponder.gallery.entry import Entry

Part = Literal["demo", "full"]

OPENMOJI = Npm(
    "openmoji", "17.0.0", "55ee7d13485dec86e9f38c1f3a645a13382d33ff97c0cd845ee824b0aef45e68"
)
GOOGLE = Npm(
    "emoji-datasource-google",
    "16.0.0",
    "fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438",
)
NAMES = Npm(
    "emojibase-data", "17.0.0", "d01d0e2ca4e22cb402679532155342c71e2e871f25c32223c013b8b166ebdf5a"
)
STAMPS = Deb(
    "tuxpaint-stamps-default",
    "2022.06.04-1",
    "6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34",
)
CLIPART_PNG = Deb(
    "openclipart-png",
    "1:0.18+dfsg-19",
    "f07f1545a2970c2cf3fa339bc2405da1a95cf2b1827bfa05bf73eb1c20291c02",
)
CLIPART_SVG = Deb(
    "openclipart-svg",
    "1:0.18+dfsg-19",
    "989712d90d57dfa3230049f553bb43b76c30ee4d4b8c5f6e106e33f7db5cbdc5",
)
PACKAGES: dict[Part, tuple[Package, ...]] = {
    "demo": (OPENMOJI, GOOGLE, NAMES),
    "full": (OPENMOJI, GOOGLE, NAMES, STAMPS, CLIPART_PNG, CLIPART_SVG),
}

_WANTED = re.compile(
    r"package/(color/svg/.*\.svg|data/openmoji\.json|img/google/64/.*\.png|emoji\.json|"
    r"[a-z-]+/data\.json)|usr/share/(tuxpaint|openclipart)/.*\.(png|svg|txt)"
)


def unpack_all(archives: Iterable[tuple[Package, Path]], folder: Path) -> None:
    """Unpack what the Gallery needs of its packages, for `read_entries` to find."""
    for package, archive in archives:
        # Debian packages share one tree; npm's all unpack to a folder called "package".
        place = folder / ("debian" if isinstance(package, Deb) else package.name)
        unpack(archive, place, lambda name: bool(_WANTED.fullmatch(name)))


def read_entries(part: Part, folder: Path) -> tuple[list[Entry], Counter[str]]:
    """Read the entries of a part from its unpacked packages.

    Returns:
        The entries, and how many pictures were left out for which reason.
    """
    names = read_names(folder / NAMES.name)
    entries = read_openmoji(folder / OPENMOJI.name, names, str(OPENMOJI))
    entries += read_google(folder / GOOGLE.name, names, str(GOOGLE))
    dropped: Counter[str] = Counter()
    if part == "full":
        entries += read_stamps(folder / "debian", str(STAMPS))
        clipart, dropped = read_clipart(folder / "debian", _words(entries), str(CLIPART_PNG))
        entries += clipart
    return entries, dropped


def _words(entries: Iterable[Entry]) -> set[str]:
    texts = (c.text for entry in entries for c in entry.captions if c.language == "en")
    return {word for text in texts for word in re.findall(r"[^\W\d_]+", text.lower())}
