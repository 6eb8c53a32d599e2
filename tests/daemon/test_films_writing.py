"""Films that are written: whole, in the right colours and at the right times, and the same after a kill."""

from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from deepdream_daemon.films import FilmFacts, FilmOptions, FilmWriter, Frame, Spool
from deepdream_engine.errors import BadOption, BadPicture
from tests.daemon.filming import (
    LIMIT_BYTES,
    audio_packets,
    clip_with_sound,
    decoded,
    digest,
    error,
    finish,
    frame,
    pitch_of,
    times,
    write_film,
)

pytest.importorskip("av", reason="the extra video")
torch = pytest.importorskip("torch")

WITH_SOUND = FilmFacts(width=96, height=64, audio=("aac",))
# Every pair that is offered, with the most that its frames may be off at quality 80: chroma is halved in 4:2:0.
PAIRS = [
    ("mp4", "h264", 4.0),
    ("mp4", "hevc", 4.0),
    ("mp4", "av1", 4.0),
    ("mp4", "vp9", 4.0),
    ("mov", "prores", 2.0),
    ("mkv", "ffv1", 0.3),
    ("webm", "vp9", 4.0),
    ("webm", "av1", 4.0),
]


@pytest.mark.parametrize(("container", "codec", "most"), PAIRS)
def test_a_killed_film_goes_on_and_ends_as_the_same_file(
    tmp_path: Path, container: str, codec: str, most: float
) -> None:
    whole = write_film(tmp_path / f"whole.{container}", tmp_path / "a", 101, codec=codec)
    assert write_film(tmp_path / f"killed.{container}", tmp_path / "b", 101, codec=codec, stop=70) is None
    assert not list(tmp_path.glob("killed*")), "nothing is visible before it is whole"

    resumed = write_film(tmp_path / f"killed.{container}", tmp_path / "b", 101, codec=codec)

    assert digest(resumed) == digest(whole)
    assert whole is not None
    pictures = decoded(whole)
    assert len(pictures) == 101
    assert times(whole) == [pytest.approx(number / 25, abs=0.0006) for number in range(101)]  # Matroska has 1/1000 s
    for number in (0, 47, 48, 49, 100):  # beside the joints
        assert error(pictures[number], frame(number)) < most
        assert error(pictures[number], frame(number + 1)) > 2 * error(pictures[number], frame(number))


@pytest.mark.parametrize("count", [1, 2, 3, 49, 50])
def test_a_film_or_its_last_chunk_may_be_shorter_than_encoders_look_ahead(tmp_path: Path, count: int) -> None:
    for codec in ("h264", "hevc", "av1", "vp9"):
        path = write_film(tmp_path / f"{codec}.mp4", tmp_path / codec, count, codec=codec)
        assert path is not None
        assert times(path) == [Fraction(number, 25) for number in range(count)]


def test_only_the_frames_after_the_last_whole_chunk_are_asked_for_again(tmp_path: Path) -> None:
    write_film(tmp_path / "film.mp4", tmp_path / "spool", 101, stop=99)

    with Spool(tmp_path / "spool", LIMIT_BYTES) as spool:
        writer = FilmWriter(tmp_path / "film.mp4", FilmFacts(width=96, height=64), FilmOptions(), spool)
        with writer:
            point = writer.resume_point()

    assert point is not None
    assert (point.frames, point.state, point.is_whole) == (96, {"next": 96}, False)


