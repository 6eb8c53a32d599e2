"""The sound of a clip: read by a process of its own, copied or encoded anew, and never the end of its film."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from deepdream_daemon.films import FilmFacts
from deepdream_daemon.films import audio as audio_module
from deepdream_daemon.films.extra import pyav
from deepdream_daemon.films.reading import open_clip
from deepdream_daemon.films.sound_apart import ApartSound, Packet, SoundLost
from tests.daemon.filming import again, audio_packets, clip_with_sound, decoded, pitch_of, write_film

pytest.importorskip("av", reason="the extra video")


def readers() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "films.sound_process" in " ".join(child.cmdline())]


@pytest.mark.parametrize(
    ("source", "audio", "film"),
    [
        ("clip.mp4", "aac", "film.mkv"),
        ("clip.mkv", "libmp3lame", "film.mp4"),
        ("clip.mkv", "flac", "film.mp4"),
        ("clip.mkv", "libopus", "film.webm"),
        ("clip.mkv", "eac3", "film.mov"),
        ("clip.mov", "alac", "film.mkv"),
        ("clip.mov", "pcm_s24le", "film.mov"),
        ("clip.mkv", "pcm_s16le", "film.mkv"),
    ],
)
def test_sound_that_the_container_holds_is_copied_to_the_byte(
    tmp_path: Path, source: str, audio: str, film: str
) -> None:
    clip = clip_with_sound(tmp_path / source, audio=audio)
    notes: list[str] = []

    path = again(clip, tmp_path / film, tmp_path / "spool", notes)

    assert notes == []
    assert audio_packets(path) == audio_packets(clip)
    assert pitch_of(path) == (pytest.approx(440, abs=3), pytest.approx(1, abs=0.06))
    assert readers() == []


def test_the_language_of_a_track_stays(tmp_path: Path) -> None:
    av = pyav()
    clip = clip_with_sound(tmp_path / "clip.mp4")
    with av.open(str(clip)) as source, av.open(str(tmp_path / "told.mkv"), "w") as target:
        streams = {stream.index: target.add_stream_from_template(stream, opaque=True) for stream in source.streams}
        streams[source.streams.audio[0].index].metadata["language"] = "deu"
        for packet in source.demux():
            if packet.size:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)

    path = again(tmp_path / "told.mkv", tmp_path / "film.mp4", tmp_path / "spool")

    with av.open(str(path)) as film:
        assert film.streams.audio[0].language == "deu"


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_damaged_sound_costs_the_film_no_frame(tmp_path: Path, kind: str) -> None:
    chance = random.Random(1)
    for audio, target in (("aac", "mp4"), ("aac", "webm")):
        clip = clip_with_sound(tmp_path / f"{target}.{kind}", audio=audio)
        data = bytearray(clip.read_bytes())
        for packet in audio_packets(clip)[5:30]:
            place = data.find(packet)
            if place >= 0 and len(packet) > 20:
                data[place : place + len(packet)] = chance.randbytes(len(packet))
        clip.write_bytes(data)

        path = again(clip, tmp_path / f"film.{target}", tmp_path / target)

        assert len(decoded(path)) == 25


def test_a_reader_that_dies_leaves_a_whole_film_and_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packets = ApartSound.packets

    def dying(self: ApartSound, place: int) -> Iterator[Packet]:
        for number, packet in enumerate(packets(self, place)):
            if number == 10:
                os.kill(self._process.pid, signal.SIGSEGV)
                self._process.wait()
                self._lane.shutdown(2)
                raise SoundLost("it ends the process that reads it")
            yield packet

    monkeypatch.setattr(ApartSound, "packets", dying)
    notes: list[str] = []
    clip = clip_with_sound(tmp_path / "clip.mp4")

    path = again(clip, tmp_path / "film.mp4", tmp_path / "spool", notes)

    assert len(decoded(path)) == 25
    assert audio_packets(path) == audio_packets(clip)[:10]
    assert "the sound ends after 0.2 s" in notes[0]


def test_a_reader_that_is_killed_is_told_as_such(tmp_path: Path) -> None:
    sound = ApartSound(clip_with_sound(tmp_path / "clip.mp4").open("rb"))
    try:
        (child,) = readers()
        child.kill()
        child.wait()
        with pytest.raises(SoundLost, match="ends the process"):
            list(sound.packets(0))
    finally:
        sound.close()


def test_a_reader_that_hangs_is_given_up(tmp_path: Path) -> None:
    sound = ApartSound(clip_with_sound(tmp_path / "clip.mp4").open("rb"))
    try:
        (child,) = readers()
        child.suspend()
        sound._seconds = 0.2
        begun = time.monotonic()
        with pytest.raises(SoundLost, match="more than"):
            list(sound.packets(0))
        assert time.monotonic() - begun < 30
    finally:
        sound.close()
    assert readers() == []


def test_a_container_that_cannot_be_opened_has_no_sound_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "clip.mkv").write_bytes(b"\x1a\x45\xdf\xa3" + b"\0" * 100)
    notes: list[str] = []
    facts = FilmFacts(width=96, height=64, audio=("aac",))

    path = write_film(
        tmp_path / "film.mp4",
        tmp_path / "spool",
        3,
        facts=facts,
        writer={"audio_from": tmp_path / "clip.mkv"},
        notes=notes,
    )

    assert path is not None
    assert len(decoded(path)) == 3
    assert notes[0].startswith("the sound is left out: ")


def test_what_the_muxer_does_not_take_is_left_out_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied = audio_module._copied

    def backwards(source: ApartSound, place: int, track: Any, rate: int) -> Iterator[Any]:
        for packet in copied(source, place, track, rate):
            yield packet
            packet.dts = packet.pts = -1000
            yield packet

    monkeypatch.setattr(audio_module, "_copied", backwards)
    notes: list[str] = []

    path = again(clip_with_sound(tmp_path / "clip.mp4"), tmp_path / "film.mp4", tmp_path / "spool", notes)

    assert len(decoded(path)) == 25
    with open_clip(path) as film:
        assert film.facts.audio == ()
    assert "the sound is left out, since mp4 does not take it" in notes[0]


def test_an_endless_sound_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio_module, "_LONGEST_SECONDS", 0.5)
    notes: list[str] = []

    path = again(clip_with_sound(tmp_path / "clip.mp4"), tmp_path / "film.mp4", tmp_path / "spool", notes)

    assert pitch_of(path)[1] == pytest.approx(0.5, abs=0.1)
    assert notes == ["the sound is cut after 0.5 s"]
