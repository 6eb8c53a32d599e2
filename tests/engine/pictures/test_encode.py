"""A dream is written in its source's format, with all that the source carried."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from deepdream_engine.errors import BadOption
from deepdream_engine.pictures import OutputOptions, Picture, decode, encode, output_format, suffix_of
from deepdream_engine.pictures.encode import to_8bit
from tests.corpus import saved, scene, srgb_profile

ALL = ("jpeg", "png", "webp", "tiff", "bmp", "gif")
PIXELS = scene(3).astype(np.float32) / np.float32(255)


def source(**changes: object) -> Picture:
    return replace(Picture(pixels=PIXELS, format="PNG"), **changes)  # type: ignore[arg-type]


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


@pytest.mark.parametrize(
    ("found", "wanted", "written"),
    [
        ("JPEG", "same", "JPEG"),
        ("MPO", "same", "JPEG"),
        ("PPM", "same", "PNG"),
        ("TGA", "same", "PNG"),
        ("GIF", "same", "GIF"),
        ("WEBP", "tiff", "TIFF"),
        ("PNG", "jpeg", "JPEG"),
    ],
)
def test_the_format_is_the_sources_unless_the_options_say_otherwise(found: str, wanted: str, written: str) -> None:
    assert output_format(found, OutputOptions(wanted)) == written
    assert opened(encode(PIXELS, source(format=found), OutputOptions(wanted), {})).format == written


def test_suffixes() -> None:
    assert [suffix_of(name) for name in ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "jpeg")] == [
        *(".jpg", ".png", ".webp", ".tif", ".bmp", ".gif", ".jpg")
    ]
    with pytest.raises(BadOption, match="Valid"):
        suffix_of("XYZ")


def test_options_that_do_not_exist_are_refused_with_the_nearest() -> None:
    with pytest.raises(BadOption, match=r"'jpg'.*'jpeg'"):
        OutputOptions("jpg")
    for quality in (0, 101, True, 3.5):
        with pytest.raises(BadOption, match="1 to 100"):
            OutputOptions(quality=quality)  # type: ignore[arg-type]


@pytest.mark.parametrize("format", ["png", "tiff", "bmp", "webp"])
def test_a_lossless_format_keeps_every_level(format: str) -> None:
    picture = decode(encode(PIXELS, source(), OutputOptions(format, 100), {"a": 1}))
    assert np.array_equal(to_8bit(picture.pixels), scene(3))


def test_rounding_is_half_to_even_after_clipping() -> None:
    values = np.array([-1, 0, 0.5 / 255, 1.5 / 255, 2.5 / 255, 254.5 / 255, 1, 7], dtype=np.float64)
    exact = np.array([0.5, 1.5, 2.5], dtype=np.float32)
    assert np.rint(exact).tolist() == [0, 2, 2]
    assert to_8bit(values.astype(np.float32))[[0, 1, 6, 7]].tolist() == [0, 0, 255, 255]


@pytest.mark.parametrize("format", ALL)
def test_the_same_pixels_are_the_same_bytes(format: str) -> None:
    first, second = (encode(PIXELS, source(), OutputOptions(format), {"b": 1, "a": 2}) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("format", ["png", "tiff", "webp"])
def test_alpha_is_attached_again(format: str) -> None:
    alpha = scene(4)[..., 0].astype(np.float32) / np.float32(255)
    picture = decode(encode(PIXELS, source(alpha=alpha), OutputOptions(format, 100), {}))
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha, alpha)
    assert np.array_equal(to_8bit(picture.pixels), scene(3))


def test_alpha_is_resized_to_a_dream_of_another_size() -> None:
    alpha = np.zeros((28, 36), dtype=np.float32)
    alpha[:, 18:] = 1
    picture = decode(encode(PIXELS, source(alpha=alpha), OutputOptions("png"), {}))
    assert picture.alpha is not None
    assert picture.alpha.shape == (56, 72)
    assert picture.alpha[:, :30].max() < 0.1
    assert picture.alpha[:, 42:].min() > 0.9


@pytest.mark.parametrize("format", ["jpeg", "bmp"])
def test_without_alpha_a_transparent_source_lies_on_white(format: str) -> None:
    alpha = np.zeros((56, 72), dtype=np.float32)
    alpha[:, 40:] = 1
    picture = decode(encode(PIXELS, source(alpha=alpha), OutputOptions(format, 95), {}))
    assert picture.pixels[:, :32].min() > 0.97
    assert np.abs(picture.pixels[:, 48:] - PIXELS[:, 48:]).mean() < 0.02


def test_a_gif_has_a_fine_palette_and_keeps_its_holes() -> None:
    opaque = decode(encode(PIXELS, source(), OutputOptions("gif"), {}))
    assert np.abs(opaque.pixels - PIXELS).mean() < 0.02
    alpha = np.ones((56, 72), dtype=np.float32)
    alpha[10:20, 10:20] = 0
    holed = decode(encode(PIXELS, source(alpha=alpha), OutputOptions("gif"), {}))
    assert holed.alpha is not None
    assert np.array_equal(holed.alpha, alpha)
    assert np.abs(holed.pixels - PIXELS)[alpha == 1].mean() < 0.02


def test_fine_jpegs_keep_full_colour_resolution_and_all_are_progressive() -> None:
    fine = opened(encode(PIXELS, source(), OutputOptions("jpeg", 92), {}))
    coarse = opened(encode(PIXELS, source(), OutputOptions("jpeg", 70), {}))
    assert [layer[1:3] for layer in fine.layer] == [(1, 1)] * 3  # type: ignore[attr-defined]
    assert coarse.layer[0][1:3] == (2, 2)  # type: ignore[attr-defined]
    assert fine.info["progressive"]
    assert coarse.info["progressive"]


@pytest.mark.parametrize("format", ["jpeg", "png", "webp", "tiff"])
def test_exif_profile_and_resolution_travel(format: str) -> None:
    exif = Image.Exif()
    exif[0x10F], exif[0x13B] = "Camera", "Zoë".encode()
    exif[0x8769] = {0x9003: "2020:02:03 04:05:06"}
    exif[0x8825] = {1: "N", 2: (1.0, 2.0, 3.0)}
    data = saved(Image.fromarray(scene(3)), "JPEG", exif=exif.tobytes(), icc_profile=srgb_profile(), dpi=(300, 200))
    again = decode(encode(PIXELS, decode(data), OutputOptions(format), {"x": 1}))
    kept = Image.Exif()
    kept.load(again.exif or b"")
    assert kept[0x10F] == "Camera"
    assert "Zoë".encode() in (again.exif or b"")
    assert kept.get_ifd(0x8769)[0x9003] == "2020:02:03 04:05:06"
    assert kept.get_ifd(0x8825)[2] == (1.0, 2.0, 3.0)
    assert again.icc_profile == srgb_profile()
    if format != "webp":
        assert again.dpi == pytest.approx((300, 200), abs=0.01)


def test_a_tiff_is_compressed_and_read_by_pillow_in_strips() -> None:
    pixels = np.zeros((700, 900, 3), dtype=np.float32)
    pixels[200:500, 300:600] = 0.5
    data = encode(pixels, source(), OutputOptions("tiff"), {})
    assert len(data) < 20_000
    image = opened(data)
    assert image.info["compression"] == "tiff_adobe_deflate"
    assert np.array_equal(np.asarray(image), to_8bit(pixels))


def test_exif_too_large_for_a_jpeg_loses_its_maker_note_first() -> None:
    exif = Image.Exif()
    exif[0x10F] = "Camera"
    exif[0x8769] = {0x927C: b"m" * 70_000, 0x9003: "2020:02:03 04:05:06"}
    again = decode(encode(PIXELS, source(exif=exif.tobytes()), OutputOptions("jpeg"), {}))
    kept = Image.Exif()
    kept.load(again.exif or b"")
    assert kept[0x10F] == "Camera"
    assert 0x927C not in kept.get_ifd(0x8769)


@pytest.mark.parametrize(("format", "side"), [("webp", 16_384), ("gif", 65_536), ("jpeg", 65_536)])
def test_a_dream_too_large_for_its_format_says_which_to_take(format: str, side: int) -> None:
    with pytest.raises(BadOption, match="png or tiff"):
        encode(np.zeros((1, side, 3), dtype=np.float32), source(), OutputOptions(format), {})
