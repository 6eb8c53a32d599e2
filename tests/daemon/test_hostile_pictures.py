"""Security: whatever a picture file holds, it becomes a picture that can be dreamt or one clear refusal. Nothing
crashes, nothing hangs, no memory is taken beyond the limit.
"""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepdream_daemon.configuration.settings import PictureSettings
from deepdream_daemon.decoding import decoders as decoders_module
from deepdream_daemon.decoding.decoders import Decoders
from deepdream_engine.errors import BadPicture
from deepdream_engine.pictures import OutputOptions, encode
from tests.corpus import saved, scene
from tests.mutants import FORMATS, bombs, mutant

ALL, SOME = 2_500, 120
MAX_MEGAPIXELS = 2.0
LONGEST_SECONDS = 10.0
LIMIT_BYTES = (128 << 20) + int(64 * MAX_MEGAPIXELS * 1e6) + 4 * 65_536
"""What the largest mutant may take on top of an idle decoder."""
_OWN_TROUBLE = re.compile(r"[Pp]ermission|No module|encoding|import|Too many open")
"""Words of a decoder that misses what it has given up, rather than of one that reads a bad file."""

_ADVICE = re.compile(r"[Cc]opy|[Ee]xport|[Ss]ave it|Scale it|Valid:|convert")


@pytest.fixture
def decoders(monkeypatch: pytest.MonkeyPatch) -> Iterator[Decoders]:
    monkeypatch.setattr(decoders_module, "SERVED", 1_000_000)  # so that their peaks are those of all mutants
    made = Decoders(PictureSettings(max_megapixels=MAX_MEGAPIXELS, decode_seconds=LONGEST_SECONDS), 2)
    yield made
    made.close()


def _outcome(decoders: Decoders, data: bytes) -> str:
    begun = time.monotonic()
    try:
        picture = decoders.decode(data)
    except BadPicture as error:
        outcome = f"refused: {error}"
    else:
        outcome = "dreamt"
        height, width, channels = picture.pixels.shape
        assert channels == 3
        assert 0 < height * width <= MAX_MEGAPIXELS * 1e6
        for plane in (picture.pixels, picture.alpha):
            assert plane is None or (np.isfinite(plane).all() and plane.min() >= 0 and plane.max() <= 1)
        if height * width < 100_000:
            assert encode(np.ascontiguousarray(picture.pixels), picture, OutputOptions(), {"a": 1})
    assert not (outcome.startswith("refused") and _OWN_TROUBLE.search(outcome)), outcome
    assert outcome == "dreamt" or _ADVICE.search(outcome), f"it does not say what to do: {outcome}"
    assert time.monotonic() - begun < 3 * LONGEST_SECONDS
    return outcome


def _peak_bytes(decoders: Decoders, kind: str) -> int:
    if sys.platform != "linux":
        return 0
    texts = (Path(f"/proc/{pid}/status").read_text() for pid in decoders.pids())
    return max(int(found[1]) * 1024 for text in texts if (found := re.search(rf"{kind}:\s+(\d+) kB", text)))


def _fuzz(decoders: Decoders, name: str, count: int) -> Counter[str]:

    decoders.decode(saved(Image.fromarray(scene(1)), "PNG"))
    idle = _peak_bytes(decoders, "VmPeak")
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(lambda number: _outcome(decoders, mutant(name, number)), range(count)))
    found = Counter(outcome.partition(":")[0] for outcome in outcomes)
    peak = _peak_bytes(decoders, "VmPeak") - idle
    print(name, dict(found), f"peak {peak / (1 << 20):.0f} MiB", dict(decoders.deaths))
    assert peak <= LIMIT_BYTES
    assert min(found["dreamt"], found["refused"]) > count / 50, "most mutants are of one kind only"
    return found


@pytest.mark.parametrize("name", FORMATS)
def test_mutants_are_dreamt_or_cleanly_refused(decoders: Decoders, name: str) -> None:
    _fuzz(decoders, name, SOME)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", FORMATS)
def test_2500_mutants_of_each_format_are_dreamt_or_cleanly_refused(decoders: Decoders, name: str) -> None:
    _fuzz(decoders, name, ALL)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_bombs_are_dreamt_or_cleanly_refused_within_their_limits() -> None:
    decoders = Decoders(PictureSettings(decode_seconds=3), 1)
    try:
        for what, data in bombs().items():
            begun = time.monotonic()
            try:
                picture = decoders.decode(data)
                outcome = f"dreamt, {picture.pixels.shape}"
            except BadPicture as error:
                outcome = f"refused: {error}"
            print(f"{what} ({len(data):,} bytes): {outcome} after {time.monotonic() - begun:.1f} s")
            assert time.monotonic() - begun < 15
    finally:
        decoders.close()
