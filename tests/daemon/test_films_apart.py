"""Clips read by a process of their own: the same frames, and a process that can do little else."""

from __future__ import annotations

import os
import signal
from fractions import Fraction
from pathlib import Path

import numpy as np
import psutil
import pytest

from deepdream_daemon.films import FilmFacts
from deepdream_daemon.films.apart import ApartClip
from deepdream_daemon.films.limits import ClipLimits, fraction_of
from deepdream_daemon.films.reading import open_clip
from deepdream_engine.errors import BadPicture
from tests.daemon.filming import write_film

pytest.importorskip("av", reason="the extra video")


@pytest.mark.parametrize(
    ("kind", "alpha"), [("mp4", False), ("webm", True), ("gif", False), ("webp", True), ("apng", True)]
)
def test_the_frames_are_those_that_are_read_here(tmp_path: Path, kind: str, alpha: bool) -> None:
    facts = FilmFacts(width=96, height=64, has_alpha=alpha)
    path = write_film(tmp_path / f"clip.{kind}", tmp_path / "spool", 55, facts=facts)
    assert path is not None

    with open_clip(path) as here, ApartClip(path) as apart:
        assert apart.facts == here.facts
        known, read = list(here), list(apart)
        assert [(one.pts, one.duration) for one in read] == [(one.pts, one.duration) for one in known]
        for ours, theirs in zip(known, read, strict=True):
            assert np.array_equal(ours.pixels, theirs.pixels)
            assert np.array_equal(ours.alpha, theirs.alpha) if alpha else theirs.alpha is None
        apart.seek_frame(50)
        assert np.array_equal(next(iter(apart)).pixels, known[50].pixels)


def test_what_is_refused_here_is_refused_there(tmp_path: Path) -> None:
    path = write_film(tmp_path / "clip.mp4", tmp_path / "spool", 10)
    assert path is not None
    with pytest.raises(BadPicture, match="too long: it has more than 5 frames"):
        ApartClip(path, ClipLimits(max_frames=5))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(BadPicture, match=r"truncated|no film|damaged"):
        ApartClip(path)
    assert not [child for child in psutil.Process().children() if "films.process" in " ".join(child.cmdline())]


@pytest.mark.parametrize("told", ["1e999999999", "1/0", "9" * 5000, "1_000", " 1", "nan", 3, None])
def test_a_fraction_that_a_stranger_tells_is_made_at_once_or_refused(told: object) -> None:
    with pytest.raises(ValueError, match="no fraction"):
        fraction_of(told)
    assert fraction_of("-24000/1001") == Fraction(-24000, 1001)


def test_a_clip_that_ends_its_process_is_refused(tmp_path: Path) -> None:
    path = write_film(tmp_path / "clip.mp4", tmp_path / "spool", 60)
    assert path is not None
    with ApartClip(path) as clip:
        frames = iter(clip)
        next(frames)
        (child,) = (one for one in psutil.Process().children() if "films.process" in " ".join(one.cmdline()))
        os.kill(child.pid, signal.SIGSEGV)
        with pytest.raises(BadPicture, match="ends the process"):
            list(frames)
