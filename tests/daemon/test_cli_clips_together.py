"""Several clips, and photos beside them, on one command line: they share the engine's passes, and nothing else."""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepdream_daemon.films import FilmFacts, FilmWriter, clipping
from deepdream_daemon.films.ahead import Ahead
from deepdream_daemon.films.reading import open_clip
from deepdream_daemon.oneshot.pieces import Photo
from deepdream_daemon.pipeline.feed import Waiting
from deepdream_engine import engine, session
from tests.daemon.cli import QUICK, deepdream, nowhere, photo
from tests.daemon.film_daemon import CHUNK, small_chunks
from tests.daemon.filming import decoded, write_film
from tests.engine.conftest import SharedPasses

pytest.importorskip("av")
pytest.importorskip("cv2")

__all__ = ["nowhere"]

SMALL = FilmFacts(width=48, height=32)
PLAIN = ("--set", "prefilters=[]", "--set", "postfilters=[]")


def clips(root: Path, *names: str, frames: int = 12) -> list[Path]:
    """Clips of as many frames, each of another part of one moving scene."""
    made = []
    for number, name in enumerate(names):
        (root / name).parent.mkdir(exist_ok=True)
        path = write_film(root / name, root / f"spool-{number}", frames + number, facts=SMALL)
        assert path is not None
        made.append(path)
    return made


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """Of how many pictures the passes are, with the memory policy of an accelerator."""
    counted: Counter[int] = Counter()
    run = session.Session._pass

    def counting(self: session.Session, requests: Any, rows: int) -> Any:
        counted[len({request.flight.index for request in requests})] += 1
        return run(self, requests, rows)

    monkeypatch.setattr(SharedPasses, "pictures", 3)
    monkeypatch.setattr(engine, "Memory", SharedPasses)
    monkeypatch.setattr(session.Session, "_pass", counting)
    return counted


