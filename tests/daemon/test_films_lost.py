"""Frames of a clip that cannot be decoded: the one before is shown in their place, and it is told how many."""

from __future__ import annotations

import random
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from deepdream_daemon.films import FilmOptions, FilmWriter, Spool, choosing, writing
from deepdream_daemon.films.apart import ApartClip
from deepdream_daemon.films.embedding import read_from
from deepdream_daemon.films.extra import pyav
from deepdream_daemon.films.reading import open_clip
from deepdream_engine.errors import BadPicture
from tests.daemon.cli import QUICK, deepdream, nowhere
from tests.daemon.filming import LIMIT_BYTES, finish, foreign_clip, write_film

pytest.importorskip("av", reason="the extra video")

__all__ = ["nowhere"]


def damaged(path: Path, places: list[int]) -> Path:
    """Make nonsense of some packets, in the order of decoding."""
    with pyav().open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(container.streams.video[0]) if packet.size]
    data, chance = bytearray(path.read_bytes()), random.Random(1)
    for place in places:
        at = data.find(packets[place])
        assert at >= 0
        data[at : at + len(packets[place])] = b"\xff" * 8 + chance.randbytes(len(packets[place]) - 8)
    path.write_bytes(data)
    return path


def clip(path: Path) -> Path:
    """10 frames, or 25 of an MKV, each of which can be decoded by itself."""
    if path.suffix != ".mkv":
        return foreign_clip(path, "mjpeg", "yuvj420p")
    made = write_film(path, path.with_name("spool"), 25, codec="ffv1")
    assert made is not None
    return made


@pytest.mark.parametrize(("name", "count"), [("clip.mov", 10), ("clip.mkv", 25), ("clip.avi", 10)])
def test_the_frame_before_stands_in_for_a_lost_one(tmp_path: Path, name: str, count: int) -> None:
    path = clip(tmp_path / name)
    with open_clip(path) as whole:
        wanted = list(whole)
    lost = [0, 4, 5, count - 1]
    damaged(path, lost)

    with open_clip(path) as here, ApartClip(path) as apart:
        assert here.facts == apart.facts
        assert here.facts.frames == count
        for read in (list(here), list(apart)):
            assert [frame.pts for frame in read] == [Fraction(number, 25) for number in range(count)]
            assert [number for number, frame in enumerate(read) if frame.is_lost] == lost
            for number, frame in enumerate(read):
                shown = {0: 1, 4: 3, 5: 3, count - 1: count - 2}.get(number, number)
                assert np.array_equal(frame.pixels, wanted[shown].pixels), number


@pytest.mark.parametrize("name", ["clip.mp4", "clip.webm", "clip.mkv"])
def test_reading_that_goes_on_within_what_is_lost_finds_the_same_frames(tmp_path: Path, name: str) -> None:
    codec = "ffv1" if name == "clip.mkv" else "auto"
    path = write_film(tmp_path / name, tmp_path / "spool", 100, codec=codec)
    assert path is not None
    damaged(path, [49, 50, 51])
    with open_clip(path, threads=1) as here:  # as it is read
        whole = list(here)
        assert len(whole) == 100
        assert any(frame.is_lost for frame in whole)
        for number in (0, 47, 48, 49, 50, 52, 60, 99):
            here.seek_frame(number)
            frame = next(iter(here))
            assert (frame.pts, frame.is_lost) == (whole[number].pts, whole[number].is_lost)
            assert np.array_equal(frame.pixels, whole[number].pixels), number


def test_a_clip_of_which_more_than_half_in_a_row_is_lost_is_refused(tmp_path: Path) -> None:
    path = damaged(clip(tmp_path / "half.mkv"), list(range(5, 17)))
    with open_clip(path) as here:
        assert sum(frame.is_lost for frame in here) == 12
    path = damaged(clip(tmp_path / "more.mkv"), list(range(5, 18)))
    with ApartClip(path) as apart, pytest.raises(BadPicture, match=r"13 of its 25 frames in a row .* Copy or export"):
        list(apart)
    path = damaged(clip(tmp_path / "none.mkv"), list(range(25)))
    with pytest.raises(BadPicture, match="no frame that can be decoded"):
        ApartClip(path)


def test_how_many_are_lost_is_told_once_by_the_command_and_in_the_film(tmp_path: Path) -> None:
    path = damaged(clip(tmp_path / "clip.mov"), [3, 4, 8])
    result = deepdream("dream", path, *QUICK, "--set", "film.codec=h264", "-o", "film.mp4")
    assert result.exit_code == 0, result.stderr
    assert result.stderr.count("3 frames of the clip cannot be decoded") == 1
    provenance = read_from(tmp_path / "film.mp4")
    assert provenance is not None
    assert provenance["lost_frames"] == 3
    with open_clip(tmp_path / "film.mp4") as film:
        assert (film.facts.frames, film.facts.duration) == (10, Fraction(2, 5))


def test_the_count_outlives_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (writing, choosing):
        monkeypatch.setattr(module, "CHUNK_FRAMES", 8)
    path = damaged(clip(tmp_path / "clip.mkv"), [3])
    notes: list[str] = []
    with open_clip(path) as source:
        for until in (20, 25):
            with (
                Spool(tmp_path / "spool", LIMIT_BYTES) as kept,
                FilmWriter(tmp_path / "film.mkv", source.facts, FilmOptions(), kept) as film,
            ):
                source.seek_frame(film.frames)
                for frame in islice(source, until - film.frames):
                    film.write(frame)
                if until == 25:
                    finish(film, tmp_path / "film.mkv")
                    notes += film.notes
    assert notes == ["1 frame of the clip cannot be decoded: the one before is shown instead"]
