"""A JPEG whose data end early is refused, however properly the file itself ends; one that is whole is never changed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from deepdream_engine.errors import BadPicture
from deepdream_engine.pictures import decode, jpeg
from tests.corpus import saved, scene

RNG = np.random.default_rng(4)
NOISY = np.clip(scene(3, 320, 240) + RNG.normal(0, 9, (240, 320, 3)), 0, 255).astype(np.uint8)
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "sequential": ("RGB", {}),
    "without subsampling": ("RGB", {"subsampling": 0, "quality": 95}),
    "optimised": ("RGB", {"optimize": True, "quality": 40}),
    "grey": ("L", {}),
    "cmyk": ("CMYK", {"quality": 90}),
    "with restarts": ("RGB", {"restart_marker_rows": 1}),
    "progressive": ("RGB", {"progressive": True}),
    "progressive grey": ("L", {"progressive": True, "quality": 95}),
    "progressive cmyk": ("CMYK", {"progressive": True, "quality": 50}),
    "progressive with restarts": ("RGB", {"progressive": True, "restart_marker_rows": 2}),
}


def made(kind: str) -> bytes:
    mode, keywords = KINDS[kind]
    return saved(Image.fromarray(NOISY).convert(mode), "JPEG", **keywords)


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_jpeg_is_what_it_was(kind: str) -> None:
    data = made(kind)
    assert jpeg.scans(data) is not None
    found = decode(data).pixels
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jpeg, "variants", lambda data: [data])
        assert np.array_equal(found, decode(data).pixels)
    assert np.array_equal(found, decode(data + b"\0\0 what a phone has put behind it \xff\xd8\xff").pixels)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("missing", [0.01, 0.03, 0.1, 0.25, 0.5, 0.75])
def test_a_jpeg_cut_short_and_ended_properly_is_refused(kind: str, missing: float) -> None:
    data = made(kind)
    found = jpeg.scans(data)
    assert found is not None
    start = max(data.rindex(b"\xff\xda", 0, found.ends[-1]), found.ends[-2] if len(found.ends) > 1 else 0)
    cut = found.ends[-1] - max(20, int((found.ends[-1] - start) * missing))
    with pytest.raises(BadPicture, match=r"truncated JPEG.*[Cc]opy"):
        decode(data[:cut].rstrip(b"\xff") + b"\xff\xd9")


def test_a_scan_in_the_middle_that_ends_early_is_refused() -> None:
    data = made("progressive")
    found = jpeg.scans(data)
    assert found is not None
    end = found.ends[2]
    with pytest.raises(BadPicture, match=r"truncated JPEG"):
        decode(data[: end - 200].rstrip(b"\xff") + data[end:])


def test_a_marker_in_the_middle_of_the_data_is_refused() -> None:
    data = bytearray(made("sequential"))
    at = data.index(b"\xff\xda") + 3000
    data[at : at + 2] = b"\xff\xd9"
    with pytest.raises(BadPicture, match="truncated JPEG"):
        decode(bytes(data))


def test_fill_bytes_before_the_end_marker_are_no_data() -> None:
    data = made("sequential")
    assert np.array_equal(decode(data[:-2] + b"\xff\xff\xff\xff\xd9").pixels, decode(data).pixels)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\xff\xd8\xff", b"\xff\xd8\xff\xda", b"\xff\xd8\xff\xe0\xff\xff"])
def test_what_has_no_scans_is_left_to_the_decoder(data: bytes) -> None:
    assert jpeg.scans(data) is None
    assert jpeg.variants(data) == [data]
