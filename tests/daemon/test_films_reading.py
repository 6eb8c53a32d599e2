"""Clips that are read: frame by frame as players show them, and bad ones refused with a reason, whatever they do."""

from __future__ import annotations

import contextlib
import io
import random
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deepdream_daemon.films import FilmFacts, FilmOptions, FilmWriter, Frame, Spool
from deepdream_daemon.films.extra import pyav
from deepdream_daemon.films.frames import levels
from deepdream_daemon.films.limits import ClipLimits
from deepdream_daemon.films.reading import open_clip
from deepdream_engine.errors import BadPicture
from tests.daemon.filming import LIMIT_BYTES, clip_with_sound, finish, foreign_clip, frame, write_film

pytest.importorskip("av", reason="the extra video")

KINDS = ["mp4", "mov", "mkv", "webm", "gif", "webp", "apng"]


def _made(tmp_path: Path, kind: str, count: int = 60, facts: FilmFacts | None = None, **options: Any) -> Path:
    path = write_film(tmp_path / f"clip.{kind}", tmp_path / f"spool-{kind}", count, facts=facts, **options)
    assert path is not None
    return path


def _off(read: Frame, made: Frame) -> float:
    return float(np.abs(read.pixels - made.pixels).mean() * 255)


@pytest.mark.parametrize("kind", KINDS)
def test_a_clip_is_read_frame_by_frame_at_its_times(tmp_path: Path, kind: str) -> None:
    facts = FilmFacts(width=96, height=64, loop=3)

    with open_clip(_made(tmp_path, kind, facts=facts)) as clip:
        frames = list(clip)

    told = clip.facts
    assert (told.width, told.height, told.frames, told.rate, told.is_variable) == (96, 64, 60, 25, False)
    assert (told.container, told.duration, told.rotation, told.has_alpha) == (kind, Fraction(12, 5), 0, False)
    assert told.loop == (3 if kind in ("gif", "webp", "apng") else None)
    assert len(frames) == 60
    for number, read in enumerate(frames):
        assert (read.pts, read.duration, read.alpha) == (Fraction(number, 25), Fraction(1, 25), None)
        assert read.pixels.shape == (3, 64, 96)
        assert read.pixels.dtype == np.float32
        assert _off(read, frame(number)) < (12 if kind == "gif" else 6)
    means = [(read.pixels.mean((1, 2)) - frame(number).pixels.mean((1, 2))) * 255 for number, read in enumerate(frames)]
    assert np.abs(np.mean(means, axis=0)).max() < 1, "no shift of colour"


@pytest.mark.parametrize("kind", KINDS)
def test_reading_goes_on_at_any_frame(tmp_path: Path, kind: str) -> None:
    path = _made(tmp_path, kind)
    with open_clip(path.read_bytes()) as clip:
        whole = [read.pixels for read in clip]
        for number in (0, 1, 47, 48, 50, 59):
            clip.seek_frame(number)
            first = next(iter(clip))
            assert first.pts == Fraction(number, 25)
            assert np.array_equal(first.pixels, whole[number]), number


def test_avi_is_read(tmp_path: Path) -> None:
    with open_clip(clip_with_sound(tmp_path / "clip.avi", audio="libmp3lame", video="mpeg4")) as clip:
        assert len(list(clip)) == 25
        assert clip.facts.audio[0].startswith("mp3")


def test_the_frames_of_an_avi_stay_in_order_though_it_tells_no_times(tmp_path: Path) -> None:
    path = foreign_clip(tmp_path / "clip.avi", "libx264", "yuv420p", options={"bf": "3"})
    with open_clip(path) as clip:
        for number, read in enumerate(clip):
            assert _off(read, frame(number)) < 6
            assert not read.is_lost


def test_a_clip_of_no_frames_is_refused(tmp_path: Path) -> None:
    av = pyav()
    for name in ("none.mp4", "none.mov", "none.mkv", "none.avi"):
        with av.open(str(tmp_path / name), "w") as container:
            stream = container.add_stream("mpeg4", rate=25)
            stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
            container.start_encoding()
        with pytest.raises(BadPicture, match=r"(no frames|no film|truncated).*Copy or export it again"):
            open_clip(tmp_path / name)


