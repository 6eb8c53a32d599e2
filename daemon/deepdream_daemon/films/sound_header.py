"""A stream of sound to copy packets into, described without the file that they come from.

FFmpeg takes a stream's description from another stream only. The one of a foreign file would have to be opened here,
and so would what it was made to do; so a Matroska header that says the same is written, and read instead.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from typing import Any

from deepdream_daemon.films.extra import pyav

CODEC_IDS: Mapping[str, str] = {
    "aac": "A_AAC",
    "ac3": "A_AC3",
    "alac": "A_ALAC",
    "dts": "A_DTS",
    "eac3": "A_EAC3",
    "flac": "A_FLAC",
    "mp2": "A_MPEG/L2",
    "mp3": "A_MPEG/L3",
    "opus": "A_OPUS",
    "pcm_f32le": "A_PCM/FLOAT/IEEE",
    "pcm_s16be": "A_PCM/INT/BIG",
    "pcm_s16le": "A_PCM/INT/LIT",
    "pcm_s24be": "A_PCM/INT/BIG",
    "pcm_s24le": "A_PCM/INT/LIT",
    "pcm_s32le": "A_PCM/INT/LIT",
    "truehd": "A_TRUEHD",
    "vorbis": "A_VORBIS",
}
"""What can be copied, by FFmpeg's names; Matroska holds all of it."""
_NEEDS_SETUP = frozenset({"aac", "alac", "flac", "opus", "vorbis"})
_STREAMINFO_BYTES, _ALAC_BYTES, _ALAC_HEAD_BYTES, _OPUS_HEAD_BYTES = 34, 36, 12, 19
_AUDIO_TRACK, _OPUS_PREROLL_NS = 2, 80_000_000


def can_copy(codec: str, setup: bytes) -> bool:
    """Tell whether packets of ``codec`` can be copied that came with ``setup``, as FFmpeg calls it its extra data."""
    if codec not in CODEC_IDS:
        return False
    if codec == "flac":
        return len(setup) == _STREAMINFO_BYTES
    if codec == "alac":
        return len(setup) == _ALAC_BYTES
    if codec == "opus":
        return len(setup) >= _OPUS_HEAD_BYTES
    return bool(setup) or codec not in _NEEDS_SETUP


def add_track(film: Any, codec: str, *, rate: int, channels: int, setup: bytes) -> Any:
    """Add a stream of such sound to ``film``, and return it."""
    header = _header(codec, rate, channels, setup)
    # No decoder looks at ``setup`` here: there is none on the list.
    with pyav().open(io.BytesIO(header), format="matroska", options={"codec_whitelist": "none"}) as described:
        return film.add_stream_from_template(described.streams.audio[0], opaque=True)


def _header(codec: str, rate: int, channels: int, setup: bytes) -> bytes:
    kind = _element(0x4282, b"matroska") + _element(0x4287, b"\x04") + _element(0x4285, b"\x02")
    sound = _element(0xB5, struct.pack(">d", rate)) + _element(0x9F, bytes([channels]))
    if codec.startswith("pcm_"):
        sound += _element(0x6264, bytes([int(codec[5:7])]))
    track = _element(0xD7, b"\x01") + _element(0x73C5, b"\x01") + _element(0x83, bytes([_AUDIO_TRACK]))
    track += _element(0x86, CODEC_IDS[codec].encode("ascii"))
    if private := _private(codec, setup):
        track += _element(0x63A2, private)
    if codec == "opus":
        skipped = int.from_bytes(setup[10:12], "little") * 1_000_000_000 // 48_000
        track += _element(0x56AA, struct.pack(">Q", skipped)) + _element(0x56BB, struct.pack(">Q", _OPUS_PREROLL_NS))
    track += _element(0xE1, sound)
    info = _element(0x2AD7B1, struct.pack(">I", 1_000_000))
    end = _element(0x1F43B675, _element(0xE7, b"\0"))  # where packets would begin
    segment = _element(0x1549A966, info) + _element(0x1654AE6B, _element(0xAE, track)) + end
    return _element(0x1A45DFA3, kind) + _element(0x18538067, segment)


def _private(codec: str, setup: bytes) -> bytes:
    """Return the setup as Matroska wants it."""
    if codec == "flac":
        return b"fLaC\x80\x00\x00" + bytes([_STREAMINFO_BYTES]) + setup
    return setup[_ALAC_HEAD_BYTES:] if codec == "alac" else setup


def _element(name: int, content: bytes) -> bytes:
    """Return an element of Matroska, with its length in eight bytes."""
    length = (0x01 << 56) | len(content)
    return name.to_bytes((name.bit_length() + 7) // 8, "big") + length.to_bytes(8, "big") + content
