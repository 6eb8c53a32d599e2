"""What a clip is beside its frames: the shape of its pixels, its light, its transparency, kept in its film or told."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepdream_daemon.films.apart import ApartClip
from deepdream_daemon.films.extra import pyav
from deepdream_daemon.films.light import Light
from deepdream_daemon.films.reading import open_clip
from tests.daemon.filming import again, decoded, error, foreign_clip, frame, write_film

pytest.importorskip("av", reason="the extra video")

QUIET = {"x265-params": "log-level=none"}
PQ = {"color_primaries": 9, "color_trc": 16, "colorspace": 9, "color_range": 1}
WIDE = Fraction(4, 3)
DISPLAY = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
AS_NUMBERS = (34000, 16000, 13250, 34500, 7500, 3000, 15635, 16450, 50, 10000000)


@pytest.mark.parametrize(
    ("kind", "codec"), [("mp4", "libx264"), ("mov", "libx264"), ("mkv", "libx264"), ("avi", "mpeg4")]
)
def test_pixels_that_are_not_square_stay_so(tmp_path: Path, kind: str, codec: str) -> None:
    source = foreign_clip(tmp_path / f"clip.{kind}", codec, "yuv420p", sample_aspect_ratio=WIDE)

    film = again(source, tmp_path / "film.mp4" if kind == "avi" else tmp_path / f"film.{kind}", tmp_path / "spool")

    for path in (source, film):
        with open_clip(path) as clip:
            assert (clip.facts.width, clip.facts.height, clip.facts.pixel_aspect) == (96, 64, WIDE)


def test_a_turned_clip_keeps_the_shape_of_its_pixels_as_it_is_shown(tmp_path: Path) -> None:
    from deepdream_daemon.films import FilmFacts

    facts = FilmFacts(width=64, height=96, rotation=90, pixel_aspect=WIDE)
    source = write_film(tmp_path / "clip.mp4", tmp_path / "a", 3, facts=facts)
    assert source is not None
    film = again(source, tmp_path / "film.mp4", tmp_path / "b")
    for path in (source, film):
        with open_clip(path) as clip:
            assert (clip.facts.rotation, clip.facts.pixel_aspect) == (90, WIDE)


@pytest.mark.parametrize("name", ["film.gif", "film.webm"])
def test_where_pixels_must_be_square_that_is_told(tmp_path: Path, name: str) -> None:
    source = foreign_clip(tmp_path / "clip.mp4", "libx264", "yuv420p", sample_aspect_ratio=WIDE)
    notes: list[str] = []

    again(source, tmp_path / name, tmp_path / "spool", notes)

    assert any("square pixels" in note for note in notes), notes


@pytest.mark.parametrize(("kind", "codec"), [("mp4", "hevc"), ("mkv", "hevc"), ("webm", "av1")])
def test_hdr_stays_hdr(tmp_path: Path, kind: str, codec: str) -> None:
    source = foreign_clip(tmp_path / "clip.mp4", "libx265", "yuv420p10le", options=QUIET, **PQ)
    notes: list[str] = []

    film = again(source, tmp_path / f"film.{kind}", tmp_path / "spool", notes)

    with pyav().open(str(film)) as container:
        stream = container.streams.video[0]
        picture = next(container.decode(stream))
        assert (stream.codec_context.codec.canonical_name, picture.format.name) == (codec, "yuv420p10le")
        tags = (picture.color_primaries, picture.color_trc, picture.colorspace, picture.color_range)
        assert tags == (9, 16, 9, 1)
    with open_clip(source) as one, open_clip(film) as other:
        for was, now in zip(one, other, strict=True):
            assert np.abs(was.pixels.mean((1, 2)) - now.pixels.mean((1, 2))).max() * 255 < 2, "its light shifted"
            assert np.abs(was.pixels - now.pixels).mean() * 255 < 6
    assert notes == []


@pytest.mark.parametrize(("kind", "codec"), [("mp4", "libx265"), ("webm", "libsvtav1")])
def test_how_bright_hdr_becomes_is_kept_and_in_a_codec_without_it_told(tmp_path: Path, kind: str, codec: str) -> None:
    said = f"{QUIET['x265-params']}:master-display={DISPLAY}:max-cll=1000,400"
    source = foreign_clip(tmp_path / "clip.mp4", "libx265", "yuv420p10le", options={"x265-params": said}, **PQ)
    notes: list[str] = []

    film = again(source, tmp_path / f"film.{kind}", tmp_path / "spool", notes)

    assert notes == []
    with open_clip(source) as one, ApartClip(source) as apart, open_clip(film) as other:
        assert apart.facts == one.facts
        assert one.facts.light == Light(display=AS_NUMBERS, levels=(1000, 400))
        assert other.facts.light.levels == (1000, 400)
        assert np.abs(np.subtract(other.facts.light.display, AS_NUMBERS)).max() <= (0 if codec == "libx265" else 40)

    again(source, tmp_path / "film.mov", tmp_path / "b", notes, codec="prores")
    assert len(notes) == 1
    assert "hevc and av1 tell it" in notes[0]


@pytest.mark.parametrize("told", [{"display": (1,) * 9}, {"display": (-1,) * 10}, {"levels": (1, 1 << 16)}])
def test_light_that_no_encoder_could_be_told_of_is_refused(told: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no "):
        Light(**told)


def test_more_bits_than_the_film_has_are_told_and_kept_where_that_is_asked_for(tmp_path: Path) -> None:
    source = foreign_clip(tmp_path / "clip.mkv", "libx265", "yuv420p10le", options=QUIET)
    notes: list[str] = []

    again(source, tmp_path / "film.mkv", tmp_path / "a", notes)
    deep = again(source, tmp_path / "deep.mkv", tmp_path / "b", codec="hevc", pixel_format="yuv420p10le")

    assert "10 bits a channel" in notes[0]
    assert "film.pixel_format" in notes[0]
    with open_clip(deep) as clip:
        assert clip.facts.bits == 10


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format", "options"),
    [
        ("vp8.webm", "libvpx", "yuva420p", {"auto-alt-ref": "0"}),
        ("vp9.webm", "libvpx-vp9", "yuva420p", {}),
        ("animation.mov", "qtrle", "argb", {}),
        ("png.mov", "png", "rgba", {}),
        ("prores.mov", "prores_ks", "yuva444p10le", {}),
    ],
)
def test_transparency_of_every_kind_is_kept(
    tmp_path: Path, name: str, codec: str, pixel_format: str, options: dict[str, str]
) -> None:
    source = foreign_clip(tmp_path / name, codec, pixel_format, alpha=True, options=options)

    film = again(source, tmp_path / f"film{source.suffix}", tmp_path / "spool")

    with open_clip(film) as clip:
        assert clip.facts.has_alpha
        shown = list(clip)
    assert len(shown) == 10
    for read in shown:
        assert read.alpha is not None
        assert read.alpha[..., :40].max() < 0.03
        assert read.alpha[..., 56:].min() > 0.97


def test_a_turned_mkv_comes_out_upright(tmp_path: Path) -> None:
    from deepdream_daemon.films import FilmFacts

    av = pyav()
    turned = write_film(tmp_path / "t.mp4", tmp_path / "a", 3, facts=FilmFacts(width=64, height=96, rotation=90))
    with av.open(str(turned)) as source, av.open(str(tmp_path / "clip.mkv"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0], opaque=True)
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = stream
                target.mux(packet)

    with open_clip(tmp_path / "clip.mkv") as clip:
        assert (clip.facts.width, clip.facts.height, clip.facts.rotation) == (64, 96, 90)
    film = again(tmp_path / "clip.mkv", tmp_path / "film.mkv", tmp_path / "b")
    assert error(decoded(film)[0], frame(0, 64, 96)) < 6


@pytest.mark.parametrize("said", [{"sample_aspect_ratio": WIDE}, PQ])
def test_the_process_that_reads_apart_tells_the_same(tmp_path: Path, said: dict[str, Any]) -> None:
    source = foreign_clip(tmp_path / "clip.mp4", "libx265", "yuv420p10le", options=QUIET, **said)
    with open_clip(source) as here, ApartClip(source) as apart:
        assert apart.facts == here.facts
