"""``dream`` of clips and animations: a film of the same size, times and sound, whole or not at all, that goes on."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deepdream_daemon.films import FilmFacts, FilmOptions, FilmWriter, Frame, Spool, choosing, clipping, writing
from deepdream_daemon.films.ahead import Ahead
from deepdream_daemon.films.reading import open_clip
from deepdream_daemon.oneshot.clips import is_clip
from deepdream_engine.motion import flow
from tests.daemon.cli import QUICK, deepdream, nowhere, photo
from tests.daemon.filming import audio_packets, clip_with_sound, decoded, finish, frame, write_film

pytest.importorskip("av")
pytest.importorskip("cv2")

__all__ = ["nowhere"]

PLAIN = ("--set", "prefilters=[]", "--set", "postfilters=[]")


def moving(path: Path, spool: Path, count: int = 5, facts: FilmFacts | None = None, **options: Any) -> Path:
    made = write_film(path, spool, count, facts=facts, **options)
    assert made is not None
    return made


def unfinished(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]


def test_a_clip_becomes_a_film_beside_it_with_its_times_and_its_sound(tmp_path: Path) -> None:
    source = clip_with_sound(tmp_path / "clip.mp4", seconds=0.4)
    before = source.read_bytes()
    result = deepdream("dream", "clip.mp4", *QUICK)
    target = tmp_path / "clip.classic.mp4"
    assert (result.exit_code, result.stdout) == (0, f"{target}\n"), result.stderr
    assert "clip.mp4: 10 frames dreamt after" in result.stderr
    assert "frames a second; the device was busy" in result.stderr
    with open_clip(source) as clip, open_clip(target) as film:
        facts = ("width", "height", "rate", "frames", "duration", "audio", "container", "rotation")
        for name in facts:
            assert getattr(film.facts, name) == getattr(clip.facts, name), name
    assert audio_packets(target) == audio_packets(source), "the sound is copied as it is"
    apart = [np.abs(a.astype(float) - b).mean() for a, b in zip(decoded(source), decoded(target), strict=True)]
    assert min(apart) > 2, "every frame is dreamt"
    assert source.read_bytes() == before
    assert unfinished(tmp_path / "user-state") == []


def test_a_film_can_be_named_and_its_name_decides_what_it_is(tmp_path: Path) -> None:
    moving(tmp_path / "clip.mp4", tmp_path / "spool")
    result = deepdream("dream", "clip.mp4", *QUICK, "-o", "made/dream.webm")
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path / 'made' / 'dream.webm'}\n"), result.stderr
    with open_clip(tmp_path / "made" / "dream.webm") as film:
        assert (film.facts.container, film.facts.frames) == ("webm", 5)


def test_clips_and_photos_go_into_one_folder(tmp_path: Path) -> None:
    moving(tmp_path / "clip.mp4", tmp_path / "spool", 3)
    photo(tmp_path / "photo.png")
    result = deepdream("dream", "clip.mp4", "photo.png", *QUICK, "-o", "made")
    assert result.exit_code == 0, result.stderr
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == ["clip.classic.mp4", "photo.classic.png"]


SMALL = "prefilters=[{name='resize', longest_side=48}]"


@pytest.mark.parametrize("rotation", [0, 90])
def test_size_and_rotation_stay_when_the_dream_itself_is_small(tmp_path: Path, rotation: int) -> None:
    facts = FilmFacts(width=64, height=96, rotation=rotation)
    source = moving(tmp_path / "clip.mp4", tmp_path / "spool", 2, facts)
    assert deepdream("dream", source, *QUICK, "--set", SMALL, "-o", "film.mp4").exit_code == 0
    with open_clip(tmp_path / "film.mp4") as film:
        assert (film.facts.width, film.facts.height, film.facts.rotation) == (64, 96, rotation)


def test_a_small_dream_lies_on_the_clip_as_sharp_as_it_is(tmp_path: Path) -> None:
    pixels = frame(0).pixels * 0.7 + 0.1
    pixels[:, :, ::2] += 0.1  # finer than a dream of half the size can show
    source = written(tmp_path, [pixels, pixels])
    args = ("--set", SMALL, "--set", "step_size=16", "--set", "film.codec=ffv1", "-o", "film.mkv")
    assert deepdream("dream", source, *QUICK, *args).exit_code == 0
    shown = decoded(tmp_path / "film.mkv")[0].astype(float) / 255
    fine = np.abs(np.diff(shown, 2, axis=1)).mean()
    assert fine > 0.9 * np.abs(np.diff(pixels, 2, axis=2)).mean(), "the clip itself was shrunk"
    assert np.abs(shown.transpose(2, 0, 1) - pixels).mean() * 255 > 1, "it is dreamt"


def written(folder: Path, frames: list[np.ndarray[Any, Any]]) -> Path:
    """A clip without loss."""
    facts, options = FilmFacts(width=96, height=64), FilmOptions(codec="ffv1", container="mkv")
    with Spool(folder / "spool", 1 << 30) as spool, FilmWriter(folder / "lossless.mkv", facts, options, spool) as film:
        for number, pixels in enumerate(frames):
            film.write(Frame(pixels=pixels, pts=Fraction(number, 25), duration=Fraction(1, 25)))
        return finish(film, folder / "lossless.mkv")


def test_a_variable_rate_stays_variable(tmp_path: Path) -> None:
    facts = FilmFacts(width=96, height=64, is_variable=True)
    source = tmp_path / "clip.mkv"
    shown = [Fraction(at, 100) for at in (0, 4, 20, 24, 60)]
    with Spool(tmp_path / "spool", 1 << 30) as spool, FilmWriter(source, facts, FilmOptions(), spool) as writer:
        for number, pts in enumerate(shown):
            writer.write(Frame(pixels=frame(number).pixels, pts=pts, duration=Fraction(1, 25)))
        finish(writer, source)
    assert deepdream("dream", source, *QUICK, "-o", "film.mkv").exit_code == 0
    with open_clip(source) as clip, open_clip(tmp_path / "film.mkv") as film:
        assert film.facts.is_variable
        assert [read.pts for read in film] == [read.pts for read in clip]


@pytest.mark.parametrize("kind", ["gif", "webp", "png"])
def test_an_animation_keeps_its_transparency_its_loop_and_its_times(tmp_path: Path, kind: str) -> None:
    facts = FilmFacts(width=96, height=64, has_alpha=True, loop=3, rate=Fraction(10))
    source = moving(tmp_path / f"moving.{kind}", tmp_path / "spool", 4, facts)
    assert is_clip(source)
    result = deepdream("dream", source, *QUICK, *PLAIN, "--set", "step_size=8")
    assert result.exit_code == 0, result.stderr
    with open_clip(source) as clip, open_clip(Path(result.stdout.strip())) as film:
        for name in ("width", "height", "has_alpha", "loop", "frames", "duration", "container"):
            assert getattr(film.facts, name) == getattr(clip.facts, name), name
        for was, now in zip(clip, film, strict=True):
            assert np.abs(was.alpha - now.alpha).max() < 0.02
            assert np.abs(was.pixels - now.pixels)[:, :, 48:].mean() * 255 > 2


def test_patterns_live_on_from_frame_to_frame_unless_told_otherwise(tmp_path: Path) -> None:
    grain = np.random.default_rng(1)
    scene = frame(0).pixels
    noisy = [scene + grain.normal(0, 1 / 255, scene.shape).astype(np.float32) for _ in range(4)]
    source = written(tmp_path, noisy)
    changes = {}
    dream = ("--set", "octaves=2", "--set", "steps=8", "--set", "objective.layer=mixed3b", "--set", "step_size=2")
    for carry in ("0.9", "0"):
        name = f"{carry}.mkv"
        result = deepdream("dream", source, *dream, *PLAIN, "--set", f"video.carry={carry}", "-o", name)
        assert result.exit_code == 0, result.stderr
        changes[carry] = np.mean([np.abs(b.astype(float) - a).mean() for a, b in pairwise(decoded(tmp_path / name))])
    assert changes["0.9"] < changes["0"] / 3


@pytest.mark.parametrize("chunk", ["0", pytest.param("12", marks=pytest.mark.slow)])
def test_a_clip_that_was_interrupted_goes_on_and_is_the_film_of_one_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: str
) -> None:
    for module in (writing, choosing):
        monkeypatch.setattr(module, "CHUNK_FRAMES", 8)
    facts = FilmFacts(width=48, height=32)
    source = moving(tmp_path / "clip.mp4", tmp_path / "spool", 20, facts)
    args = (*QUICK, *PLAIN, "--set", f"video.chunk={chunk}")
    assert deepdream("dream", source, *args, "-o", "whole.mp4").exit_code == 0
    write, left = FilmWriter.write, iter(range(18))

    def interrupted(self: FilmWriter, *frame: Any) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        write(self, *frame)

    monkeypatch.setattr(FilmWriter, "write", interrupted)
    result = deepdream("dream", source, *args, "-o", "stopped.mp4")
    assert result.exit_code == 130
    assert "the same command goes on with it" in result.stderr
    assert not (tmp_path / "stopped.mp4").exists(), "a film was visible before it was whole"
    monkeypatch.setattr(FilmWriter, "write", write)
    result = deepdream("dream", source, *args, "-o", "stopped.mp4")
    assert "went on from frame 17 of 20" in result.stderr
    assert (tmp_path / "stopped.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()
    assert unfinished(tmp_path / "user-state") == []


def test_a_damaged_clip_costs_its_neighbours_nothing(tmp_path: Path) -> None:
    whole = moving(tmp_path / "whole.mp4", tmp_path / "spool", 3)
    (tmp_path / "cut.mp4").write_bytes(whole.read_bytes()[:-200])
    (tmp_path / "cut.mkv").write_bytes(b"\x1a\x45\xdf\xa3" + b"\0" * 100)
    result = deepdream("dream", "cut.mp4", "cut.mkv", "whole.mp4", *QUICK)
    assert result.exit_code == 1
    assert result.stdout == f"{tmp_path / 'whole.classic.mp4'}\n"
    for name in ("cut.mp4", "cut.mkv"):
        (line,) = [line for line in result.stderr.splitlines() if name in line]
        assert "Copy or export it again" in line or "Copy it again" in line


def test_a_clip_that_changes_meanwhile_is_not_made_into_a_film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = moving(tmp_path / "clip.mp4", tmp_path / "spool", 3)
    finished = clipping.Clipping.shown

    def changed(self: clipping.Clipping, still: Any) -> Any:
        shutil.copy(source, tmp_path / "new.mp4")
        (tmp_path / "new.mp4").replace(source)
        return finished(self, still)

    monkeypatch.setattr(clipping.Clipping, "shown", changed)
    result = deepdream("dream", source, *QUICK)
    assert result.exit_code == 1
    assert "was changed while it was dreamt" in result.stderr
    assert not (tmp_path / "clip.classic.mp4").exists()


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("--set", "video.carry=1"), "video.carry"),
        (("--set", "video.chunk=2"), "chunk 2"),
        (("--set", "video.speed=2"), "video"),
        (("--set", "film.container=webm", "-o", "film.mkv"), "such files end with .webm"),
        (("--set", "film.container=webm", "--set", "film.codec=h264"), "cannot hold h264"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, args: tuple[str, ...], told: str) -> None:
    moving(tmp_path / "clip.mp4", tmp_path / "spool", 2)
    result = deepdream("dream", "clip.mp4", *QUICK, *args)
    assert result.exit_code == 2
    assert told in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["clip.mp4"]


def test_without_opencv_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moving(tmp_path / "clip.mp4", tmp_path / "spool", 2)
    monkeypatch.setitem(sys.modules, "cv2", None)
    flow._opencv.cache_clear()
    result = deepdream("dream", "clip.mp4", *QUICK)
    flow._opencv.cache_clear()
    assert result.exit_code == 2
    assert "pip install 'deepdream-daemon[video]'" in result.stderr


def test_stills_are_no_clips(tmp_path: Path) -> None:
    for name in ("photo.png", "photo.jpg"):
        assert not is_clip(photo(tmp_path / name))
    for kind in ("gif", "webp"):
        Image.new("RGB", (64, 48), (9, 99, 9)).save(tmp_path / f"still.{kind}")
        assert not is_clip(tmp_path / f"still.{kind}")
    assert not is_clip(tmp_path / "missing.mp4")
    assert not is_clip(tmp_path)
    os.mkfifo(tmp_path / "pipe.mp4")
    assert not is_clip(tmp_path / "pipe.mp4"), "and nobody waits for it"
    (tmp_path / "broken.gif").write_bytes(b"GIF89a" + b"\xff" * 9)
    assert not is_clip(tmp_path / "broken.gif")


def there(reader: Ahead[Any]) -> Iterator[Any]:
    """Wait for what it has."""
    while True:
        if (item := next(reader)) is not None:
            yield item
        time.sleep(0.001)


def test_what_is_read_ahead_is_read_no_further_than_that_and_closed() -> None:
    made: list[int] = []
    is_closed = False

    def items() -> Any:
        nonlocal is_closed
        try:
            for number in range(100):
                made.append(number)
                yield number
        finally:
            is_closed = True

    goes_on = threading.Event()
    goes_on.set()
    reader = Ahead(items(), 3)
    assert [next(there(reader)) for _ in range(4)] == [0, 1, 2, 3]
    reader.close()
    reader.join()
    assert is_closed
    assert len(made) <= 9
    with pytest.raises(StopIteration):
        next(reader)

    def failing() -> Any:
        assert goes_on.wait(60)
        yield 1
        raise OSError("gone")

    goes_on.clear()
    stirred = threading.Event()
    reader = Ahead(failing(), 3, stirred.set)
    assert next(reader) is None, "nobody waits for what is not there"
    assert not stirred.is_set()
    goes_on.set()
    assert stirred.wait(60)
    assert next(there(reader)) == 1
    with pytest.raises(OSError, match="gone"):
        next(there(reader))
