"""The folder that `first_use.py` indexes: files of many kinds, each with a question it answers.

Nothing is drawn at random but a scan's grain, which is seeded, so the folder is the same each time.
File names say nothing of what is in the files.
"""

from __future__ import annotations

import shutil
import sys
import sysconfig
import textwrap
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import matplotlib as mpl
import numpy as np
import yaml
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from pillow_heif import register_heif_opener

from ponder.gallery.sources import STAMPS
from ponder.packages import Deb, fetch, unpack

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "index"))
from office_samples import make_docx, make_eml, make_epub, make_pptx, make_xlsx

if TYPE_CHECKING:
    from collections.abc import Callable

CONTENTS = Path(__file__).with_name("first_use.yaml")
MATE = Deb(
    "mate-backgrounds",
    "1.26.0-1",
    "7bf4c2209f34b4f61ba6d24c8b58c28b361e82e4b943aae6d42c030169af9e04",
)
PHONE = (1600, 1200)  # pixels; larger ones are scaled down, as the folder is made on two cores
# A question about the text deep in a page; by then a reader of first words has stopped.
DEEP_AFTER = 1200
FILM_SUFFIXES = (".mp4", ".mkv", ".webm", ".mov")


@dataclass(frozen=True)
class Asked:
    """A file of the folder and what is asked for to find it.

    Attributes:
        kind: the row of the results it counts in.
        path: of the file.
        question: in words.
    """

    kind: str
    path: Path
    question: str


def make_folder(folder: Path, scratch: Path) -> list[Asked]:
    """Write the files.

    Args:
        folder: where to; it must not exist.
        scratch: where the packages with photographs are unpacked.
    """
    register_heif_opener()
    mpl.rcParams["pdf.fonttype"] = 42  # text that can be read back, as other programs write it
    photographs = _photographs(scratch)
    contents: dict[str, list[list[Any]]] = yaml.safe_load(CONTENTS.read_text(encoding="utf-8"))
    folder.mkdir()
    asked = []
    for kind, rows in contents.items():
        for number, (*content, question) in enumerate(rows):
            path = _MAKERS[kind](folder / f"{kind[:2]}{number:04d}", number, content, photographs)
            asked.append(Asked(kind, path, question))
    return asked


def _photographs(scratch: Path) -> dict[str, Path]:
    """Return the folder of each package's photographs."""
    for package in (MATE, STAMPS):
        unpack(fetch(package), scratch, lambda name: name.endswith((".jpg", ".png")))
    return {
        "skimage": _installed("skimage") / "data",
        "sklearn": _installed("sklearn") / "datasets" / "images",
        "matplotlib": _installed("matplotlib") / "mpl-data" / "sample_data",
        "mate": scratch / "usr/share/backgrounds/mate/nature",
        "stamps": scratch / "usr/share/tuxpaint/stamps",
    }


def _installed(module: str) -> Path:
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def _open(content: list[str], photographs: dict[str, Path]) -> Image.Image:
    package, name = content
    picture = Image.open(photographs[package] / name).convert("RGBA")
    picture.thumbnail(PHONE)
    page = Image.new("RGBA", picture.size, "white")
    page.alpha_composite(picture)
    return page.convert("RGB")


def _picture(suffix: str) -> Callable[..., Path]:
    def make(stem: Path, number: int, content: list[str], photographs: dict[str, Path]) -> Path:
        path = stem.with_suffix(suffix)
        _open(content, photographs).save(path, quality=90)
        return path

    return make


def _film(stem: Path, number: int, content: list[str], photographs: dict[str, Path]) -> Path:
    """Three seconds in which the camera comes nearer."""
    path = stem.with_suffix(FILM_SUFFIXES[number % len(FILM_SUFFIXES)])
    picture = _open(content, photographs)
    codec = "libvpx" if path.suffix == ".webm" else "libx264"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for i in range(30):
            share = 1 - 0.3 * i / 30
            w, h = picture.width * share, picture.height * share
            left, top = (picture.width - w) / 2, (picture.height - h) / 2
            shown = picture.resize((320, 240), box=(left, top, left + w, top + h))
            container.mux(stream.encode(av.VideoFrame.from_image(shown)))
        container.mux(stream.encode())
    return path


def _font(size: int, name: str = "DejaVuSans") -> ImageFont.FreeTypeFont:
    fonts = _installed("matplotlib") / "mpl-data" / "fonts" / "ttf"
    return ImageFont.truetype(fonts / f"{name}.ttf", size)


def _screenshot(stem: Path, number: int, content: list[str], _: dict[str, Path]) -> Path:
    layout, title, text = content
    is_terminal = layout == "terminal"
    shot = Image.new("RGB", (1280, 800), (58, 110, 165))
    draw = ImageDraw.Draw(shot)
    draw.rectangle((140, 90, 1140, 710), fill=(24, 24, 28) if is_terminal else (245, 245, 245))
    draw.rectangle((140, 90, 1140, 130), fill=(70, 70, 78))
    for i, colour in enumerate(("tomato", "gold", "limegreen")):
        draw.ellipse((155 + 28 * i, 102, 171 + 28 * i, 118), fill=colour)
    draw.text((640, 110), title, font=_font(20), fill="white", anchor="mm")
    for i, line in enumerate(text.split("\n")):
        at = (170, 165 + (70 if layout == "form" else 36) * i)
        if layout == "form":
            draw.rectangle((at[0] - 8, at[1] - 10, 1100, at[1] + 38), outline="grey", fill="white")
        font = _font(20, "DejaVuSansMono") if is_terminal else _font(24)
        draw.text(at, line, font=font, fill=(180, 240, 180) if is_terminal else "black")
    path = stem.with_suffix(".png")
    shot.save(path)
    return path


