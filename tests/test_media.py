from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from ponder.media import (
    Limits,
    MediaError,
    check_size,
    fit,
    read_frames,
    read_page,
    read_pages,
    read_picture,
)

sys.path.insert(0, str(Path(__file__).parent / "index"))
from file_samples import make_heif, make_pdf, make_picture, make_video

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    "suffix", [".png", ".jpg", ".webp", ".gif", ".bmp", ".tif", ".ppm", ".tga"]
)
def test_every_format_gives_the_same_rgb(tmp_path: Path, suffix: str) -> None:
    picture = read_picture(make_picture(tmp_path / f"a{suffix}", "purple"))
    assert (picture.mode, picture.size) == ("RGB", (64, 48))
    assert np.abs(np.asarray(picture).astype(int) - (128, 0, 128)).max() <= 3


@pytest.mark.parametrize("suffix", [".heic", ".avif"])
def test_what_phones_take_is_read(tmp_path: Path, suffix: str) -> None:
    path = make_heif(tmp_path / f"a{suffix}")
    for source in (path, path.read_bytes()):
        picture = read_picture(source)
        assert (picture.mode, picture.size) == ("RGB", (48, 64))  # turned by a quarter
        assert np.abs(np.asarray(picture).astype(int) - (128, 0, 128)).max() <= 6
    with pytest.raises(MediaError, match=r"\d+x\d+ pixels, over"):
        read_picture(path, Limits(max_pixels=3000))
    raw = path.read_bytes()
    for tenths in range(1, 10):
        with pytest.raises(MediaError):
            read_picture(raw[: len(raw) * tenths // 10])


def test_orientation_is_applied(tmp_path: Path) -> None:
    picture = Image.new("RGB", (30, 10), "red")
    exif = picture.getexif()
    exif[0x0112] = 6  # turned by a quarter
    picture.save(tmp_path / "a.jpg", exif=exif)
    assert read_picture(tmp_path / "a.jpg").size == (10, 30)


def test_transparency_is_white(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png").getpixel((0, 0)) == (255, 255, 255)
    palette = Image.new("P", (4, 4), 0)
    palette.save(tmp_path / "b.gif", transparency=0)
    assert read_picture(tmp_path / "b.gif").getpixel((0, 0)) == (255, 255, 255)


def test_sixteen_bits_are_stretched(tmp_path: Path) -> None:
    values = np.linspace(1000, 3000, 64, dtype=np.uint16).reshape(8, 8)
    Image.fromarray(values).save(tmp_path / "a.png")
    picture = np.asarray(read_picture(tmp_path / "a.png"))
    assert (picture.min(), picture.max()) == (0, 255)


def test_a_large_picture_is_scaled_and_a_too_large_one_refused(tmp_path: Path) -> None:
    path = make_picture(tmp_path / "a.png", 1, (2000, 500))
    assert read_picture(path).size == (1024, 256)
    with pytest.raises(MediaError, match="2000x500 pixels, over the limit of 999,999"):
        read_picture(path, Limits(max_pixels=999_999))
    with pytest.raises(MediaError, match="over the limit"):
        check_size(11, Limits(max_bytes=10))


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_small_side_gives_nearly_what_scaling_the_whole_picture_gives(
    tmp_path: Path, suffix: str
) -> None:
    path = make_picture(tmp_path / f"a{suffix}", 1, (1000, 700))
    small = read_picture(path, Limits(max_side=100))
    whole = fit(read_picture(path), 100)
    assert small.size == whole.size == (100, 70)
    assert np.abs(np.asarray(small).astype(int) - np.asarray(whole)).mean() < 2


def test_pages_have_pictures_and_words(tmp_path: Path) -> None:
    path = make_pdf(tmp_path / "a.pdf", ["one fish", "two fish"])
    pages = list(read_pages(path))
    assert [(page.number, page.text.strip()) for page in pages] == [
        (1, "one fish"),
        (2, "two fish"),
    ]
    assert pages[0].picture.size == (1024, 1024)
    assert np.asarray(read_page(path, 2)).tobytes() == np.asarray(pages[1].picture).tobytes()
    assert read_page(path, 1, Limits(page_side=300, max_side=100)).size == (300, 300)
    with pytest.raises(MediaError, match="page 3 asked for, but the document has 2"):
        read_page(path, 3)
    with pytest.raises(MediaError, match="2 pages, over the limit of 1"):
        list(read_pages(path, Limits(max_pages=1)))
    first = next(read_pages(path, Limits(max_page_chars=3)))
    assert (first.text, first.left_out) == ("one", 5)
    assert pages[0].left_out == 0


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".mov"])
def test_frames_are_spread_evenly(tmp_path: Path, suffix: str) -> None:
    frames = read_frames(make_video(tmp_path / f"a{suffix}", seconds=8))
    times = [time for time, _ in frames]
    assert np.allclose(times, np.arange(8) + 0.5, atol=0.15)
    greys = [float(np.asarray(picture).mean()) for _, picture in frames]
    assert greys == sorted(greys)


def test_a_long_video_is_sampled_over_all_its_length_by_seeking(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", seconds=400)
    frames = read_frames(path, Limits(max_decoded_frames=500))  # of 4,000
    assert np.allclose([time for time, _ in frames], 50 * np.arange(8) + 25, atol=0.2)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_video_of_few_frames_gives_each_once(tmp_path: Path, count: int) -> None:
    frames = read_frames(make_video(tmp_path / "a.mp4", seconds=count / 10))
    assert len(frames) == count
    assert len({time for time, _ in frames}) == count


def test_a_video_that_breaks_off_is_refused(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", seconds=20)
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(MediaError, match=r"breaks off|unreadable video"):
        read_frames(path)


@pytest.mark.parametrize("sound_s", [0, 20])
@pytest.mark.parametrize("suffix", [".mkv", ".avi", ".mp4", ".mov"])
def test_a_video_cut_off_anywhere_is_refused(tmp_path: Path, suffix: str, sound_s: float) -> None:
    raw = make_video(tmp_path / f"a{suffix}", seconds=5, sound_s=sound_s).read_bytes()
    path = tmp_path / f"cut{suffix}"
    for kept in (50, 500, *(len(raw) * tenths // 10 for tenths in range(1, 10)), len(raw) - 10):
        path.write_bytes(raw[:kept])
        with pytest.raises(MediaError):
            read_frames(path)
    assert len(read_frames(tmp_path / f"a{suffix}")) == 8


def test_a_cut_off_matroska_file_says_how_much_is_there(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", seconds=5)
    raw = path.read_bytes()
    path.write_bytes(raw[:1000])
    with pytest.raises(MediaError, match=f"breaks off: 1,000 of {len(raw):,} bytes are there"):
        read_frames(path)
    path.write_bytes(raw + b"more")
    assert read_frames(path)


def test_a_live_recording_says_no_size_and_is_read(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", seconds=5, sound_s=9, is_live=True)
    assert read_frames(path)
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) * 3 // 4])
    assert read_frames(path)


def test_a_playlist_opens_no_other_file(tmp_path: Path) -> None:
    make_video(tmp_path / "secret.ts")
    playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nsecret.ts\n#EXT-X-ENDLIST\n"
    for name, text in (("a.mp4", playlist), ("b.mp4", "ffconcat version 1.0\nfile secret.ts\n")):
        (tmp_path / name).write_text(text)
        with pytest.raises(MediaError, match="unreadable video"):
            read_frames(tmp_path / name)


@pytest.mark.parametrize(
    ("make", "suffix", "read"),
    [
        (lambda path: make_picture(path, "red"), ".png", read_picture),
        (lambda path: make_pdf(path, ["x"]), ".pdf", lambda path: list(read_pages(path))),
        (make_video, ".mp4", read_frames),
    ],
)
def test_names_that_are_no_utf8_are_read(
    tmp_path: Path,
    make: Callable[[Path], Path],
    suffix: str,
    read: Callable[[Path], object],
) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9" + suffix.encode()))
    make(tmp_path / f"a{suffix}").rename(odd)
    assert read(odd)


@pytest.mark.parametrize("read", [read_picture, read_frames, lambda path: list(read_pages(path))])
def test_what_is_no_media_file_is_one_error(tmp_path: Path, read: Callable[[Path], object]) -> None:
    junk = tmp_path / "junk"
    junk.write_bytes(b"junk" * 1000)
    (tmp_path / "empty").touch()
    for path in (junk, tmp_path / "empty", tmp_path / "missing", tmp_path):
        with pytest.raises(MediaError):
            read(path)


def test_a_video_in_an_unknown_codec_is_refused(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.avi")
    path.write_bytes(path.read_bytes().replace(b"FMP4", b"ZZZZ"))
    with pytest.raises(MediaError, match="its codec is not known"):
        read_frames(path)