def begin_together(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Have nothing dreamt before so many clips are there and two frames of each are read; then they take turns."""
    all_are_there, read = threading.Event(), Counter[int]()
    waiting: list[Any] = []
    add, put, run = Waiting.add, Ahead._put, session.Session._pass

    def adding(self: Waiting[Any], item: Any) -> None:
        waiting.append(item)
        if len(waiting) == count:
            for each in waiting:
                add(self, each)

    def putting(self: Ahead[Any], item: Any, error: BaseException | None) -> None:
        put(self, item, error)
        read[id(self)] += 1
        if sum(frames >= 2 for frames in list(read.values())) == count:
            all_are_there.set()

    def running(self: session.Session, requests: Any, rows: int) -> Any:
        assert all_are_there.wait(60)
        return run(self, requests, rows)

    monkeypatch.setattr(Waiting, "add", adding)
    monkeypatch.setattr(Ahead, "_put", putting)
    monkeypatch.setattr(session.Session, "_pass", running)


def test_the_frames_of_several_clips_share_passes(
    tmp_path: Path, passes: Counter[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("a.mp4", "b.mp4", "c.mp4")
    sources = clips(tmp_path, *names, frames=5)
    begin_together(monkeypatch, len(names))

    result = deepdream("dream", *sources, *QUICK, *PLAIN)

    assert result.exit_code == 0, result.stderr
    assert result.stdout.split() == [str(tmp_path / f"{name[0]}.classic.mp4") for name in names]
    assert passes[3] > 0, passes
    for frames, source in enumerate(sources, 5):
        assert f"{source.name}: {frames} frames dreamt after" in result.stderr
        then, now = decoded(source), decoded(tmp_path / f"{source.stem}.classic.mp4")
        assert min(np.abs(b.astype(float) - a).mean() for a, b in zip(then, now, strict=True)) > 1
    assert result.stderr.count("frames a second; the device was busy") == 3
    assert not [path for path in (tmp_path / "user-state").rglob("*") if path.is_file()]


def test_a_photo_shares_the_passes_of_a_clip_and_is_told_of_before(
    tmp_path: Path, passes: Counter[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    (clip,) = clips(tmp_path, "clip.mp4", frames=4)
    is_begun, is_there = threading.Event(), threading.Event()
    prepare, add, run = Photo.prepare, Waiting.add, session.Session._pass

    def preparing(self: Photo, *args: Any) -> Any:
        assert is_begun.wait(60)
        return prepare(self, *args)

    def adding(self: Waiting[Any], item: Any) -> None:
        add(self, item)
        if not item.is_film:
            is_there.set()

    def waiting(self: session.Session, requests: Any, rows: int) -> Any:
        is_begun.set()
        assert is_there.wait(60)
        return run(self, requests, rows)

    monkeypatch.setattr(Photo, "prepare", preparing)
    monkeypatch.setattr(Waiting, "add", adding)
    monkeypatch.setattr(session.Session, "_pass", waiting)
    still = photo(tmp_path / "photo.png", width=48, height=32)
    result = deepdream("dream", clip, still, *QUICK, *PLAIN)
    assert result.stdout.split() == [str(tmp_path / "photo.classic.png"), str(tmp_path / "clip.classic.mp4")]
    assert passes[2] > 0, passes


def test_clips_that_are_interrupted_all_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_chunks(monkeypatch.setattr)
    sources = clips(tmp_path, "a.mp4", "b.mp4", frames=10)
    args = (*sources, *QUICK, *PLAIN)
    assert deepdream("dream", *args, "-o", tmp_path / "whole").exit_code == 0
    write, written = FilmWriter.write, Counter[int]()

    def interrupted(self: FilmWriter, *frame: Any) -> None:
        if sum(frames > CHUNK for frames in written.values()) == 2:
            raise KeyboardInterrupt
        written[id(self)] += 1
        write(self, *frame)

    with monkeypatch.context() as patch:
        begin_together(patch, 2)
        patch.setattr(FilmWriter, "write", interrupted)
        result = deepdream("dream", *args, "-o", tmp_path / "out")
    assert (result.exit_code, result.stdout) == (130, "")
    assert "what is finished of 2 films is kept: the same command goes on with them" in result.stderr
    assert list((tmp_path / "out").iterdir()) == [], "a film was visible before it was whole"

    result = deepdream("dream", *args, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    assert result.stderr.count(f"went on from frame {CHUNK + 1} of ") == 2, result.stderr
    for source in sources:
        name = f"{source.stem}.classic.mp4"
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_clip_that_fails_midway_costs_the_others_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = clips(tmp_path, "a.mp4", "b.mp4", "c.mp4", frames=4)
    shown, bad = clipping.Clipping.shown, sources[1]

    def changed(self: clipping.Clipping, still: Any) -> Any:
        if self.dreams == 5:  # that of the second
            shutil.copy(sources[0], tmp_path / "new.mp4")
            (tmp_path / "new.mp4").replace(bad)
        return shown(self, still)

    monkeypatch.setattr(clipping.Clipping, "shown", changed)
    result = deepdream("dream", *sources, *QUICK)
    assert result.exit_code == 1
    assert result.stdout.split() == [str(tmp_path / f"{name}.classic.mp4") for name in "ac"]
    (line,) = [line for line in result.stderr.splitlines() if "was changed while it was dreamt" in line]
    assert line.startswith(f"deepdream: {bad}: ")


def test_films_that_want_one_name_get_it_in_the_order_in_which_they_were_named(tmp_path: Path) -> None:
    sources = clips(tmp_path, "one/clip.mp4", "two/clip.mp4", "three/clip.mp4", frames=2)
    longest_first = sources[::-1]
    result = deepdream("dream", *longest_first, *QUICK, "-o", tmp_path / "out")
    names = ["clip.classic.mp4", "clip.classic-2.mp4", "clip.classic-3.mp4"]
    assert result.stdout.split() == [str(tmp_path / "out" / name) for name in names], result.stderr
    for name, frames in zip(names, (4, 3, 2), strict=True):
        with open_clip(tmp_path / "out" / name) as film:
            assert film.facts.frames == frames


def test_clips_of_one_content_become_a_film_each(tmp_path: Path) -> None:
    (source,) = clips(tmp_path, "a.mp4", frames=3)
    shutil.copy(source, tmp_path / "b.mp4")
    result = deepdream("dream", "a.mp4", "b.mp4", *QUICK)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.split() == [str(tmp_path / f"{name}.classic.mp4") for name in "ab"]
    first, second = (decoded(tmp_path / f"{name}.classic.mp4") for name in "ab")
    assert np.array_equal(first, second)
    assert not [path for path in (tmp_path / "user-state").rglob("*") if path.is_file()]


def test_a_film_replaces_nothing_that_has_its_name(tmp_path: Path) -> None:
    (source,) = clips(tmp_path, "a.mp4", frames=2)
    mine = tmp_path / "a.classic.mp4"
    mine.write_bytes(b"mine")
    result = deepdream("dream", source, *QUICK)
    assert result.stdout.split() == [str(tmp_path / "a.classic-2.mp4")], result.stderr
    assert mine.read_bytes() == b"mine"
    with open_clip(tmp_path / "a.classic-2.mp4") as film:
        assert film.facts.frames == 2
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_folder_that_is_called_as_a_film_does_not_say_what_films_in_it_are(tmp_path: Path) -> None:
    sources = clips(tmp_path, "a.gif", "b.gif", frames=2)
    result = deepdream("dream", *sources, *QUICK, "-o", tmp_path / "out.mp4")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.split() == [str(tmp_path / "out.mp4" / f"{name}.classic.gif") for name in "ab"]
    assert all(path.read_bytes().startswith(b"GIF8") for path in (tmp_path / "out.mp4").iterdir())


def test_what_becomes_a_clip_after_it_was_named_costs_the_others_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (source,) = clips(tmp_path, "a.mp4", frames=2)
    with monkeypatch.context() as patch:
        patch.setattr("deepdream_daemon.oneshot.clips.is_clip", lambda _: False)  # it is being copied
        result = deepdream("dream", source, photo(tmp_path / "photo.jpg"), *QUICK)
    assert result.exit_code == 1
    assert "a.mp4: " in result.stderr
    assert "defect" not in result.stderr
    assert Path(result.stdout.strip()).exists()


def test_more_clips_than_are_dreamt_at_once_all_become_films(tmp_path: Path) -> None:
    sources = clips(tmp_path, *(f"{name}.mp4" for name in "abcdef"), frames=2)
    result = deepdream("dream", *sources, *QUICK)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.split() == [str(tmp_path / f"{name}.classic.mp4") for name in "abcdef"]
