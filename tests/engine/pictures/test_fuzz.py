"""Whatever happens to a file on its way, it decodes or is refused; nothing else ever comes out."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from deepdream_engine.errors import BadPicture
from deepdream_engine.pictures import OutputOptions, Picture, decode, encode, read_provenance
from tests.corpus import oriented, saved, scene, srgb_profile

SMALL = scene(7, 24, 20)
PICTURE = Picture(
    pixels=SMALL.astype(np.float32) / np.float32(255),
    format="PNG",
    alpha=SMALL[..., 0].astype(np.float32) / np.float32(255),
    exif=oriented(1),
    icc_profile=srgb_profile(),
    dpi=(72.0, 72.0),
)
SEEDS = [encode(PICTURE.pixels, PICTURE, OutputOptions(name), {"a": 1}) for name in ("jpeg", "png", "webp", "tiff")]
SEEDS += [encode(PICTURE.pixels, PICTURE, OutputOptions(name), {"a": 1}) for name in ("bmp", "gif")]
SEEDS += [
    saved(Image.fromarray(SMALL), "TIFF", compression="tiff_lzw", exif=oriented(6)),
    saved(Image.fromarray(SMALL).convert("CMYK"), "JPEG"),
    saved(Image.fromarray(SMALL).convert("1"), "TIFF", compression="group4"),
    saved(Image.fromarray(SMALL), "PPM"),
    saved(Image.fromarray(SMALL), "TGA"),
    saved(Image.fromarray(SMALL), "MPO", save_all=True, append_images=[Image.fromarray(SMALL)]),
]


@st.composite
def mutants(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 4))):
        # Most of a format's grammar is at its beginning.
        at = draw(st.one_of(st.integers(0, min(200, len(data) - 1)), st.integers(0, len(data) - 1)))
        action = draw(st.sampled_from(["set", "insert", "delete", "cut", "extreme"]))
        if action == "set":
            data[at] = draw(st.integers(0, 255))
        elif action == "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=8))
        elif action == "delete":
            del data[at : at + draw(st.integers(1, 16))]
        elif action == "extreme":
            extreme = draw(st.sampled_from([b"\xff" * 4, b"\x00" * 4, b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00"]))
            data[at : at + 4] = extreme
        else:
            del data[at:]
        if not data:
            break
    return bytes(data)


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(mutants())
def test_a_mutated_picture_is_a_picture_or_a_bad_picture(data: bytes) -> None:
    try:
        picture = decode(data, max_megapixels=2)
    except BadPicture:
        pass
    else:
        assert picture.pixels.ndim == 3
        assert np.isfinite(picture.pixels).all()
        encode(picture.pixels, picture, OutputOptions(), {"a": 1})
    found = read_provenance(data)
    assert found is None or isinstance(found, dict)
