"""A dream knows how it was made, in every format, whatever its source had carried."""

from __future__ import annotations

import io
import random
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from deepdream_engine.errors import BadOption
from deepdream_engine.pictures import OutputOptions, Picture, decode, encode, read_provenance
from deepdream_engine.pictures import xmp as packets
from tests.corpus import saved, scene

ALL = ("jpeg", "png", "webp", "tiff", "bmp", "gif")
IN_XMP = ("jpeg", "webp", "tiff")
PIXELS = scene(3).astype(np.float32) / np.float32(255)
MADE = {
    "recipe": {"name": "classic", "octaves": 4, "octave_scale": 1.4, "postfilters": []},
    "seed": 2**63 - 1,
    "source": {"name": "a<b>&'\"]]> \n\t\\ 雲 e\u0301 \udcff\ud800.jpg", "sha256": "0" * 64},
    "nothing": None,
}
SOURCE_XMP = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:format="image/jpeg">'
    b"<dc:title><rdf:Alt><rdf:li>Zo\xc3\xab</rdf:li></rdf:Alt></dc:title></rdf:Description>"
    b'</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)


def source(xmp: bytes | None = None) -> Picture:
    return Picture(pixels=PIXELS, format="PNG", xmp=xmp)


def packet_of(data: bytes) -> bytes:
    return decode(data).xmp or b""


@pytest.mark.parametrize("format", ALL)
def test_it_comes_back_as_it_was(format: str) -> None:
    assert read_provenance(encode(PIXELS, source(), OutputOptions(format), MADE)) == MADE


@pytest.mark.parametrize("format", ALL)
def test_a_picture_without_any_has_none(format: str) -> None:
    image = Image.fromarray(scene(3))
    assert read_provenance(saved(image.quantize(8) if format == "gif" else image, format.upper())) is None


@pytest.mark.parametrize("format", [*IN_XMP, "png"])
def test_the_sources_xmp_survives(format: str) -> None:
    data = encode(PIXELS, source(SOURCE_XMP), OutputOptions(format), MADE)
    assert read_provenance(data) == MADE
    packet = packet_of(data)
    assert b"Zo\xc3\xab" in packet
    assert packet.startswith(b"<?xpacket begin")
    assert packet.endswith(b'<?xpacket end="w"?>')


@pytest.mark.parametrize("first", ALL)
@pytest.mark.parametrize("second", ALL)
def test_a_dream_of_a_dream_tells_of_the_last_one_only(first: str, second: str) -> None:
    once = decode(encode(PIXELS, source(SOURCE_XMP), OutputOptions(first), {"turn": 1, "mark": "earlier"}))
    twice = encode(PIXELS, once, OutputOptions(second), {"turn": 2})
    assert read_provenance(twice) == {"turn": 2}
    assert b"earlier" not in twice


@pytest.mark.parametrize(
    "malformed",
    [
        b"not xml at all",
        b"<x:xmpmeta>",
        b"\xff\xfe\x00",
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>',
        b'<!DOCTYPE a [<!ENTITY b "bbbb">]><a>&b;</a>',
        b'<rdf:RDF xmlns:rdf="r"><!-- </rdf:RDF> --></rdf:RDF >trailing',
    ],
)
@pytest.mark.parametrize("format", [*IN_XMP, "png"])
def test_malformed_xmp_is_replaced(format: str, malformed: bytes) -> None:
    assert read_provenance(encode(PIXELS, source(malformed), OutputOptions(format), MADE)) == MADE


def test_a_packet_that_another_program_rewrote_is_still_read() -> None:
    as_element = SOURCE_XMP.replace(
        b"</rdf:RDF>",
        b"<rdf:Description xmlns:d='" + packets.NAMESPACE.encode() + b'\'><d:provenance>{"a": 1}</d:provenance>'
        b"</rdf:Description></rdf:RDF>",
    )
    assert read_provenance(saved(Image.fromarray(scene(3)), "JPEG", xmp=as_element)) == {"a": 1}


def test_xmp_too_large_for_a_jpeg_gives_way() -> None:
    large = SOURCE_XMP.replace(b"Zo\xc3\xab", b"z" * 65_000)
    data = encode(PIXELS, source(large), OutputOptions("jpeg"), MADE)
    assert read_provenance(data) == MADE
    assert read_provenance(encode(PIXELS, source(large), OutputOptions("webp"), MADE)) == MADE


def test_a_long_recipe_is_compressed_in_a_jpeg_and_a_longer_one_is_refused() -> None:
    long = {"filters": ["sharpen and blend"] * 10_000}
    assert read_provenance(encode(PIXELS, source(SOURCE_XMP), OutputOptions("jpeg"), long)) == long
    rng = random.Random(0)
    longer = {"filters": [rng.random() for _ in range(20_000)]}
    with pytest.raises(BadOption, match=r"output format to png"):
        encode(PIXELS, source(), OutputOptions("jpeg"), longer)
    assert read_provenance(encode(PIXELS, source(), OutputOptions("png"), longer)) == longer


def test_readers_ignore_what_follows_a_bmp() -> None:
    data = encode(PIXELS, source(), OutputOptions("bmp"), MADE)
    image = Image.open(io.BytesIO(data))
    assert np.array_equal(np.asarray(image), scene(3))
    assert int.from_bytes(data[2:6], "little") < len(data)


@pytest.mark.parametrize("text", ["[1]", "7", "{", "\u2603", "zlib+base64:!!", "zlib+base64:AAAA", "[" * 100_000])
def test_what_is_not_ours_or_not_valid_is_none(text: str) -> None:
    hostile = replace(source(), xmp=packets.with_property(None, text) if text.isascii() else None)
    image = Image.fromarray(scene(3))
    assert read_provenance(saved(image, "WEBP", xmp=hostile.xmp or b"")) is None
    assert read_provenance(saved(image.quantize(8), "GIF", comment=b"deepdream " + text.encode())) is None
    body = text.encode()
    trailer = body + len(body).to_bytes(4, "little") + b"\x00deepdream-provenance-1"
    assert read_provenance(saved(image, "BMP") + trailer) is None


@pytest.mark.parametrize("data", [b"", b"x", b"\x89PNG\r\n\x1a\n", b"BM", b"BM\x00deepdream-provenance-1", b"GIF89a"])
def test_scraps_are_none(data: bytes) -> None:
    assert read_provenance(data) is None
