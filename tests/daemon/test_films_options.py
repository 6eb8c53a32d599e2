"""What a recipe may ask of a film, and what it is told when that cannot be."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pytest

from deepdream_daemon.films import FilmFacts, FilmOptions, FilmWriter, Frame, Spool, extra
from deepdream_daemon.films.choosing import choose_encoding
from deepdream_daemon.films.contact import contact_sheet
from deepdream_daemon.films.encoders import CONTAINERS, ENCODERS
from deepdream_daemon.films.options import check, container_for, encoder_for
from deepdream_engine.errors import BadOption, BadPicture
from tests.daemon.filming import LIMIT_BYTES, decoded, finish, frame, write_film

pytest.importorskip("av", reason="the extra video")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"container": "mpg"}, "unknown film container 'mpg'"),
        ({"codec": "h265"}, "Did you mean 'h264'"),
        ({"quality": 101}, "not a whole number from 1 to 100"),
        ({"quality": True}, "not a whole number"),
        ({"rate": Fraction(0)}, "not between 0 and 240"),
        ({"container": "webm", "codec": "h264"}, "Containers for h264: mp4, mov, mkv"),
        ({"container": "gif", "codec": "h264"}, "no choice of codec"),
    ],
)
def test_what_contradicts_itself_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(BadOption, match=said):
        FilmOptions(**options)


def test_every_codec_that_is_offered_can_be_written_here() -> None:
    for container, codecs in CONTAINERS.items():
        for codec in codecs:
            for pixel_format in ("auto", *ENCODERS[codec].formats):
                check(FilmOptions(container=container, codec=codec, pixel_format=pixel_format))
    for container in ("gif", "webp", "apng"):
        check(FilmOptions(container=container))


def test_every_pixel_format_that_is_offered_is_one_of_its_encoder(tmp_path: Path) -> None:
    for name, encoder in ENCODERS.items():
        container = next(key for key, codecs in CONTAINERS.items() if name in codecs)
        for pixel_format in encoder.formats:
            target = tmp_path / f"{name}-{pixel_format}.{container}"
            write_film(target, tmp_path / "spool", 2, codec=name, pixel_format=pixel_format)
            assert target.stat().st_size


def test_a_pixel_format_of_another_codec_is_refused() -> None:
    with pytest.raises(BadOption, match="unknown pixel format of prores 'yuv420p'"):
        check(FilmOptions(codec="prores", pixel_format="yuv420p"))


def test_without_an_encoder_it_says_which_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    av = extra.pyav()
    real = av.codec.Codec

    def codec(name: str, mode: str) -> Any:
        return real("no-such-encoder" if name == "libx265" else name, mode)

    monkeypatch.setattr(av.codec, "Codec", codec)

    with pytest.raises(BadOption, match=r"cannot write hevc.*It can write: h264"):
        check(FilmOptions(codec="hevc"))


def test_without_pyav_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    extra.pyav.cache_clear()
    try:
        with pytest.raises(BadOption, match=r"pip install 'deepdream-daemon\[video\]'"):
            check(FilmOptions())
        assert not extra.is_installed()
    finally:
        monkeypatch.undo()
        extra.pyav.cache_clear()


def test_the_container_is_the_one_asked_for_then_the_name_then_the_clips_own() -> None:
    facts = FilmFacts(width=2, height=2, container="mov")
    assert container_for(FilmOptions(container="mkv"), facts, PurePath("a.gif")) == "mkv"
    assert container_for(FilmOptions(), facts, PurePath("a.GIF")) == "gif"
    assert container_for(FilmOptions(), facts) == "mov"
    assert container_for(FilmOptions(), FilmFacts(width=2, height=2, container="avi")) == "mp4"
    assert container_for(FilmOptions(), FilmFacts(width=2, height=2), PurePath("film")) == "mp4"


def test_a_film_that_is_too_narrow_for_its_encoder_is_refused_before_it_is_dreamt() -> None:
    narrow, options = FilmFacts(width=62, height=128), FilmOptions(codec="hevc")
    with pytest.raises(BadOption, match=r"hevc cannot write .* less than 64 .* has 62. Choose another"):
        choose_encoding(narrow, options, "mp4", [])
    assert choose_encoding(narrow, options, "mp4", [], is_sideways=True).encoder.codec == "hevc"
    assert choose_encoding(narrow, FilmOptions(), "mp4", []).encoder.codec == "h264"


def test_a_film_with_alpha_gets_a_codec_that_has_it() -> None:
    assert encoder_for(FilmOptions(), "mov", has_alpha=True).codec == "prores"
    assert encoder_for(FilmOptions(), "mkv", has_alpha=True).codec == "vp9"
    assert encoder_for(FilmOptions(), "mp4").codec == "h264"


@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9", "av1"])
def test_more_quality_is_a_larger_file(tmp_path: Path, codec: str) -> None:
    sizes = []
    for quality in (1, 50, 80, 100):
        target = tmp_path / f"{quality}.mp4"
        sizes.append((write_film(target, tmp_path / "s", 8, codec=codec, quality=quality) or target).stat().st_size)

    assert sizes == sorted(sizes)
    assert sizes[0] < 0.8 * sizes[3]


def test_a_contact_sheet_shows_frames_from_the_whole_film(tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mp4", tmp_path / "spool", 33)
    assert film is not None

    sheet = np.asarray(contact_sheet(film, columns=3, rows=2, width=3 * 96 + 4 * 6)).astype(np.float32)

    pitch_x, pitch_y = 96 + 6, 64 + 6 + 18
    assert sheet.shape == (6 + 2 * pitch_y, 6 + 3 * pitch_x, 3)
    for cell, number in enumerate((0, 6, 13, 19, 26, 32)):
        left, top = 6 + cell % 3 * pitch_x, 6 + cell // 3 * pitch_y
        shown = sheet[top : top + 64, left : left + 96]
        assert np.abs(shown - frame(number).pixels.transpose(1, 2, 0) * 255).mean() < 8


def test_on_a_contact_sheet_a_frame_that_stays_at_the_end_is_one(tmp_path: Path) -> None:
    facts = FilmFacts(width=96, height=64)
    with (
        Spool(tmp_path / "spool", LIMIT_BYTES) as spool,
        FilmWriter(tmp_path / "film.mp4", facts, FilmOptions(), spool) as film,
    ):
        for number in range(4):
            stays = Fraction(1) if number == 3 else 1 / facts.rate
            film.write(Frame(pixels=frame(5 * number).pixels, pts=number / facts.rate, duration=stays))
        path = finish(film, tmp_path / "film.mp4")
    assert len(decoded(path)) == 3 + 25, "players do not agree on how long the last one stays"

    sheet = contact_sheet(path, columns=8, rows=1, width=4 * 96 + 5 * 6)

    assert sheet.size == (6 + 4 * (96 + 6), 6 + 64 + 6 + 18), "four cells"
    last = np.asarray(sheet).astype(np.float32)[6 : 6 + 64, -6 - 96 : -6]
    assert np.abs(last - frame(15).pixels.transpose(1, 2, 0) * 255).mean() < 8


def test_a_contact_sheet_of_no_film_is_refused(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(b"no film")
    with pytest.raises(BadPicture, match="cannot be read"):
        contact_sheet(tmp_path / "film.mp4")