@pytest.mark.parametrize(
    ("kind", "told", "shown"),
    [
        ("gif", [0, 10, 20, 50], [100, 100, 20, 50]),
        ("webp", [0, 10, 11, 16], [100, 100, 11, 16]),
        ("png", [0, 4, 10, 16], [100, 4, 10, 16]),
    ],
)
def test_a_frame_without_a_time_of_its_own_is_shown_for_a_tenth_of_a_second_as_browsers_do(
    tmp_path: Path, kind: str, told: list[int], shown: list[int]
) -> None:
    pictures = [Image.fromarray(levels(frame(number))) for number in range(4)]
    path = tmp_path / f"moving.{kind}"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=told)
    with open_clip(path) as clip:
        assert [round(read.duration * 1000) for read in clip] == shown
        assert clip.facts.duration == Fraction(sum(shown), 1000)


def test_a_variable_rate_is_read_as_it_is(tmp_path: Path) -> None:
    shown = [Fraction(value, 100) for value in (0, 4, 5, 20, 24, 70)]
    ends = [*shown[1:], Fraction(1)]
    facts = FilmFacts(width=96, height=64, is_variable=True)
    for kind in ("mp4", "mkv", "gif"):
        with (
            Spool(tmp_path / kind, LIMIT_BYTES) as spool,
            FilmWriter(tmp_path / f"clip.{kind}", facts, FilmOptions(), spool) as film,
        ):
            for number, (start, end) in enumerate(zip(shown, ends, strict=True)):
                film.write(Frame(pixels=frame(number).pixels, pts=start, duration=end - start))
            path = finish(film, tmp_path / f"clip.{kind}")
        with open_clip(path) as clip:
            assert clip.facts.is_variable
            read = [one.pts for one in clip]
        # In a GIF, what would be shown for 1/100 s is left out.
        assert read == ([*shown[:2], *shown[3:]] if kind == "gif" else shown)


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_turned_clip_is_upright(tmp_path: Path, rotation: int) -> None:
    facts = FilmFacts(width=64, height=96, rotation=rotation)

    with open_clip(_made(tmp_path, "mp4", 3, facts)) as clip:
        assert (clip.facts.width, clip.facts.height, clip.facts.rotation) == (64, 96, rotation)
        assert [_off(read, frame(number, 64, 96)) < 6 for number, read in enumerate(clip)] == [True] * 3


def test_a_clip_that_is_turned_by_any_other_angle_is_turned_by_the_nearest(tmp_path: Path) -> None:
    path = _made(tmp_path, "mp4", 3, FilmFacts(width=64, height=96, rotation=90))
    matrix, other = ((0, 65536, 0, -65536), (11380, 64540, 0, -64540))  # the cosine and the sine of 80 degrees
    data = path.read_bytes()
    assert struct.pack(">4i", *matrix) in data
    with open_clip(data.replace(struct.pack(">4i", *matrix), struct.pack(">4i", *other))) as clip:
        assert (clip.facts.width, clip.facts.height, clip.facts.rotation) == (64, 96, 90)


@pytest.mark.parametrize(
    ("kind", "codec"), [("webm", "vp9"), ("mov", "prores"), ("gif", "auto"), ("webp", "auto"), ("apng", "auto")]
)
def test_transparency_is_read(tmp_path: Path, kind: str, codec: str) -> None:
    facts = FilmFacts(width=96, height=64, has_alpha=True)

    with open_clip(_made(tmp_path, kind, 4, facts, codec=codec)) as clip:
        assert clip.facts.has_alpha
        for read in clip:
            assert read.alpha.shape == (1, 64, 96)
            assert read.alpha[..., :40].max() < 0.03
            assert read.alpha[..., 56:].min() > 0.97