def test_colours_do_not_shift(tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.mp4", tmp_path / "spool", 3, quality=100, pixel_format="yuv444p")

    assert path is not None
    for number, picture in enumerate(decoded(path)):
        off = picture.astype(np.float32).mean((0, 1)) - frame(number).pixels.mean((1, 2)) * 255
        assert np.abs(off).max() < 0.5


def test_a_film_of_variable_rate_keeps_its_times(tmp_path: Path) -> None:
    shown = [Fraction(0)]
    for number in range(119):
        shown.append(shown[-1] + Fraction((3, 1, 7, 2)[number % 4], 100))
    ends = [*shown[1:], shown[-1] + Fraction(1, 4)]
    facts = FilmFacts(width=96, height=64, is_variable=True)
    with (
        Spool(tmp_path / "s", LIMIT_BYTES) as spool,
        FilmWriter(tmp_path / "film.mp4", facts, FilmOptions(), spool) as writer,
    ):
        for number, (start, end) in enumerate(zip(shown, ends, strict=True)):
            writer.write(Frame(pixels=frame(number).pixels, pts=start, duration=end - start))
        path = finish(writer, tmp_path / "film.mp4")

    assert times(path) == shown
    assert [round(error(picture, frame(number))) < 5 for number, picture in enumerate(decoded(path))] == [True] * 120


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_the_rotation_flag_turns_the_film_back(tmp_path: Path, rotation: int) -> None:
    from deepdream_daemon.films.extra import pyav
    from deepdream_daemon.films.rotation import upright

    facts = FilmFacts(width=64, height=96, rotation=rotation)
    path = write_film(tmp_path / "film.mp4", tmp_path / "spool", 3, facts=facts)

    with pyav().open(str(path)) as container:
        picture = next(container.decode(container.streams.video[0]))
        assert -picture.rotation % 360 == rotation
        assert error(upright(picture.to_ndarray(format="rgb24"), rotation), frame(0, 64, 96)) < 6


def test_alpha_survives_where_the_container_has_it(tmp_path: Path) -> None:
    from deepdream_daemon.films.extra import pyav

    facts = FilmFacts(width=96, height=64, has_alpha=True)
    for suffix, name in (("mkv", "vp9"), ("webm", "vp9"), ("mov", "prores"), ("mkv", "ffv1")):
        path = write_film(tmp_path / f"{name}.{suffix}", tmp_path / name, 50, facts=facts, codec=name)
        decoder = "libvpx-vp9" if name == "vp9" else None  # FFmpeg's own VP9 leaves transparency out
        with pyav().open(str(path)) as container:
            stream = container.streams.video[0]
            context = pyav().CodecContext.create(decoder, "r") if decoder else stream.codec_context
            pictures = [got for packet in container.demux(stream) for got in context.decode(packet)]
        assert len(pictures) == 50
        alpha = pictures[49].to_ndarray(format="rgba")[..., 3]
        assert alpha[:, :40].max() < 8, name
        assert alpha[:, 56:].min() > 247, name


def test_sound_is_copied_packet_by_packet(tmp_path: Path) -> None:
    source = clip_with_sound(tmp_path / "source.mp4")

    path = write_film(tmp_path / "film.mp4", tmp_path / "spool", 25, facts=WITH_SOUND, writer={"audio_from": source})

    assert path is not None
    assert audio_packets(path) == audio_packets(source)
    assert pitch_of(path) == (pytest.approx(440, abs=3), pytest.approx(1, abs=0.05))


def test_sound_that_the_container_cannot_hold_is_encoded_anew_and_said(tmp_path: Path) -> None:
    source = clip_with_sound(tmp_path / "source.mkv", audio="pcm_s16le")
    for suffix, codec in (("webm", "Opus"), ("mp4", "AAC")):
        notes: list[str] = []
        path = write_film(
            tmp_path / f"film.{suffix}",
            tmp_path / suffix,
            25,
            facts=WITH_SOUND,
            writer={"audio_from": source},
            notes=notes,
        )
        assert path is not None
        assert pitch_of(path) == (pytest.approx(440, abs=3), pytest.approx(1, abs=0.1))
        assert notes == [f"{suffix} cannot hold the sound as it is (pcm_s16le): encoded anew as {codec}"]


def test_odd_sides_are_kept_and_said(tmp_path: Path) -> None:
    notes: list[str] = []
    facts = FilmFacts(width=97, height=65)

    path = write_film(tmp_path / "film.mp4", tmp_path / "spool", 3, facts=facts, notes=notes)

    assert path is not None
    assert decoded(path)[0].shape == (65, 97, 3)
    assert "97 x 65" in notes[0]
    with pytest.raises(BadOption, match="needs even sides"):
        write_film(tmp_path / "other.mp4", tmp_path / "other", 3, facts=facts, pixel_format="yuv420p")


def test_a_film_says_how_it_was_made_and_starts_fast(tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.mp4", tmp_path / "spool", 2, writer={"provenance": {"recipe": "article"}})

    assert path is not None
    data = path.read_bytes()
    assert b'deepdream {"recipe":"article"}' in data
    assert data.find(b"moov") < data.find(b"mdat")


def test_frames_may_be_tensors(tmp_path: Path) -> None:
    facts, made = FilmFacts(width=96, height=64), frame(0)
    with (
        Spool(tmp_path / "s", LIMIT_BYTES) as spool,
        FilmWriter(tmp_path / "film.mkv", facts, FilmOptions(codec="ffv1"), spool) as film,
    ):
        film.write(Frame(pixels=torch.from_numpy(made.pixels), pts=made.pts, duration=made.duration))
        path = finish(film, tmp_path / "film.mkv")

    assert error(decoded(path)[0], frame(0)) < 0.3


def test_what_makes_a_frame_is_asked_beside_whoever_hands_it_over(tmp_path: Path) -> None:
    is_handed_over = threading.Event()

    def make() -> Frame:
        assert is_handed_over.wait(60), "whoever dreams waited for it"
        return frame(0)

    with (
        Spool(tmp_path / "s", LIMIT_BYTES) as spool,
        FilmWriter(tmp_path / "film.mkv", FilmFacts(width=96, height=64), FilmOptions(codec="ffv1"), spool) as film,
    ):
        film.write(make)
        is_handed_over.set()
        path = finish(film, tmp_path / "film.mkv")

    assert error(decoded(path)[0], frame(0)) < 0.3


def test_what_goes_wrong_with_a_frame_ends_its_film(tmp_path: Path) -> None:
    def fails() -> Frame:
        raise OSError("the disk")

    facts = FilmFacts(width=96, height=64)
    with (
        Spool(tmp_path / "s", LIMIT_BYTES) as spool,
        FilmWriter(tmp_path / "film.mkv", facts, FilmOptions(), spool) as film,
    ):
        film.write(frame(0))
        film.write(fails)
        with pytest.raises(OSError, match="the disk"):
            film.end()
    assert not list(tmp_path.glob("film*"))


def test_what_cannot_be_a_film_is_refused(tmp_path: Path) -> None:
    def begin(folder: str) -> FilmWriter:
        spool = Spool(tmp_path / folder, LIMIT_BYTES).__enter__()
        return FilmWriter(tmp_path / "film.mp4", FilmFacts(width=96, height=64), FilmOptions(), spool)

    with begin("empty") as film, pytest.raises(BadPicture, match="no frames"):
        film.end()
    with begin("size") as film:
        film.write(frame(0, 48, 64))
        with pytest.raises(BadPicture, match="all must have one size"):
            film.end()
    with begin("times") as film:
        film.write(frame(1))
        film.write(frame(1))
        with pytest.raises(BadPicture, match="must rise"):
            film.end()
    assert not list(tmp_path.glob("film*"))
