"""Security: whatever is in a clip, the process that reads it gives the frames of a film, or one clear refusal. Nothing
hangs, and no memory is taken beyond the limit.
"""

from __future__ import annotations

import os
import random
import re
import resource
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from deepdream_daemon.films import FilmFacts, apart
from deepdream_daemon.films.apart import ApartClip
from deepdream_daemon.films.limits import ClipLimits
from deepdream_engine.errors import BadPicture
from tests.daemon.filming import clip_with_sound, foreign_clip, write_film
from tests.mutants import damaged

pytest.importorskip("av", reason="the extra video")

ALL = 2_000
LIMITS = ClipLimits(max_megapixels=1.0, max_frames=200, max_seconds=60)
LIMIT_BYTES = apart._LEAST_BYTES + apart._BYTES_PER_PIXEL * LIMITS.max_pixels
CPU_SECONDS = 5.0
"""For opening a mutant, and for each of its frames."""
_ADVICE = re.compile(r"[Cc]opy|[Ee]xport|Scale it|Valid:|Cut it")
_OWN_TROUBLE = re.compile(r"[Pp]ermission|No module|import|Too many open")
"""Words of a reader that misses what it has given up, rather than of one that reads a bad file."""

Make = Callable[[Path], Path]


def _written(name: str, folder: Path, *, has_alpha: bool = False, codec: str = "auto") -> Path:
    facts = FilmFacts(width=64, height=32, has_alpha=has_alpha)
    path = write_film(folder / name, folder / f"spool-{name}", 6, facts=facts, codec=codec)
    assert path is not None
    return path


def _foreign(name: str, codec: str, pixel_format: str, folder: Path) -> Path:
    return foreign_clip(folder / name, codec, pixel_format)


def _sounding(name: str, audio: str, video: str, folder: Path) -> Path:
    return clip_with_sound(folder / name, seconds=0.3, audio=audio, video=video)


CONTAINERS: dict[str, tuple[Make, ...]] = {
    "mp4": (
        partial(_written, "own.mp4"),
        partial(_written, "hevc.mp4", codec="hevc"),
        partial(_sounding, "sound.mp4", "aac", "mpeg4"),
    ),
    "mkv": (
        partial(_written, "own.mkv"),
        partial(_written, "ffv1.mkv", codec="ffv1", has_alpha=True),
        partial(_sounding, "sound.mkv", "flac", "libx264"),
    ),
    "webm": (
        partial(_written, "alpha.webm", has_alpha=True),
        partial(_foreign, "vp8.webm", "libvpx", "yuv420p"),
        partial(_written, "av1.webm", codec="av1"),
    ),
    "avi": (partial(_foreign, "jpeg.avi", "mjpeg", "yuvj420p"), partial(_sounding, "a.avi", "libmp3lame", "mpeg4")),
    "mov": (
        partial(_written, "own.mov"),
        partial(_written, "prores.mov", codec="prores", has_alpha=True),
        partial(_foreign, "rle.mov", "qtrle", "argb"),
    ),
    "gif": (partial(_written, "own.gif"), partial(_written, "alpha.gif", has_alpha=True)),
    "webp": (partial(_written, "own.webp"), partial(_written, "alpha.webp", has_alpha=True)),
    "apng": (partial(_written, "own.png"), partial(_written, "alpha.png", has_alpha=True)),
}


def _outcome(data: bytes) -> str:
    file = tempfile.TemporaryFile()  # noqa: SIM115  (the clip closes it)
    file.write(data)
    file.seek(0)
    try:
        with ApartClip(file, LIMITS, seconds=CPU_SECONDS) as clip:
            count = 0
            for frame in clip:
                count += 1
                assert frame.pixels.shape == (3, clip.facts.height, clip.facts.width)
                assert np.isfinite(frame.pixels).all()
                assert 0 <= frame.pixels.min() <= frame.pixels.max() <= 1
    except BadPicture as error:
        outcome = f"refused: {error}"
    else:
        assert 0 < count == clip.facts.frames <= LIMITS.max_frames
        return "read"
    assert not _OWN_TROUBLE.search(outcome), outcome
    assert _ADVICE.search(outcome), f"it does not say what to do: {outcome}"
    return "ended its reader" if "ends the process" in outcome else "refused"


def _peak_bytes() -> int:
    """Return what the largest process took so far that this one has started and seen end."""
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _fuzz(folder: Path, name: str, count: int) -> Counter[str]:
    whole = [make(folder).read_bytes() for make in CONTAINERS[name]]
    assert {_outcome(data) for data in whole} == {"read"}
    idle = _peak_bytes()

    def outcome(number: int) -> str:
        rng = random.Random(f"{name} {number}")
        return _outcome(damaged(rng.choice(whole), rng))

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        found = Counter(pool.map(outcome, range(count)))
    print(name, dict(found), f"peak {(_peak_bytes() - idle) / (1 << 20):.0f} MiB")
    assert _peak_bytes() - idle <= LIMIT_BYTES
    return found


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", CONTAINERS)
def test_2000_mutants_of_each_container_are_read_or_cleanly_refused(tmp_path: Path, name: str) -> None:
    found = _fuzz(tmp_path, name, ALL)
    assert min(found["read"], found["refused"]) > ALL / 50, "most mutants are of one kind only"
