"""A miniature of the official bundle: a few rows of each kind, real pictures, real frames."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

if TYPE_CHECKING:
    from collections.abc import Sequence

COLOURS = ("red", "green", "blue", "yellow", "purple", "orange")
IMAGES = "ziyjiang/MMEB_Test_Instruct"


def picture(colour: str, size: tuple[int, int] = (64, 48)) -> Image.Image:
    made = Image.new("RGB", size, "white")
    ImageDraw.Draw(made).ellipse((8, 8, size[0] - 8, size[1] - 8), fill=colour)
    return made


def encoded(made: Image.Image) -> bytes:
    stream = io.BytesIO()
    made.save(stream, "png")
    return stream.getvalue()


def write_rows(
    repo: Path, rows: Sequence[dict[str, Any]], subset: str = "", split: str = "test"
) -> None:
    """Write a subset as the Hub keeps it: Parquet, and a README that names the subsets."""
    folder = repo / (subset or "data")
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows)), folder / f"{split}-00000.parquet")
    listed = "".join(
        f"- config_name: {place.parent.name if subset else 'default'}\n  data_files:\n"
        f"  - split: {place.name.split('-')[0]}\n    path: {place.relative_to(repo)}\n"
        for place in sorted(repo.glob("*/*.parquet"))
    )
    (repo / "README.md").write_text(f"---\nconfigs:\n{listed}---\n")


def write_picture(path: Path, colour: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(colour).save(path)


def write_frames(folder: Path, colour: str, count: int = 12) -> None:
    """Write frames whose order is not that of their names as text."""
    for number in range(count):
        write_picture(folder / f"frame_{number}.jpg", colour)


def image_row(root: Path, **changes: Any) -> dict[str, Any]:
    """Return a row of the image tasks; `root` gets the pictures it names."""
    row = {
        "qry_inst": "<|image_1|>\nRepresent the given image for classification\n",
        "qry_text": "",
        "qry_img_path": "",
        "tgt_inst": "",
        "tgt_text": [""],
        "tgt_img_path": [""],
    } | changes
    for path in [row["qry_img_path"], *row["tgt_img_path"]]:
        if path:
            write_picture(root / "image-tasks" / path, Path(path).stem.split("_")[0])
    return row


def page_rows(
    gains: dict[str, dict[Any, int]], pages: Sequence[Any]
) -> dict[str, list[dict[str, Any]]]:
    """Return the three subsets of a task of pages, a query for each key of `gains`."""
    return {
        "queries": [{"query-id": q, "query": f"what is {q}", "language": "en"} for q in gains],
        "qrels": [
            {"query-id": q, "corpus-id": page, "score": gain}
            for q, judged in gains.items()
            for page, gain in judged.items()
        ],
        "corpus": [
            {"corpus-id": page, "image": {"bytes": encoded(picture(COLOURS[i % 6])), "path": None}}
            for i, page in enumerate(pages)
        ],
    }
