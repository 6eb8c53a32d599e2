"""What is a clip or an animation, told by a file's bytes alone, and what is not."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepdream_daemon.intake import sources
from deepdream_daemon.intake.moving import container_of, moving
from deepdream_engine.errors import BadPicture


def saved(frames: int, format: str, **options: object) -> bytes:
    rng = np.random.default_rng(frames)
    pictures = [Image.fromarray(rng.integers(0, 255, (40, 60, 3), np.uint8)) for _ in range(frames)]
    out = io.BytesIO()
    more = {"save_all": True, "append_images": pictures[1:]} if frames > 1 else {}
    pictures[0].save(out, format, **more, **options)
    return out.getvalue()


@pytest.mark.parametrize(("format", "container"), [("GIF", "gif"), ("PNG", "apng"), ("WEBP", "webp")])
def test_animations_move_and_stills_of_the_same_kind_do_not(format: str, container: str) -> None:
    assert moving(io.BytesIO(saved(3, format))) == container
    assert moving(io.BytesIO(saved(1, format))) is None


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP"])
def test_what_ends_too_early_is_no_animation_and_raises_nothing(format: str) -> None:
    whole = saved(2, format)
    for length in range(0, len(whole), 97):
        moving(io.BytesIO(whole[:length]))
    assert moving(io.BytesIO(whole[:30])) in (None, "webp"), "the header of a WebP says it"


@pytest.mark.parametrize(
    ("head", "container"),
    [
        (b"\x00\x00\x00\x20ftypisom", "mp4"),
        (b"\x00\x00\x00\x14ftypqt  ", "mov"),
        (b"\x00\x00\x00\x08wide\x00\x00\x10\x00mdat", "mov"),
        (b"\x00\x00\x00\x1cftypavif", None),
        (b"\x00\x00\x00\x18ftypheic", None),
        (b"The wide sea", None),
        (b"\x1a\x45\xdf\xa3 webm", "webm"),
        (b"RIFF\x00\x00\x00\x00AVI LIST", "avi"),
        (b"\xff\xd8\xff\xe0", None),
        (b"", None),
    ],
)
def test_containers_are_told_by_their_first_bytes(head: bytes, container: str | None) -> None:
    assert container_of(head) == container


def test_a_clip_may_be_larger_than_any_picture_and_a_picture_may_not(tmp_path: Path) -> None:
    clip, still = tmp_path / "clip", tmp_path / "still"
    clip.write_bytes(b"\x00\x00\x00\x20ftypisom" + bytes(2000))
    still.write_bytes(saved(1, "PNG"))
    assert sources.read_file(clip, 1000, keep=False)[0]
    for path, keep in ((still, False), (clip, True)):
        with pytest.raises(BadPicture, match="no picture within the pixel limit"):
            sources.read_file(path, 1000, keep=keep)


def test_whoever_reads_a_large_clip_shows_that_it_lives(tmp_path: Path) -> None:
    beats: list[None] = []
    path = tmp_path / "clip"
    path.write_bytes(b"\x00\x00\x00\x20ftypisom" + bytes(5 << 20))
    sources.read_file(path, 1000, keep=False, beat=lambda: beats.append(None))
    assert len(beats) >= 5