def test_more_than_8_bits_are_kept(tmp_path: Path) -> None:
    ramp = np.broadcast_to(np.linspace(0.4, 0.45, 96, dtype=np.float32), (3, 64, 96))
    with (
        Spool(tmp_path / "s", LIMIT_BYTES) as spool,
        FilmWriter(
            tmp_path / "a.mkv",
            FilmFacts(width=96, height=64),
            FilmOptions(codec="ffv1", pixel_format="gbrp12le"),
            spool,
        ) as film,
    ):
        film.write(Frame(pixels=ramp, pts=Fraction(0), duration=Fraction(1, 25)))
        path = finish(film, tmp_path / "a.mkv")
    with open_clip(path) as clip:
        read = next(iter(clip))
    assert np.abs(read.pixels - ramp).max() < 1 / 4000
    assert len(np.unique(read.pixels)) > 60


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_clip_is_refused_or_read_whole(tmp_path: Path, kind: str) -> None:
    data = _made(tmp_path, kind).read_bytes()
    for share in (0.02, 0.3, 0.6, 0.8):
        with pytest.raises(BadPicture, match=r"(truncated|damaged|not a clip|still|no frame|no film)"):
            _read_all(data[: int(len(data) * share)])


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_clip_gives_frames_or_one_reason(tmp_path: Path, kind: str) -> None:
    data = _made(tmp_path, kind, 10).read_bytes()
    chance = random.Random(7)
    for _ in range(40):
        broken = bytearray(data)
        for _ in range(chance.randint(1, 30)):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        with contextlib.suppress(BadPicture):  # any other error fails
            assert _read_all(bytes(broken), ClipLimits(max_megapixels=1, max_frames=100, max_seconds=100)) <= 100


def _read_all(data: bytes, limits: ClipLimits | None = None) -> int:
    with open_clip(data, limits) as clip:
        return sum(1 for _ in clip)


def test_a_clip_without_film_is_refused(tmp_path: Path) -> None:
    av = pyav()
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        tone = container.add_stream("aac", rate=48_000, layout="mono")
        block = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        block.sample_rate = 48_000
        container.mux(tone.encode(block))
        container.mux(tone.encode(None))

    with pytest.raises(BadPicture, match="no film in it"):
        open_clip(tmp_path / "sound.mp4")


def test_stills_and_other_files_are_no_clips(tmp_path: Path) -> None:
    still = io.BytesIO()
    Image.new("RGB", (8, 8)).save(still, "PNG")
    with pytest.raises(BadPicture, match="a still"):
        open_clip(still.getvalue())
    with pytest.raises(BadPicture, match="not a clip"):
        open_clip(b"#EXTM3U\nhttp://example.org/a.ts\n")
    with pytest.raises(BadPicture, match="empty"):
        open_clip(b"")


def test_an_unknown_codec_is_named(tmp_path: Path) -> None:
    data = _made(tmp_path, "mp4", 3).read_bytes().replace(b"avc1", b"zzzz").replace(b"avcC", b"zzzC")

    with pytest.raises(BadPicture, match="unknown codec"):
        _read_all(data)


@pytest.mark.parametrize("kind", ["mp4", "gif", "webp", "apng"])
def test_bombs_are_refused_before_they_go_off(tmp_path: Path, kind: str) -> None:
    path = _made(tmp_path, kind, 60)
    for limits, said in (
        (ClipLimits(max_megapixels=0.005), "too large"),
        (ClipLimits(max_frames=59), "too long: it has more than 59 frames"),
        (ClipLimits(max_seconds=2), "too long: it plays for"),
    ):
        with pytest.raises(BadPicture, match=said):
            open_clip(path, limits)
    with open_clip(path, ClipLimits(max_megapixels=0.0062, max_frames=60, max_seconds=2.4)) as clip:
        assert len(list(clip)) == 60


def test_a_gif_that_declares_an_enormous_canvas_is_refused_by_its_header(tmp_path: Path) -> None:
    data = bytearray(_made(tmp_path, "gif", 3).read_bytes())
    data[6:10] = b"\xff\xff\xff\xff"

    with pytest.raises(BadPicture, match="65535 x 65535"):
        open_clip(bytes(data))


def test_a_clip_goes_in_and_comes_out_as_it_was(tmp_path: Path) -> None:
    source = clip_with_sound(tmp_path / "source.mkv", audio="flac")
    with (
        open_clip(source) as clip,
        Spool(tmp_path / "spool", LIMIT_BYTES) as spool,
        FilmWriter(tmp_path / "dream.mkv", clip.facts, FilmOptions(), spool, audio_from=source) as film,
    ):
        for read in clip:
            film.write(read)
        path = finish(film, tmp_path / "dream.mkv")

    with open_clip(path) as again:
        assert again.facts == clip.facts
        assert [_off(read, frame(number)) < 8 for number, read in enumerate(again)] == [True] * 25
