"""Everything that people call a picture becomes upright RGB; everything else becomes one clear reason."""

from __future__ import annotations

import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageFile

from deepdream_engine.errors import BadPicture
from deepdream_engine.pictures import OutputOptions, Picture, decode, encode
from tests.corpus import (
    bad_files,
    good_pictures,
    oriented,
    png_chunk,
    png_claiming,
    ramp16,
    saved,
    scene,
    srgb_profile,
    tiff16_big_endian,
)
from tests.engine.pictures.profiles import cmyk_with_green_cyan, grey_linear

RGB = scene(1)
LOSSLESS = ("PNG", "TIFF", "BMP", "WEBP")


def levels(picture: Picture) -> np.ndarray:
    return np.rint(picture.pixels * 255).astype(np.uint8)


def attempt(data: bytes) -> Picture | str:
    try:
        return decode(data)
    except BadPicture as error:
        return str(error)


def rgba() -> Image.Image:
    image = Image.fromarray(RGB)
    image.putalpha(Image.fromarray(scene(2)[..., 1]))
    return image


@pytest.mark.parametrize("format", LOSSLESS)
def test_a_lossless_picture_arrives_level_for_level(format: str) -> None:
    keywords = {"lossless": True} if format == "WEBP" else {}
    picture = decode(saved(Image.fromarray(RGB), format, **keywords))
    assert picture.format == format
    assert picture.pixels.dtype == np.float32
    assert picture.alpha is None
    assert np.array_equal(levels(picture), RGB)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_every_orientation_is_applied_exactly_once(format: str, orientation: int) -> None:
    stored = Image.fromarray(RGB)
    back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    if orientation in back:
        stored = stored.transpose(back[orientation])
    keywords = {"lossless": True} if format == "WEBP" else {}
    picture = decode(saved(stored, format, exif=oriented(orientation), **keywords))
    assert np.array_equal(levels(picture), RGB)
    if picture.exif is not None:
        kept = Image.Exif()
        kept.load(picture.exif)
        assert kept.get(0x112, 1) == 1


def test_alpha_turns_with_the_picture_and_colours_are_not_multiplied_by_it() -> None:
    picture = decode(saved(rgba(), "PNG", exif=oriented(6)))
    assert picture.alpha is not None
    assert np.array_equal(np.rint(picture.alpha * 255), np.rot90(scene(2)[..., 1], k=-1))
    assert np.array_equal(levels(picture), np.rot90(RGB, k=-1))


def test_the_orientation_in_xmp_becomes_upright_and_the_thumbnail_is_dropped() -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a xmlns:tiff="t" tiff:Orientation="6"/></x:xmpmeta>'
    exif = Image.Exif()
    exif[0x112], exif[0x10F] = 6, "Camera"
    exif[0x8769] = {0x9003: "2020:02:03 04:05:06", 0xA002: 999}
    picture = decode(saved(Image.fromarray(RGB), "JPEG", exif=exif.tobytes(), xmp=xmp))
    assert picture.xmp is not None
    assert b'tiff:Orientation="1"' in picture.xmp
    kept = Image.Exif()
    kept.load(picture.exif or b"")
    assert (kept[0x112], kept[0x10F]) == (1, "Camera")
    assert dict(kept.get_ifd(0x8769)) == {0x9003: "2020:02:03 04:05:06"}
    assert not kept.get_ifd(1)


def test_text_in_exif_keeps_bytes_that_are_not_ascii() -> None:
    exif = Image.Exif()
    exif[0x13B] = "Zoë".encode()
    picture = decode(saved(Image.fromarray(RGB), "JPEG", exif=exif.tobytes()))
    assert "Zoë".encode() in (picture.exif or b"")


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA", "YCbCr", "CMYK"])
def test_every_mode_looks_like_what_pillow_shows(mode: str) -> None:
    source = (rgba() if "A" in mode else Image.fromarray(RGB)).convert(mode)
    format = "TIFF" if mode in ("CMYK", "YCbCr") else "PNG"
    picture = decode(saved(source, format))
    expected = np.asarray(source.convert("RGBA" if "A" in source.mode else "RGB").convert("RGB"), dtype=int)
    assert np.abs(levels(picture).astype(int) - expected).max() <= 3
    assert (picture.alpha is not None) == (mode in ("LA", "RGBA"))


def test_a_palette_with_transparency_has_alpha() -> None:
    picture = decode(saved(Image.fromarray(RGB).quantize(4), "PNG", transparency=bytes([0, 128, 255, 255])))
    assert picture.alpha is not None
    assert set(np.rint(np.unique(picture.alpha) * 255).astype(int)) <= {0, 128, 255}
    assert picture.alpha.min() < 1