def _scan(stem: Path, number: int, content: list[str], _: dict[str, Path]) -> Path:
    """A printed page laid on the glass a little askew; every other one as a PDF of one picture."""
    title, text = content
    page = Image.new("L", (1240, 1754), 250)
    draw = ImageDraw.Draw(page)
    draw.text((140, 180), title, font=_font(52, "DejaVuSerif-Bold"), fill=20)
    lines = textwrap.fill(text, 52)
    draw.text((140, 320), lines, font=_font(32, "DejaVuSerif"), fill=30, spacing=18)
    rng = np.random.default_rng(number)
    page = page.rotate(rng.uniform(-1.5, 1.5), Image.Resampling.BICUBIC, fillcolor=235)
    grain = rng.normal(0, 9, (page.height, page.width))
    grey = np.asarray(page.filter(ImageFilter.GaussianBlur(0.8)), dtype=float) + grain
    path = stem.with_suffix(".pdf" if number % 2 else ".jpg")
    Image.fromarray(grey.clip(0, 255).astype(np.uint8)).save(path, quality=80, resolution=150)
    return path


def _pages(path: Path, pages: list[str]) -> Path:
    """A PDF with a text layer."""
    with PdfPages(path, metadata={"CreationDate": None}) as pdf:
        for page in pages:
            figure = Figure(figsize=(8.27, 11.69))
            figure.text(0.1, 0.93, page, size=11, va="top", linespacing=1.4, parse_math=False)
            pdf.savefig(figure)
    return path


def _pdf(stem: Path, number: int, content: list[str], _: dict[str, Path]) -> Path:
    title, text = content
    pages = [textwrap.fill(part, 80) for part in text.split("\n\n")]
    return _pages(stem.with_suffix(".pdf"), [f"{title}\n\n{pages[0]}", *pages[1:]])


def _deep(stem: Path, number: int, content: list[str], _: dict[str, Path]) -> Path:
    name, text = content
    around = _installed("sklearn") / "datasets" / "descr" / name
    words = " ".join(around.read_text(encoding="utf-8").split())
    cut = words.rindex(" ", 0, DEEP_AFTER) if len(words) > DEEP_AFTER else len(words)
    parts = (words[:cut], text, words[cut : cut + DEEP_AFTER])
    page = "\n\n".join(textwrap.fill(part, 80) for part in parts)
    return _pages(stem.with_suffix(".pdf"), [page])


def _chart(stem: Path, number: int, content: list[Any], _: dict[str, Path]) -> Path:
    shape, title, values = content
    figure = Figure()
    axes = figure.add_subplot(title=title)
    if shape == "pie":
        axes.pie(values, labels=["rent", "food", "travel", "clothes", "books", "gifts"])
    else:
        {"bar": axes.bar, "line": axes.plot, "scatter": axes.scatter}[shape](
            range(len(values)), values
        )
    path = stem.with_suffix(".pdf")
    figure.savefig(path, metadata={"CreationDate": None})
    return path


def _note(stem: Path, number: int, content: list[str], _: dict[str, Path]) -> Path:
    suffix, title, text = content
    path = stem.with_suffix(f".{suffix}")
    parts = (f"# {title}" if title else "", text)
    path.write_text("\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")
    return path


def _office(make: Callable[[Path, str, str], Path], suffix: str) -> Callable[..., Path]:
    def made(stem: Path, number: int, content: list[str], _: dict[str, Path]) -> Path:
        return make(stem.with_suffix(suffix), *content)

    return made


def _web(stem: Path, number: int, content: list[str], _: dict[str, Path]) -> Path:
    title, text = content
    path = stem.with_suffix(".html")
    path.write_text(
        f"<!doctype html><html lang=en><head><meta charset=utf-8><title>{title}</title>"
        "<style>nav{float:right}</style><script>var visits = 1;</script></head><body>"
        f"<nav><a href='/'>Home</a> <a href='/about'>About</a></nav><h1>{title}</h1>"
        f"<p>{text}</p></body></html>\n",
        encoding="utf-8",
    )
    return path


def _code(stem: Path, number: int, content: list[str], _: dict[str, Path]) -> Path:
    return Path(
        shutil.copy(Path(sysconfig.get_path("stdlib")) / content[0], stem.with_suffix(".py"))
    )


def _table(stem: Path, number: int, content: list[str], photographs: dict[str, Path]) -> Path:
    package, data = content
    path = stem.with_suffix(".csv")
    if package == "made":
        path.write_text(data, encoding="utf-8")
    elif package == "sklearn":
        shutil.copy(_installed("sklearn") / "datasets" / "data" / data, path)
    else:
        shutil.copy(photographs[package] / data, path)
    return path


_MAKERS: dict[str, Callable[..., Path]] = {
    "photograph": _picture(".jpg"),
    "heic": _picture(".heic"),
    "avif": _picture(".avif"),
    "video": _film,
    "screenshot": _screenshot,
    "scan": _scan,
    "pdf": _pdf,
    "chart": _chart,
    "deep-in-pdf": _deep,
    "note": _note,
    "docx": _office(make_docx, ".docx"),
    "pptx": _office(make_pptx, ".pptx"),
    "xlsx": _office(make_xlsx, ".xlsx"),
    "epub": _office(make_epub, ".epub"),
    "web": _web,
    "mail": _office(make_eml, ".eml"),
    "code": _code,
    "table": _table,
}
