"""Which encoder writes what, and how a quality from 1 to 100 is said to it.

An encoder must give the same bytes for the same frames on every run, or a film that was killed and resumed would not be
the film of a run that was not. So each has a fixed number of threads, whatever the machine has, and closes its groups
of pictures.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

_QUALITIES = (1, 50, 80, 90, 100)
_THREADS = 4
"""Some encoders (x264, FFV1) divide a frame, or look ahead, by the number of their threads."""


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """One codec by one library. ``formats``: the pixel formats, the usual one first; ``wide_format`` is without
    subsampling, for odd sizes. ``steps``: the library's rate factor at the qualities 1, 50, 80, 90 and 100; none for a
    codec that has none. ``chunk``: the container that holds a chunk of it, with exact times if it can. ``plays_deep``:
    players show more than 8 bits of it. ``least_width``: narrower frames, as they are stored, it cannot write.
    """

    codec: str
    library: str
    formats: tuple[str, ...]
    wide_format: str
    chunk: str = "mp4"
    alpha_format: str | None = None
    steps: tuple[float, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    tag: str | None = None
    takes_odd_sizes: bool = False
    plays_deep: bool = False
    least_width: int = 1

    @property
    def deep_format(self) -> str | None:
        """The usual pixel format of more than 8 bits."""
        return next((name for name in self.formats if is_deep(name)), None)

    def settings(self, quality: int, pixel_format: str) -> dict[str, str]:
        """Return the library's options for this quality."""
        settings = {"threads": str(_THREADS), **self.options}
        if self.steps:
            factor = float(np.interp(quality, _QUALITIES, self.steps))
            settings["crf"] = f"{factor:.1f}" if self.codec in ("h264", "hevc") else str(round(factor))
        if self.codec == "prores":
            settings["profile"] = _prores_profile(quality, pixel_format)
        if self.codec == "h264" and _has_avx512():
            settings["x264-params"] = "asm=AVX2"
        return settings


def is_deep(pixel_format: str) -> bool:
    """Tell whether a channel has more than 8 bits."""
    return any(depth in pixel_format for depth in ("10", "12", "16"))


def _prores_profile(quality: int, pixel_format: str) -> str:
    if "444" in pixel_format:
        return "4444xq" if quality >= 95 else "4444"
    return "proxy" if quality < 25 else "lt" if quality < 50 else "standard" if quality < 75 else "hq"


@functools.cache
def _has_avx512() -> bool:
    """Tell whether x264 would use AVX-512: with it, its rate control differs from run to run, even with one thread."""
    try:
        return " avx512f" in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False  # not Linux; no Mac that PyTorch still supports has it


_X265 = "open-gop=0:frame-threads=2:pools=4:log-level=none:info=0"

ENCODERS: Mapping[str, Encoder] = {
    encoder.codec: encoder
    for encoder in (
        Encoder(
            codec="h264",
            library="libx264",
            formats=("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le"),
            wide_format="yuv444p",
            steps=(44, 28, 19, 15, 8),
            options={"preset": "medium"},
        ),
        Encoder(
            codec="hevc",
            library="libx265",
            formats=("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le"),
            wide_format="yuv444p",
            steps=(46, 30, 21, 17, 10),
            options={"preset": "medium", "x265-params": _X265},
            tag="hvc1",  # Apple's players know no other
            plays_deep=True,
            least_width=64,  # of less than its largest block, x265 writes beyond its memory
        ),
        Encoder(
            codec="vp9",
            library="libvpx-vp9",
            formats=("yuv420p", "yuva420p", "yuv422p", "yuv444p"),
            wide_format="yuv444p",
            alpha_format="yuva420p",
            steps=(60, 38, 25, 18, 6),
            options={"b": "0", "deadline": "good", "cpu-used": "3", "row-mt": "1", "tile-columns": "1"},
            takes_odd_sizes=True,
        ),
        Encoder(
            codec="av1",
            library="libsvtav1",
            formats=("yuv420p", "yuv420p10le"),
            wide_format="yuv420p",
            steps=(60, 42, 28, 20, 8),
            options={"preset": "7"},
            takes_odd_sizes=True,
            plays_deep=True,
        ),
        Encoder(
            codec="ffv1",
            library="ffv1",
            formats=("bgr0", "bgra", "gbrp10le", "gbrp12le", "gbrp16le", "yuv420p", "yuv422p", "yuv444p"),
            wide_format="bgr0",
            chunk="matroska",
            alpha_format="bgra",
            options={"level": "3", "slices": "4", "slicecrc": "1", "g": "1"},
            takes_odd_sizes=True,
        ),
        Encoder(
            codec="prores",
            library="prores_ks",
            formats=("yuv422p10le", "yuv444p10le", "yuva444p10le"),
            wide_format="yuv444p10le",
            chunk="mov",
            alpha_format="yuva444p10le",
            options={"vendor": "apl0"},
        ),
    )
}
CODECS: tuple[str, ...] = tuple(ENCODERS)

CONTAINERS: Mapping[str, tuple[str, ...]] = {
    "mp4": ("h264", "hevc", "av1", "vp9"),
    "mov": ("h264", "hevc", "prores"),
    "mkv": ("h264", "hevc", "vp9", "av1", "ffv1", "prores"),
    "webm": ("vp9", "av1"),
}
"""What each container holds, the usual codec first. One that holds alpha as well is preferred for a film with it."""

ANIMATIONS: Mapping[str, str] = {"gif": "gif", "webp": "libwebp_anim", "apng": "apng"}
"""Pictures that move, and the library of each: no sound, but a loop and transparency in every browser."""

MUXERS: Mapping[str, str] = {"mp4": "mp4", "mov": "mov", "mkv": "matroska", "webm": "webm"}
SUFFIXES: Mapping[str, str] = {**{name: f".{name}" for name in (*CONTAINERS, "gif", "webp")}, "apng": ".png"}
"""A browser shows an animated PNG as one whatever it is called, and no desktop knows ``.apng``."""