def test_cmyk_jpegs_are_not_negatives() -> None:
    picture = decode(saved(Image.fromarray(RGB).convert("CMYK"), "JPEG", quality=95))
    assert np.abs(levels(picture).astype(int) - RGB).mean() < 6
    assert picture.icc_profile is None


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk_goes_through_its_own_profile(format: str) -> None:
    cyan = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    red, green, blue = decode(saved(cyan, format, icc_profile=cmyk_with_green_cyan())).pixels.mean(axis=(0, 1))
    assert green > 2 * blue
    assert green > red
    assert decode(saved(cyan, format)).pixels.mean(axis=(0, 1))[2] > 0.9


def test_grey_goes_through_its_own_profile() -> None:
    grey = Image.new("L", (8, 8), 64)
    assert abs(levels(decode(saved(grey, "PNG", icc_profile=grey_linear()))).mean() - 137) < 3
    assert levels(decode(saved(grey, "PNG", icc_profile=srgb_profile()))).mean() == 64


def test_lab_becomes_the_rgb_it_came_from() -> None:
    lab = ImageCms.profileToProfile(
        Image.fromarray(RGB), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert lab is not None
    assert np.abs(levels(decode(saved(lab, "TIFF"))).astype(int) - RGB).mean() < 3


def test_the_profile_of_rgb_is_kept_and_rubbish_is_not() -> None:
    profile = srgb_profile()
    assert decode(saved(Image.fromarray(RGB), "PNG", icc_profile=profile)).icc_profile == profile
    assert decode(saved(Image.fromarray(RGB), "PNG", icc_profile=cmyk_with_green_cyan())).icc_profile is None
    assert decode(saved(Image.fromarray(RGB), "PNG", icc_profile=b"rubbish")).icc_profile is None


def test_16_bit_grey_is_scaled_and_not_clipped() -> None:
    values = ramp16(5)
    expected = values.astype(np.float64) / 65535
    for data in (
        saved(Image.fromarray(values), "PNG"),
        saved(Image.fromarray(values), "TIFF"),
        tiff16_big_endian(values),
        saved(Image.fromarray(values.astype(np.int32)), "TIFF"),
    ):
        picture = decode(data)
        assert np.abs(picture.pixels - expected[..., None]).max() < 1e-6


@pytest.mark.parametrize(("scale", "offset"), [(1.0, 0.0), (255.0, 0.0), (65535.0, 0.0), (2e6, -1e6)])
def test_float_grey_is_brought_into_range(scale: float, offset: float) -> None:
    values = ramp16(5).astype(np.float64) / 65535
    picture = decode(saved(Image.fromarray((values * scale + offset).astype(np.float32)), "TIFF"))
    assert np.abs(picture.pixels[..., 0] - values).max() < 1e-5


def test_float_grey_with_holes_stays_finite() -> None:
    values = np.full((8, 8), 0.5, dtype=np.float32)
    values[0, :3] = np.nan, np.inf, -np.inf
    assert np.isfinite(decode(saved(Image.fromarray(values), "TIFF")).pixels).all()


def test_the_first_frame_of_many_is_taken() -> None:
    first, second = Image.fromarray(scene(1)).quantize(64), Image.fromarray(scene(2)).quantize(64)
    for format in ("GIF", "TIFF", "WEBP", "PNG"):
        keywords = {"lossless": True} if format == "WEBP" else {}
        picture = decode(saved(first, format, save_all=True, append_images=[second], **keywords))
        assert np.abs(levels(picture).astype(int) - np.asarray(first.convert("RGB"))).max() <= 2


def test_resolution_turns_with_the_picture() -> None:
    data = saved(Image.fromarray(RGB), "JPEG", dpi=(300, 150), exif=oriented(6))
    assert decode(data).dpi == (150, 300)
    assert decode(saved(Image.fromarray(RGB), "PNG")).dpi is None


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", ["empty"]),
        (b"hello, world", ["not a picture", "hello", "text"]),
        (b"%PDF-1.4 x", ["not a picture", "%PDF", "PDF"]),
        (b"PK\x03\x04abcdef", ["not a picture", "ZIP"]),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00", ["not a picture", "HEIC", "convert"]),
        (b"\x00\x00\x00\x18ftypisom\x00\x00\x00\x00", ["not a picture", "video"]),
        (b"<!DOCTYPE html><p>", ["not a picture", "HTML"]),
        (bytes(99), ["not a picture", "zero bytes"]),
        (png_claiming(0, 5), ["zero size", "0 x 5"]),
        (png_claiming(60_000, 60_000), ["3,600.0 megapixels", "limit is 200", "max_megapixels"]),
        (saved(Image.fromarray(RGB), "JPEG")[:500], ["truncated JPEG", "500 bytes"]),
        (saved(Image.fromarray(RGB), "PNG")[:500], ["truncated PNG"]),
    ],
)
def test_a_refusal_says_what_is_wrong(data: bytes, words: list[str]) -> None:
    with pytest.raises(BadPicture) as caught:
        decode(data)
    for word in words:
        assert word in str(caught.value)


