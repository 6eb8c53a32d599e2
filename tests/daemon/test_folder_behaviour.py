"""What a folder's settings say of its outputs: their names and what happens when one is taken, copies of one picture,
files that are no pictures, and names that are left out.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deepdream_daemon.configuration.settings import Settings
from deepdream_daemon.intake.kinds import ignored_in, may_be_picture
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.publishing.names import check_template, dream_name
from deepdream_engine.errors import BadOption
from tests.daemon.stub import Running, StubRenderer, drop, jobs_of, make_settings, outputs, temps, wait_until

WHEN = time.mktime((2026, 7, 1, 9, 8, 7, 0, 0, -1))


def _settings(root: Path, **folder: Any) -> Settings:
    settings = make_settings(root)
    return replace(settings, folders=(replace(settings.folders[0], **folder),))


def _names(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def _verdict(root: Path, path: Path) -> str:
    journal = Journal.open(root / "state", read_only=True)
    try:
        found = journal.file(path)
        return "" if found is None else found.verdict
    finally:
        journal.close()


# Names


@pytest.mark.parametrize(
    ("template", "source", "name"),
    [
        ("{stem}.{recipe}", "photo.jpg", "photo.deep.jpg"),
        ("{stem}.{recipe}", "photo.JPEG", "photo.deep.JPEG"),
        ("{stem}.{recipe}", "photo.png", "photo.deep.jpg"),
        ("{date}_{time}-{stem}", "a.b.jpg", "2026-07-01_09-08-07-a.b.jpg"),
        ("{sha256:.8}-{seed}", "photo.jpg", "abababab-7.jpg"),
        ("{{{stem}}}", "photo.jpg", "{photo}.jpg"),
        ("dream", "photo.jpg", "dream.jpg"),
        ("{stem}-{stem}", "é" * 120 + ".jpg", "é" * 62 + "-" + "é" * 62 + ".jpg"),
        ("{stem}.{recipe}", "x" * 251 + ".jpg", "x" * 246 + ".deep.jpg"),
    ],
)
def test_a_template_names_dreams(template: str, source: str, name: str) -> None:
    check_template(template)
    made = dream_name(template, source, recipe="deep", seed=7, sha256="ab" * 32, suffix=".jpg", at=WHEN)
    assert made == name
    assert len(os.fsencode(made)) <= 255


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{stam}", ("'stam'", "Did you mean 'stem'", "sha256")),
        ("{stem", ("{stem", "{recipe}")),
        ("{}", ("''", "stem")),
        ("{0}", ("'0'", "stem")),
        ("{stem.upper}", ("stem.upper",)),
        ("{stem[0]}", ("stem[0]",)),
        ("{stem!r}", ("format such as",)),
        ("{stem:{seed}}", ("format such as",)),
        ("{seed:x}{seed:y}", ("y",)),
        ("a/{stem}", ("'/'", "sub-folders are mirrored")),
        ("a\n{stem}", ("control",)),
        (".{stem}", ("dot",)),
        ("", ("dot",)),
        ("{sha256}{sha256}{stem}", ("bytes", "shorter")),
    ],
)
def test_a_mistake_in_a_template_is_told(template: str, words: tuple[str, ...]) -> None:
    with pytest.raises(BadOption) as caught:
        check_template(template)
    for word in words:
        assert word in str(caught.value)


def test_the_folder_names_its_dreams(tmp_path: Path) -> None:
    settings = _settings(tmp_path, name="{recipe}-{stem}")
    (tmp_path / "in" / "deep").mkdir()
    drop(tmp_path / "in" / "deep" / "photo.jpg", "sky")
    with Running(settings) as running:
        running.wait_for(done=1)
    assert _names(tmp_path / "out") == ["deep/deep-photo.jpg"]


def test_a_name_that_is_taken_is_numbered_or_skipped(tmp_path: Path) -> None:
    settings = _settings(tmp_path, name="{stem}", collision="skip")
    photos = [drop(tmp_path / "in" / name, name) for name in ("one.jpg", "two.jpg")]
    (tmp_path / "out" / "one.jpg").write_text("mine")
    renderer = StubRenderer()
    with Running(settings, renderer) as running:
        running.wait_for(done=1, queued=0, running=0)
        wait_until(lambda: "already" in _verdict(tmp_path, photos[0]))
    assert renderer.prepared == 1  # nothing is dreamt in vain
    assert (tmp_path / "out" / "one.jpg").read_text() == "mine"
    assert _names(tmp_path / "out") == ["one.jpg", "two.jpg"]
    assert jobs_of(tmp_path, photos[0]) == []
    with Running(_settings(tmp_path, name="{stem}")) as running:
        photos[0].touch()
        running.wait_for(done=2)
    assert _names(tmp_path / "out") == ["one-2.jpg", "one.jpg", "two.jpg"]


def test_a_name_that_is_taken_in_the_last_moment_is_skipped_too(tmp_path: Path) -> None:
    settings = _settings(tmp_path, collision="skip")
    renderer = StubRenderer()
    photo = drop(tmp_path / "in" / "photo.jpg", "sky")
    renderer.before_finish = lambda _: (tmp_path / "out" / "photo.classic.jpg").write_text("mine") and None
    with Running(settings, renderer) as running:
        wait_until(lambda: "already" in _verdict(tmp_path, photo))
        assert sum(running.counts().values()) == 0
    assert _names(tmp_path / "out") == ["photo.classic.jpg"]
    assert (tmp_path / "out" / "photo.classic.jpg").read_text() == "mine"
    assert temps(tmp_path / "out") == []


# Copies of one picture


def test_a_picture_is_dreamt_once_however_many_copies_there_are(tmp_path: Path) -> None:
    settings = _settings(tmp_path, deduplicate=True)
    renderer = StubRenderer(dream_seconds=0.2)
    (tmp_path / "in" / "deep").mkdir()
    for number in range(5):
        drop(tmp_path / "in" / f"{number}.jpg", "sky")
    drop(tmp_path / "in" / "deep" / "0.jpg", "sky")  # by another recipe
    drop(tmp_path / "in" / "other.jpg", "sea")
    with Running(settings, renderer) as running:
        running.wait_for(done=3, queued=0, waiting=0, running=0)
        late = drop(tmp_path / "in" / "late.jpg", "sky")
        wait_until(lambda: "same picture" in _verdict(tmp_path, late))
    assert renderer.prepared == 3
    assert len(outputs(tmp_path / "out")) == 3
    verdicts = [_verdict(tmp_path, tmp_path / "in" / f"{number}.jpg") for number in range(5)]
    dreamt = [number for number, verdict in enumerate(verdicts) if verdict == "taken"]
    assert len(dreamt) == 1
    expected = f"it is the same picture as {str(tmp_path / 'in' / f'{dreamt[0]}.jpg')!r}"
    assert all(verdict.startswith(expected) for verdict in verdicts if verdict != "taken")


def test_a_copy_whose_own_side_file_changes_the_recipe_is_dreamt(tmp_path: Path) -> None:
    settings = _settings(tmp_path, deduplicate=True)
    (tmp_path / "in" / "b.jpg.toml").write_text("octaves = 2\n")
    for name in ("a.jpg", "b.jpg"):
        drop(tmp_path / "in" / name, "sky")
    with Running(settings) as running:
        running.wait_for(done=2)


def test_a_copy_is_dreamt_when_the_dream_of_the_other_is_gone(tmp_path: Path) -> None:
    settings = _settings(tmp_path, deduplicate=True)
    drop(tmp_path / "in" / "a.jpg", "sky")
    with Running(settings) as running:
        running.wait_for(done=1)
        (tmp_path / "out" / "a.classic.jpg").unlink()
        drop(tmp_path / "in" / "b.jpg", "sky")
        running.wait_for(done=2)
    assert _names(tmp_path / "out") == ["b.classic.jpg"]


def test_when_a_picture_vanishes_its_copy_is_dreamt(tmp_path: Path) -> None:
    settings = _settings(tmp_path, deduplicate=True)
    renderer = StubRenderer()
    photos = [drop(tmp_path / "in" / f"{number}.jpg", "sky") for number in range(2)]
    drop(tmp_path / "in" / "x.jpg", "bad")
    deleted: list[Path] = []

    def delete(_: bytes) -> None:
        if not deleted:
            journal = Journal.open(tmp_path / "state", read_only=True)
            deleted.extend(job.source for job in journal.recent("running") if job.source in photos)
            journal.close()
            for photo in deleted:
                photo.unlink()

    renderer.before_dream = delete
    with Running(settings, renderer) as running:
        running.wait_for(done=1, vanished=1)
    assert len(deleted) == 1


# Files that are no pictures (more in test_copying.py)


@pytest.mark.parametrize(
    ("name", "data", "is_picture"),
    [
        ("a.txt", b"text", False),
        ("a.txt", b"\xff\xd8\xff\xe0", True),
        ("a.bin", b"\x89PNG\r\n\x1a\n", True),
        ("a.bin", bytes(1000) + b"TRUEVISION-XFILE.\x00", True),
        ("a.JPG", b"text", True),
        ("a.tiff", b"", True),
        ("a.heic", b"\x00\x00\x00\x18ftypheic", False),
        ("a", b"", False),
    ],
)
def test_what_may_be_a_picture(tmp_path: Path, name: str, data: bytes, is_picture: bool) -> None:
    (tmp_path / name).write_bytes(data)
    assert may_be_picture(tmp_path / name, tmp_path) == is_picture


# Names that are left out


def test_a_folder_leaves_out_names_of_its_own(tmp_path: Path) -> None:
    settings = _settings(tmp_path, ignore=("draft-*", "old"))
    (tmp_path / "in" / "old").mkdir()
    for name in ("old/photo.jpg", "draft-1.jpg", "photo.jpg", "half.part"):
        drop(tmp_path / "in" / name, name)
    with Running(settings) as running:
        running.wait_for(done=1)
        drop(tmp_path / "in" / "draft-2.jpg", "x")
        drop(tmp_path / "in" / "old" / "photo2.jpg", "x")
        drop(tmp_path / "in" / "photo2.jpg", "x")
        running.wait_for(done=2)
        time.sleep(0.7)
        assert sum(running.counts().values()) == 2


def test_a_folder_whose_pictures_go_into_the_trash_leaves_the_trash_out(tmp_path: Path) -> None:
    settings = _settings(tmp_path, source="trash")
    plain = _settings(tmp_path)
    assert ".Trash-*" in ignored_in(settings, settings.folders[0])
    assert ".Trash-*" not in ignored_in(plain, plain.folders[0])


def test_a_polled_folder_is_dreamt_without_being_watched(tmp_path: Path) -> None:
    settings = _settings(tmp_path, polling=True)
    with Running(settings) as running:
        wait_until(lambda: running.daemon.snapshot().settling == 0)
        drop(tmp_path / "in" / "photo.jpg", "sky")
        running.wait_for(done=1)
        drop(tmp_path / "in" / "photo.jpg", "another sky")  # in place, which only a look at the file shows
        running.wait_for(done=2)
        threads = {thread.name for thread in threading.enumerate()}
        assert not any("inotify" in name.lower() for name in threads)
        assert running.daemon.snapshot().degraded is None
