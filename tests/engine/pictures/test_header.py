"""What a header says of a picture's size is read without any decoder, and is what the decoder finds."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import pytest
from PIL import Image

from deepdream_engine.errors import BadPicture
from deepdream_engine.pictures import decode
from deepdream_engine.pictures.decode import inspect
from deepdream_engine.pictures.header import declared_size
from deepdream_engine.pictures.sniff import picture_format
from tests.corpus import good_pictures, oriented, saved, scene
from tests.mutants import FORMATS, mutant, seeds

WIDE = Image.fromarray(scene(1, 90, 40))


@pytest.mark.parametrize("name", FORMATS)
def test_the_header_of_each_format_tells_its_size(name: str) -> None:
    for data in seeds(name):
        found = picture_format(data)
        assert found is not None
        size = declared_size(data, found)
        assert size is not None
        height, width, _ = decode(data).pixels.shape
        assert sorted(size) == sorted((width, height))
        assert inspect(data) == (found, width * height / 1e6)


def test_the_size_of_every_picture_of_the_corpus_is_known(tmp_path: Path) -> None:
    for path in good_pictures(tmp_path):
        data = path.read_bytes()
        name, megapixels = inspect(data)
        assert megapixels == pytest.approx(decode(data).pixels[..., 0].size / 1e6), path
        assert name in FORMATS


@pytest.mark.parametrize("name", ["JPEG", "TIFF", "AVIF", "JPEG2000"])
def test_width_and_height_are_not_confused(name: str) -> None:
    assert declared_size(saved(WIDE, name), name) == (90, 40)
    if name != "JPEG2000":
        assert declared_size(saved(WIDE, name, exif=oriented(6)), name) == (90, 40)


def test_a_large_tiff_tells_its_size() -> None:
    assert declared_size(saved(WIDE, "TIFF", big_tiff=True), "TIFF") == (90, 40)


def test_a_directory_of_countless_entries_costs_neither_time_nor_memory() -> None:
    head = b"II+\x00" + struct.pack("<HHQ", 8, 0, 16) + struct.pack("<Q", 1 << 60)
    tracemalloc.start()
    try:
        assert declared_size(head + bytes(20 * 1000), "TIFF") is None
        assert declared_size(b"\xff\xd8" + b"\xff" * 1_000_000, "JPEG") is None
        assert declared_size(b"P6" + b"#" * 1_000_000, "PPM") is None
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", FORMATS)
def test_a_mutated_header_tells_a_size_or_none(name: str) -> None:
    for number in range(400):
        data = mutant(name, number)
        size = declared_size(data, name)
        assert size is None or all(isinstance(side, int) for side in size)
        for length in (0, 3, 10, 17, 25, 40):
            declared_size(data[:length], name)


def test_a_header_without_a_size_is_refused() -> None:
    data = saved(WIDE, "JPEG")
    at = data.index(b"\xff\xc0")
    with pytest.raises(BadPicture, match=r"damaged JPEG: its header does not tell its size"):
        inspect(data[:at] + data[data.index(b"\xff\xda") :])