def test_a_kind_of_tiff_that_cannot_be_read_says_what_to_do() -> None:
    data = bytearray(saved(Image.fromarray(RGB), "TIFF"))
    at = data.index(struct.pack("<HHI", 262, 3, 1)) + 8
    data[at : at + 2] = struct.pack("<H", 32844)  # LogL: not for RGB
    with pytest.raises(BadPicture, match="8 bits per channel"):
        decode(bytes(data))


def test_a_wrong_checksum_is_damage() -> None:
    data = bytearray(saved(Image.fromarray(RGB), "PNG"))
    data[data.index(b"IDAT") + 60] ^= 1
    with pytest.raises(BadPicture, match=r"damaged PNG.*checksum.*IDAT"):
        decode(bytes(data))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF"])
def test_a_cut_picture_is_refused_or_complete_never_partly_grey(format: str) -> None:
    whole = saved(Image.fromarray(RGB), format)
    expected = decode(whole).pixels
    for end in sorted({*range(1, len(whole), len(whole) // 40), *range(len(whole) - 12, len(whole))}):
        outcome = attempt(whole[:end])
        if isinstance(outcome, Picture):
            assert np.array_equal(outcome.pixels, expected)
        else:
            assert "truncated" in outcome or end < 16


def test_a_cut_picture_is_refused_even_where_somebody_told_pillow_to_accept_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(BadPicture, match="truncated"):
        decode(saved(Image.fromarray(RGB), "JPEG")[:-300])


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF"])
def test_only_our_limit_counts_and_pillows_own_neither_warns_nor_refuses(
    format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    data = saved(Image.fromarray(RGB), format)  # 72 x 56 is 4,032 pixels
    with pytest.raises(BadPicture, match=r"72 x 56 is 0\.0 megapixels.*max_megapixels"):
        decode(data, max_megapixels=0.004)
    assert decode(data, max_megapixels=0.005).pixels.shape == (56, 72, 3)


def test_the_limit_is_enforced_before_anything_is_decoded() -> None:
    header = struct.pack(">IIBBBBB", 15_000, 15_000, 8, 2, 0, 0, 0)
    packed = zlib.compress(bytes(1000))
    data = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", packed) + png_chunk(b"IEND", b"")
    with pytest.raises(BadPicture, match="225"):
        decode(data)


def test_an_enormous_tile_in_a_small_tiff_is_refused() -> None:
    tags = [(256, 3, 64), (257, 3, 64), (258, 3, 8), (259, 3, 8), (262, 3, 1), (277, 3, 1)]
    tags += [(322, 4, 65_520), (323, 4, 65_520), (324, 4, 8), (325, 4, 8)]
    directory = b"".join(struct.pack("<HHI", tag, kind, 1) + struct.pack("<I", value) for tag, kind, value in tags)
    with pytest.raises(BadPicture, match="too large"):
        decode(b"II*\x00" + struct.pack("<IH", 8, len(tags)) + directory + bytes(12))


def test_a_cut_tiff_leaves_nothing_on_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    picture = decode(saved(Image.fromarray(RGB), "PNG"))
    data = encode(picture.pixels, picture, OutputOptions("tiff"), {})
    for missing in (1, 100, 1000):
        with pytest.raises(BadPicture, match="truncated TIFF"):
            decode(data[:-missing])
    assert capfd.readouterr().err == ""


def test_odd_metadata_neither_warns_nor_refuses() -> None:
    exif = b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x05\x00" + b"\x12\x01\x03\x00\xff\xff\xff\xff" * 3
    picture = decode(saved(Image.fromarray(RGB), "JPEG", exif=exif))
    assert picture.pixels.shape == (56, 72, 3)


def test_out_of_memory_stays_transient(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    with pytest.raises(MemoryError):
        decode(saved(Image.fromarray(RGB), "BMP"))


def test_a_phone_photo_of_two_frames_is_a_picture_to_write_as_jpeg() -> None:
    data = saved(Image.fromarray(RGB), "MPO", save_all=True, append_images=[Image.fromarray(scene(2))])
    picture = decode(data)
    assert picture.format == "MPO"
    assert np.abs(levels(picture).astype(int) - RGB).mean() < 8


def test_the_corpus_is_told_apart_by_many_threads_at_once(tmp_path: Path) -> None:
    good, bad = good_pictures(tmp_path / "good"), bad_files(tmp_path / "bad")
    assert (len(set(good)), len(set(bad))) == (100, 100)

    with ThreadPoolExecutor(4) as pool:
        accepted = list(pool.map(lambda path: attempt(path.read_bytes()), good))
        refused = list(pool.map(lambda path: attempt(path.read_bytes()), bad))
    assert [outcome for outcome in accepted if isinstance(outcome, str)] == []
    assert all(0 <= picture.pixels.min() <= picture.pixels.max() <= 1 for picture in accepted)  # type: ignore[union-attr]
    assert [outcome for outcome in refused if isinstance(outcome, Picture)] == []
