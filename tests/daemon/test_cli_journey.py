"""``journey``: a photo becomes a film, whole or not at all, and a film that was killed goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deepdream_daemon.films.colours import as_filmed
from deepdream_daemon.films.encoders import ANIMATIONS, CODECS, CONTAINERS
from deepdream_daemon.films.frame_folder import FrameFolder
from deepdream_daemon.films.options import AUTO, SAME, FilmOptions
from deepdream_daemon.films.writing import FilmWriter
from deepdream_daemon.pipeline.time_left import TimeLeft, words
from deepdream_engine.errors import BadOption
from deepdream_engine.pictures import Picture
from deepdream_plugins.resolving.moving_keys import FILM
from tests.corpus import srgb_profile
from tests.daemon.cli import COMMAND, ENVIRONMENT, deepdream, nowhere, photo, wait_until

av = pytest.importorskip("av")

__all__ = ["nowhere"]

QUICK = ("--recipe", "classic", "--set", "octaves=1", "--set", "steps=1", "--set", "objective.layer=conv2")
ZOOM = ("--set", "journey.zoom=1.05")


def frames(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as film:
        return [frame.to_ndarray(format="rgb24") for frame in film.decode(film.streams.video[0])]


def leftovers(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_photo_becomes_a_film_beside_it(tmp_path: Path) -> None:
    source = photo(tmp_path / "pics" / "photo.jpg")
    before = source.read_bytes()
    result = deepdream("journey", "pics/photo.jpg", *QUICK, *ZOOM, "--set", "journey.frames=5", "--set", "film.rate=10")
    target = tmp_path / "pics" / "photo.classic.mp4"
    assert (result.exit_code, result.stdout) == (0, f"{target}\n"), result.stderr
    assert "photo.jpg: 5 frames dreamt after" in result.stderr
    with av.open(str(target)) as film:
        stream = film.streams.video[0]
        assert (stream.average_rate, stream.width, stream.height) == (10, 96, 72)
    film_frames = frames(target)
    assert len(film_frames) == 5
    changes = [np.abs(a.astype(float) - b).mean() for a, b in pairwise(film_frames)]
    assert min(changes) > 1, "nothing moves"
    assert source.read_bytes() == before
    assert leftovers(tmp_path / "user-state") == [], "unfinished frames are left"


def test_a_film_of_a_photo_with_odd_sides_can_be_shown_by_all_players(tmp_path: Path) -> None:
    photo(tmp_path / "photo.png", width=97, height=73)
    result = deepdream("journey", "photo.png", *QUICK, *ZOOM, "--set", "journey.frames=1")
    assert "note" not in result.stderr
    with av.open(str(tmp_path / "photo.classic.mp4")) as film:
        stream = film.streams.video[0]
        assert (stream.width, stream.height, stream.codec_context.pix_fmt) == (96, 72, "yuv420p")


def test_the_film_begins_with_the_dream_of_the_photo(tmp_path: Path) -> None:
    source = photo(tmp_path / "photo.png")
    deepdream(
        "journey", source, *QUICK, *ZOOM, "--set", "journey.frames=2", "-o", "film.mkv", "--set", "film.codec=ffv1"
    )
    (first, second) = frames(tmp_path / "film.mkv")
    given = np.asarray(Image.open(source).convert("RGB")).astype(float)
    assert np.abs(first - given).mean() < np.abs(second - given).mean()


def test_the_preset_goes_through_all_its_segments_and_shows_them_on_a_sheet(tmp_path: Path) -> None:
    photo(tmp_path / "photo.png", width=64, height=48)
    changes = ("journey.frames=1", "journey.steps=1", "journey.octaves=1")
    sets = [part for change in changes for part in ("--set", change)]
    result = deepdream("journey", "photo.png", *sets, "-o", "film.gif", "--contact-sheet", "sheet.png")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines() == [str(tmp_path / "film.gif"), str(tmp_path / "sheet.png")]
    with Image.open(tmp_path / "film.gif") as film:
        assert film.n_frames == 6  # type: ignore[attr-defined]
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 500
        assert np.asarray(sheet.convert("L")).std() > 20


def test_a_film_goes_back_over_the_frames_that_were_shown(tmp_path: Path) -> None:
    photo(tmp_path / "photo.png")
    lossless = ("--set", "film.codec=ffv1", "-o", "film.mkv")
    args = (*QUICK, *ZOOM, "--set", "journey.frames=4", "--set", "journey.way=ping-pong", *lossless)
    assert deepdream("journey", "photo.png", *args).exit_code == 0
    film = frames(tmp_path / "film.mkv")
    assert len(film) == 6
    assert np.array_equal(film[1], film[5])
    assert np.array_equal(film[2], film[4])
    assert not np.array_equal(film[1], film[2])


def test_nothing_is_replaced(tmp_path: Path) -> None:
    photo(tmp_path / "photo.png")
    (tmp_path / "film.mp4").write_bytes(b"mine")
    result = deepdream("journey", "photo.png", *QUICK, *ZOOM, "--set", "journey.frames=1", "-o", "film.mp4")
    assert result.stdout == f"{tmp_path / 'film-2.mp4'}\n", result.stderr
    assert (tmp_path / "film.mp4").read_bytes() == b"mine"


@pytest.fixture
def private_state(tmp_path: Path) -> Path:
    """A configuration whose state folder is its own, for processes."""
    (tmp_path / "config.toml").write_text('[daemon]\nstate = "state"\n')
    return tmp_path / "state"


@pytest.mark.parametrize("way", ["forwards", "ping-pong", "loop"])
def test_a_film_that_was_interrupted_goes_on_and_is_the_film_of_one_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    photo(tmp_path / "photo.png", width=48, height=32)
    args = (*QUICK, *ZOOM, "--set", "journey.frames=60", "--set", f"journey.way={way}")
    assert deepdream("journey", "photo.png", *args, "-o", "whole.mp4").exit_code == 0

    write, left = FilmWriter.write, iter(range(53))

    def interrupted(self: FilmWriter, *frame: Any) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        write(self, *frame)

    monkeypatch.setattr(FilmWriter, "write", interrupted)
    result = deepdream("journey", "photo.png", *args, "-o", "stopped.mp4")
    assert result.exit_code == 130
    assert "the same command goes on with it" in result.stderr
    assert not (tmp_path / "stopped.mp4").exists(), "a film was visible before it was whole"
    monkeypatch.setattr(FilmWriter, "write", write)
    result = deepdream("journey", "photo.png", *args, "-o", "stopped.mp4")
    assert "went on from frame 49 of" in result.stderr
    assert (tmp_path / "stopped.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()
    assert leftovers(tmp_path / "user-state") == []


@pytest.mark.parametrize(("way", "lost"), [("ping-pong", "shown-7.npy"), ("loop", "state-3.npy")])
@pytest.mark.parametrize("is_cut", [False, True])
def test_a_film_that_has_lost_a_frame_it_needs_once_more_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, lost: str, is_cut: bool
) -> None:
    photo(tmp_path / "photo.png", width=48, height=32)
    args = (*QUICK, *ZOOM, "--set", "journey.frames=60", "--set", f"journey.way={way}")
    assert deepdream("journey", "photo.png", *args, "-o", "whole.mp4").exit_code == 0
    write, left = FilmWriter.write, iter(range(53))

    def interrupted(self: FilmWriter, *frame: Any) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        write(self, *frame)

    monkeypatch.setattr(FilmWriter, "write", interrupted)
    assert deepdream("journey", "photo.png", *args, "-o", "film.mp4").exit_code == 130
    monkeypatch.setattr(FilmWriter, "write", write)
    (path,) = (tmp_path / "user-state").rglob(lost)
    if is_cut:
        path.write_bytes(path.read_bytes()[:-100])
    else:
        path.unlink()

    result = deepdream("journey", "photo.png", *args, "-o", "film.mp4")

    assert result.exit_code == 0, result.stderr
    assert "went on from" not in result.stderr
    assert (tmp_path / "film.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()
    assert leftovers(tmp_path / "user-state") == []


def test_a_kept_frame_that_gets_lost_meanwhile_is_trouble_that_passes(tmp_path: Path) -> None:
    import torch

    folder = FrameFolder(tmp_path / "kept", 1 << 20)
    folder.put(3, torch.zeros(3, 4, 4))
    (tmp_path / "kept" / "state-3.npy").write_bytes(b"nothing")
    with pytest.raises(OSError, match="begins it anew"):
        folder.get(3)
    assert not folder.has(put=[3])


@pytest.mark.slow
@pytest.mark.parametrize("way", ["forwards", "ping-pong", "loop"])
def test_a_film_that_was_killed_goes_on_and_is_the_film_of_one_run(
    tmp_path: Path, private_state: Path, way: str
) -> None:
    photo(tmp_path / "photo.png", width=48, height=32)
    make = [*COMMAND, "journey", "photo.png", "--config", "config.toml", *QUICK, *ZOOM]
    make += ["--set", "journey.frames=110", "--set", f"journey.way={way}"]
    environment = {**ENVIRONMENT, "PYTHONWARNINGS": "error"}

    def run(name: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*make, "-o", name], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=100
        )

    with subprocess.Popen([*make, "-o", "killed.mp4"], env=environment, cwd=tmp_path, stderr=subprocess.DEVNULL) as one:
        wait_until(lambda: any(private_state.glob("films/*/film.json")) or one.poll() is not None)
        os.kill(one.pid, signal.SIGKILL)
    assert one.returncode == -signal.SIGKILL, "it was done before it could be killed"
    (index,) = private_state.glob("films/*/film.json")
    kept = json.loads(index.read_text())["frames"]
    assert kept >= 48
    assert list(tmp_path.glob("*.mp4")) == [], "a film was visible before it was whole"
    resumed = run("killed.mp4")
    assert f"went on from frame {kept + 1} of" in resumed.stderr
    assert leftovers(private_state / "films") == []
    whole = run("whole.mp4")
    assert "went on" not in whole.stderr
    assert (tmp_path / "killed.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("--recipe", "classic"), "has no journey"),
        (("-o", "film.xyz"), "such files end with .mp4"),
        (("-o", "film.mkv", "--set", "film.container=webm"), "such files end with .webm"),
        (("--contact-sheet", "sheet.pdf"), "ends with .png"),
        (("--set", "film.container=gif", "--set", "film.codec=h264"), "no choice of codec"),
        (("--set", "film.container=webm", "--set", "film.codec=h264"), "cannot hold h264"),
        (("--set", "journey.frames=0"), "--set journey.frames"),
        (("--recipe", "artcle"), "Did you mean 'article'"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_dreamt(tmp_path: Path, args: tuple[str, ...], told: str) -> None:
    photo(tmp_path / "photo.png")
    result = deepdream("journey", "photo.png", *args)
    assert result.exit_code == 2
    assert told in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]


def test_a_photo_that_is_none_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_text("hello")
    result = deepdream("journey", "photo.png", "--set", "journey.frames=1")
    assert result.exit_code == 1
    assert "not a picture" in result.stderr


def test_what_goes_wrong_in_a_frame_tells_which(tmp_path: Path) -> None:
    Image.new("RGB", (64, 48), (0, 0, 0)).save(tmp_path / "black.png")
    segment = "journey.segments=[{objective={name='tv'}}]"
    result = deepdream("journey", "black.png", "--set", "octaves=1", "--set", segment)
    assert result.exit_code == 2, result.stderr
    assert "frame 1: " in result.stderr
    assert "gradient is zero" in result.stderr


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (64, 48), (0, 0, 0, 0))
    picture.paste((40, 90, 160, 255), (16, 12, 48, 36))
    picture.save(tmp_path / "photo.png")
    args = (*QUICK, *ZOOM, "--set", "journey.frames=1", "--set", "step_size=0.001", "-o", "film.mkv")
    assert deepdream("journey", "photo.png", *args, "--set", "film.codec=ffv1").exit_code == 0
    (frame,) = frames(tmp_path / "film.mkv")
    assert frame[2:8, 2:8].mean() > 240


def test_the_keys_of_films_are_what_films_can_be() -> None:
    options = {option.name: option for option in FILM}
    assert set(options["container"].choices) == {SAME, *CONTAINERS, *ANIMATIONS}
    assert set(options["codec"].choices) == {AUTO, *CODECS}
    defaults: dict[str, Any] = {option.name: option.default for option in FILM}
    assert FilmOptions(**{**defaults, "rate": Fraction(defaults["rate"])}) == FilmOptions()


def test_frames_that_would_take_too_much_room_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=r"10 of its frames once more, which take 0\.0 GB"):
        FrameFolder(tmp_path, 999).check(10, 100)


def test_the_time_left_follows_the_pace_of_late() -> None:
    now = 0.0
    left = TimeLeft(lambda: now)
    assert left.seconds(0.0) is None
    now = 10.0
    assert left.seconds(0.1) == pytest.approx(90)
    for now in range(20, 400, 10):
        left.seconds(0.1 + now / 4000)  # four times as slow
    assert left.seconds(0.1 + now / 4000) == pytest.approx((0.9 - now / 4000) * 4000, rel=0.01)
    assert [words(seconds) for seconds in (0.2, 50, 600, 12_000)] == ["1 s", "50 s", "10 min", "3 h 20 min"]


def test_the_colours_of_a_profile_become_those_that_players_show() -> None:
    pixels = np.zeros((4, 4, 3), np.float32)
    pixels[..., 0] = 1
    own = srgb_profile()
    swapped = own.replace(b"rXYZ", b"????", 1).replace(b"bXYZ", b"rXYZ", 1).replace(b"????", b"bXYZ", 1)
    shown = {
        name: as_filmed(Picture(pixels=pixels, format="PNG", icc_profile=profile)).mean(dim=(1, 2)).tolist()
        for name, profile in (("own", own), ("swapped", swapped), ("broken", b"nonsense"), ("none", None))
    }
    for name in ("own", "broken", "none"):
        assert shown[name] == pytest.approx([1, 0, 0], abs=0.02), name
    assert shown["swapped"] == pytest.approx([0, 0, 1], abs=0.02)
