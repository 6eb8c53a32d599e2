"""Pictures are read and written some rows at a time, and nobody can tell from the result."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from PIL import Image

from deepdream_engine.pictures import OutputOptions, Picture, bands, decode, encode
from tests.corpus import good_pictures, oriented, saved, scene

FORMATS = ("jpeg", "png", "webp", "tiff", "bmp", "gif")
WHOLE = 1 << 40
T = TypeVar("T")


def same(one: Picture, other: Picture) -> bool:
    if (one.alpha is None) != (other.alpha is None):
        return False
    alike = one.alpha is None or other.alpha is None or np.array_equal(one.alpha, other.alpha)
    return alike and np.array_equal(one.pixels, other.pixels)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 5000), (7, 3), (5000, 1), (56, 72), (13, 100)])
@pytest.mark.parametrize("band_px", [1, 150, 1000])
def test_the_bands_are_every_row_once_in_order(
    height: int, width: int, band_px: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bands, "BAND_PX", band_px)
    cut = list(bands.bands(height, width))
    assert [row for band in cut for row in range(height)[band]] == list(range(height))
    assert all(band.stop - band.start == 1 or (band.stop - band.start) * width <= band_px for band in cut)


@pytest.mark.parametrize("band_px", [1, 3 * 72, 1000])  # 56 rows, one, three or thirteen at a time
def test_every_kind_of_picture_is_the_same_in_bands_and_whole(
    band_px: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [path.read_bytes() for path in good_pictures(tmp_path, 37)]
    files.append(saved(Image.fromarray((scene(5)[..., 0].astype(np.float32) - 99) * 7), "TIFF"))  # stretched
    monkeypatch.setattr(bands, "BAND_PX", WHOLE)
    whole = [decode(data) for data in files]
    monkeypatch.setattr(bands, "BAND_PX", band_px)
    assert [index for index, data in enumerate(files) if not same(decode(data), whole[index])] == []


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("alpha_of", [None, (56, 72), (28, 36)])
def test_every_format_is_the_same_in_bands_and_whole(
    format: str, alpha_of: tuple[int, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = scene(3).astype(np.float32) / np.float32(254) - np.float32(0.01)  # a little out of range
    alpha = None if alpha_of is None else scene(4)[: alpha_of[0], : alpha_of[1], 0].astype(np.float32) / np.float32(255)
    picture = Picture(pixels=pixels, format="PNG", alpha=alpha)
    monkeypatch.setattr(bands, "BAND_PX", WHOLE)
    whole = encode(pixels, picture, OutputOptions(format), {})
    monkeypatch.setattr(bands, "BAND_PX", 5 * 72)
    assert encode(pixels, picture, OutputOptions(format), {}) == whole


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 300), (300, 1), (5, 7)])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_thin_pictures_keep_every_pixel(
    height: int, width: int, orientation: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bands, "BAND_PX", 14)
    stored = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    picture = decode(saved(Image.fromarray(stored), "PNG", exif=oriented(orientation)))
    assert picture.pixels.shape[:2] == ((height, width) if orientation < 5 else (width, height))
    back = {2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}.get(orientation, 1)
    data = encode(picture.pixels, picture, OutputOptions("png"), {})
    turned_back = decode(saved(Image.open(io.BytesIO(data)), "PNG", exif=oriented(back)))
    assert np.array_equal(np.rint(turned_back.pixels * 255), stored)


def test_decoded_pixels_lie_plane_by_plane_whatever_the_orientation() -> None:
    for orientation in range(1, 9):
        picture = decode(saved(Image.fromarray(scene(1)), "PNG", exif=oriented(orientation)))
        assert picture.pixels.transpose(2, 0, 1).flags.c_contiguous


def test_a_permuted_view_is_encoded_like_its_contiguous_copy() -> None:
    picture = decode(saved(Image.fromarray(scene(1)), "PNG"))
    interleaved = np.ascontiguousarray(picture.pixels)
    assert interleaved.strides != picture.pixels.strides
    for format in FORMATS:
        assert encode(picture.pixels, picture, OutputOptions(format), {}) == encode(
            interleaved, picture, OutputOptions(format), {}
        )


@pytest.mark.parametrize("kind", ["RGB", "RGBA", "I;16", "turned"])
def test_decoding_takes_little_more_than_its_result(kind: str) -> None:
    height, width = 1200, 1600
    if kind == "I;16":
        image = Image.fromarray(np.arange(height * width, dtype=np.uint16).reshape(height, width))
    else:
        image = Image.new("RGBA" if kind == "RGBA" else "RGB", (width, height), (20, 120, 220))
    data = saved(image, "PNG", compress_level=1, exif=oriented(6 if kind == "turned" else 1))
    peak, picture = _peak_of(lambda: decode(data))
    result = 12 if picture.alpha is None else 16
    allowed = 10 * 4 * bands.BAND_PX  # colours, alpha, levels and a copy of each
    assert peak < result * height * width + allowed


@pytest.mark.parametrize("format", ["jpeg", "png", "tiff", "bmp", "webp"])
def test_encoding_makes_no_second_picture_of_floats(format: str) -> None:
    height, width = 1200, 1600
    pixels = np.full((3, height, width), 0.4, dtype=np.float32).transpose(1, 2, 0)
    picture = Picture(pixels=pixels[:0], format="PNG")
    peak, data = _peak_of(lambda: encode(pixels, picture, OutputOptions(format), {}))
    assert peak < 2 * len(data) + 10 * 4 * bands.BAND_PX < 12 * height * width


def _peak_of(work: Callable[[], T]) -> tuple[int, T]:
    """Return the most that Python and NumPy held at once during ``work``, and its result."""
    tracemalloc.start()
    try:
        result = work()
        return tracemalloc.get_traced_memory()[1], result
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("quality", [70, 92, 95, 100])
def test_a_jpeg_as_dense_as_noise_is_written_whole(quality: int, capfd: pytest.CaptureFixture[str]) -> None:
    noise = np.random.default_rng(0).random((400, 500, 3), dtype=np.float32)
    picture = Picture(pixels=noise, format="JPEG")
    data = encode(noise, replace(picture, dpi=(72, 72)), OutputOptions("jpeg", quality), {"a": 1})
    assert decode(data).pixels.shape == noise.shape
    if quality == 100:
        assert len(data) > 2 * 400 * 500  # more than Pillow's buffer for it
        assert np.abs(decode(data).pixels - noise).mean() < 0.01
    assert capfd.readouterr().err == ""
