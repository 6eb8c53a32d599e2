"""R21: ``explain`` gives a reason for every file that was not processed."""

from __future__ import annotations

import errno
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from deepdream_daemon.configuration.settings import FolderSettings, Settings
from deepdream_daemon.explaining.explain import Explanation, explain
from deepdream_daemon.explaining.folders import other_folder
from deepdream_daemon.intake.sources import fingerprint
from deepdream_daemon.journal.claims import Announced
from deepdream_daemon.journal.intake import NewJob, Taken
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.pipeline.gates import OutputUnavailable
from deepdream_daemon.running.lock import LOCK_FILE
from tests.daemon.stub import Running, drop, make_settings, outputs, recipe_book, wait_until


def _ask(root: Path, path: Path, settings: Settings | None = None) -> Explanation:
    settings = settings or make_settings(root)
    journal = Journal.open(settings.state, read_only=True)
    try:
        return explain(path, settings, recipe_book(), journal)
    finally:
        journal.close()


def test_every_kind_of_file_that_is_not_taken_has_its_reason(tmp_path: Path) -> None:
    make_settings(tmp_path)
    folder = tmp_path / "in"
    drop(folder / "half.part", "x")
    drop(folder / ".hidden.jpg", "x")
    (folder / "link.jpg").symlink_to("half.part")
    os.mkfifo(folder / "fifo.jpg")
    drop(folder / "photo.jpg", "x")
    (folder / "photo.jpg.toml").write_text("octaves = 2\n")
    (folder / "@eaDir").mkdir()
    drop(folder / "@eaDir" / "thumb.jpg", "x")
    drop(tmp_path / "elsewhere.jpg", "x")
    expected = {
        "in/half.part": ("ignored", "'*.part'"),
        "in/.hidden.jpg": ("ignored", "pattern"),
        "in/link.jpg": ("ignored", "symbolic link"),
        "in/fifo.jpg": ("ignored", "FIFO"),
        "in/photo.jpg.toml": ("ignored", "side file"),
        "in/@eaDir/thumb.jpg": ("ignored", "its folder"),
        "in/photo.jpg": ("new", "not taken yet"),
        "in/none.jpg": ("missing", "no such file"),
        "in": ("folder", "it is watched"),
        "elsewhere.jpg": ("outside", "no watched folder"),
    }
    for name, (state, part) in expected.items():
        found = _ask(tmp_path, tmp_path / name)
        assert (found.state, part in found.reason) == (state, True), (name, found)


def test_it_follows_a_file_from_new_to_done(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    photo = drop(tmp_path / "in" / "photo.jpg", "sky")
    assert _ask(tmp_path, photo).state == "new"
    with Running(settings) as running:
        running.wait_for(done=1)
    found = _ask(tmp_path, photo)
    assert found.state == "done"
    assert found.output == tmp_path / "out" / "photo.classic.jpg"
    assert [what for _, what in found.history] == ["queued for classic", "done"]
    dream = _ask(tmp_path, tmp_path / "out" / "photo.classic.jpg")
    assert dream.state == "output"
    assert "photo.jpg" in dream.reason
    drop(photo, "another sky")
    assert _ask(tmp_path, photo).state == "changed"
    photo.unlink()
    assert "not there any more" in _ask(tmp_path, photo).reason


def test_a_failure_says_why_and_what_to_do(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    bad = drop(tmp_path / "in" / "bad.jpg", "bad")
    typo = drop(tmp_path / "in" / "typo.jpg", "sky")
    (tmp_path / "in" / "typo.jpg.toml").write_text("base = 'classic'\noctavs = 2\n")
    with Running(settings) as running:
        running.wait_for(failed=2)
    found = _ask(tmp_path, bad)
    assert found.state == "failed"
    assert "stub can decode" in found.reason
    assert found.advice
    found = _ask(tmp_path, typo)
    assert found.state == "failed"
    for part in ("typo.jpg.toml:2", "octavs", "octaves"):
        assert part in found.reason
    assert outputs(tmp_path / "out") == []
    assert len(outputs(tmp_path / "state" / "quarantine")) == 2


def test_a_corrected_side_file_lets_the_picture_through(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    typo = drop(tmp_path / "in" / "typo.jpg", "sky")
    side = tmp_path / "in" / "typo.jpg.toml"
    side.write_text("octavs = 2\n")
    with Running(settings) as running:
        running.wait_for(failed=1)
        side.write_text("octaves = 2\n")
        running.wait_for(failed=0, done=1)
        wait_until(lambda: outputs(tmp_path / "state" / "quarantine") == [])
    assert _ask(tmp_path, typo).state == "done"


def test_without_a_journal_nothing_is_created(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    journal = Journal.open(settings.state, read_only=True)
    assert set(journal.counts().values()) == {0}
    journal.close()
    assert not settings.state.exists()


@pytest.mark.parametrize("state", ["waiting", "queued"])
def test_a_job_that_was_put_off_says_until_when(tmp_path: Path, state: str) -> None:
    settings = make_settings(tmp_path, max_attempts=100)
    photo = drop(tmp_path / "in" / "photo.jpg", "poison")
    with Running(settings) as running:
        running.wait_for(waiting=1)
        found = _ask(tmp_path, photo)
        assert found.state == "waiting"
        assert "poisoned" in found.reason
    if state == "queued":  # once due it waits for a daemon
        wait_until(lambda: _ask(tmp_path, photo).state == "queued")
        found = _ask(tmp_path, photo)
        assert "poisoned" in found.reason
        assert found.advice == "Start the daemon: deepdream run."


def test_while_the_output_folder_is_away_every_file_that_waits_for_it_says_so(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    photos = [drop(tmp_path / "in" / f"{number}.jpg", f"sky {number}") for number in range(12)]
    (tmp_path / "out").rename(tmp_path / "unmounted")
    with Running(settings) as running:
        wait_until(lambda: running.daemon.snapshot().degraded is not None)
        running.wait_for(running=0)
        late = drop(tmp_path / "in" / "late.jpg", "sky")
        wait_until(lambda: sum(running.counts().values()) == 13)
        for photo in (*photos, late):
            found = _ask(tmp_path, photo, settings)
            assert found.state in {"queued", "waiting"}
            assert "out' cannot be written to: No such file or directory" in found.reason
            assert found.advice == f"Mount or create {str(tmp_path / 'out')!r}; it goes on by itself."
        (tmp_path / "unmounted").rename(tmp_path / "out")
        running.wait_for(done=13)
    assert _ask(tmp_path, photos[0]).advice is None


def test_without_a_daemon_what_held_it_up_is_no_news(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    full = OutputUnavailable(tmp_path / "out", 1, OSError(errno.ENOSPC, "No space left on device"))
    names = ("queued.jpg", "running.jpg", "publishing.jpg")
    photos = [drop(tmp_path / "in" / name, name) for name in names]
    new = drop(tmp_path / "in" / "new.jpg", "sky")
    journal = Journal.open(settings.state)
    for photo in photos:
        job = NewJob(key=photo.name, folder=tmp_path / "in", sha256="", recipe="classic", seed=1)
        journal.record([Taken(path=photo, fingerprint=fingerprint(photo), job=job)])
    held, _, shown = journal.claim(3, [tmp_path / "in"])
    journal.put_off(held.id, due=time.time() + 60, attempts=0, delays=1, error=str(full), advice=full.advice)
    out = tmp_path / "out"
    journal.announce(Announced(job=shown.id, temp=out / "t", target=out / "p.jpg", sha256="", inode=1))
    journal.hold(tmp_path / "in", out, str(full), full.advice)
    with FileLock(settings.state / LOCK_FILE):
        assert full.advice == _ask(tmp_path, photos[0]).advice
        assert "about to appear" in _ask(tmp_path, photos[2]).reason
    journal.close()
    reasons = []
    for photo in (*photos, new):
        found = _ask(tmp_path, photo)
        assert found.advice == "Start the daemon: deepdream run."
        reasons.append(found.reason)
    assert reasons[0].startswith("it waits for a daemon")
    assert all("the daemon ended in the middle of it" in reason for reason in reasons[1:3])


def test_advice_about_an_output_folder_fits_its_trouble() -> None:
    words = {errno.ENOSPC: "Free", errno.EACCES: "writable", errno.EROFS: "writable", errno.EIO: "disk"}
    for number, word in words.items():
        advice = OutputUnavailable(Path("/out"), 1, OSError(number, "x")).advice
        assert word in advice
        assert "'/out'" in advice


def test_a_file_of_a_folder_that_is_no_longer_watched_says_so(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    done, left = drop(tmp_path / "in" / "done.jpg", "sky"), drop(tmp_path / "in" / "left.jpg", "poison")
    with Running(settings) as running:
        running.wait_for(done=1, waiting=1)
    elsewhere = FolderSettings(input=tmp_path / "other", output=tmp_path / "out")
    settings = replace(settings, folders=(elsewhere,))
    found = _ask(tmp_path, left, settings)
    assert found.state in {"queued", "waiting"}
    assert f"{str(tmp_path / 'in')!r} is not watched any more" in found.reason
    assert found.advice is not None
    assert "configuration" in found.advice
    assert str(left) in found.advice
    found = _ask(tmp_path, done, settings)
    assert (found.state, found.output) == ("done", tmp_path / "out" / "done.classic.jpg")


def test_a_folder_that_cannot_be_entered_is_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_settings(tmp_path)
    folder = tmp_path / "in" / "private"
    folder.mkdir()
    drop(folder / "photo.jpg", "sky")
    real = os.lstat

    def lstat(path: Any, **kwargs: Any) -> os.stat_result:
        if folder in Path(path).parents:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, **kwargs)

    def scandir(path: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "lstat", lstat)
    monkeypatch.setattr(os, "scandir", scandir)
    for path, state in (
        (folder / "photo.jpg", "missing"),
        (folder / "sub" / "photo.jpg", "missing"),
        (folder, "folder"),
    ):
        found = _ask(tmp_path, path)
        assert (found.state, "Permission denied" in found.reason) == (state, True)
        assert found.advice is not None
        assert found.advice.endswith(f"chmod u+rx {folder}")


def test_a_folder_says_what_it_is_to_the_daemon_and_what_became_of_the_pictures_in_it(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    (tmp_path / "in" / "deep").mkdir()
    for name, text in (("a", "sky"), ("deep/b", "sea"), ("deep/c", "bad")):
        drop(tmp_path / "in" / f"{name}.jpg", text)
    with Running(settings) as running:
        running.wait_for(done=2, failed=1)
        told = _ask(tmp_path, tmp_path / "in")
    deep, out, above = (_ask(tmp_path, path) for path in (tmp_path / "in" / "deep", tmp_path / "out", tmp_path))
    assert (told.state, told.reason) == (
        "folder",
        f"it is watched: dreams of the pictures in it go to {str(tmp_path / 'out')!r}; 2 done, 1 failed",
    )
    assert f"deepdream retry --failed {tmp_path / 'in'}" in str(told.advice)
    assert "Start the daemon" not in str(told.advice)
    assert f"in the watched folder {str(tmp_path / 'in')!r}" in deep.reason
    assert f"go to {str(tmp_path / 'out' / 'deep')!r}; 1 done, 1 failed" in deep.reason
    assert "Start the daemon" in str(deep.advice)
    assert f"dreams of the pictures in {str(tmp_path / 'in')!r} go to it" in out.reason
    assert f"not watched itself, but these in it are: {str(tmp_path / 'in')!r}" in above.reason
    other = _ask(tmp_path, tmp_path / "state")
    assert other.reason == f"it is not watched. Watched: {str(tmp_path / 'in')!r}"
    assert "[[folders]]" in str(other.advice)


def test_an_output_folder_names_all_whose_dreams_go_to_it(tmp_path: Path) -> None:
    folders = tuple(FolderSettings(input=tmp_path / name, output=tmp_path / "out") for name in ("in", "in2"))
    for folder in folders:
        folder.input.mkdir(exist_ok=True)
    explanation = other_folder(tmp_path / "out", make_settings(tmp_path, folders=folders))
    both = ", ".join(repr(str(folder.input)) for folder in folders)
    assert f"dreams of the pictures in {both} go to it" in explanation.reason


def test_a_file_that_is_not_there_says_where_its_path_ends_and_what_may_be_meant(tmp_path: Path) -> None:
    make_settings(tmp_path)
    drop(tmp_path / "in" / "holiday.jpg", "sky")
    near = _ask(tmp_path, tmp_path / "in" / "hoilday.jpg")
    assert (near.state, near.reason) == ("missing", "there is no such file")
    assert near.advice == f"Is {str(tmp_path / 'in' / 'holiday.jpg')!r} meant?"
    deep = _ask(tmp_path, tmp_path / "in" / "none" / "photo.jpg")
    assert deep.reason == f"there is no such file: there is no 'none' in {str(tmp_path / 'in')!r}"
    inner = _ask(tmp_path, tmp_path / "in" / "holiday.jpg" / "photo.jpg")
    assert inner.reason == f"there is no such file: {str(tmp_path / 'in' / 'holiday.jpg')!r} is no folder"
    outside = _ask(tmp_path, tmp_path / "none.jpg")
    assert outside.state == "missing"
    assert outside.reason.startswith("there is no such file. It would be in no watched folder. Watched: ")


def test_a_dream_that_was_deleted_is_still_known(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    drop(tmp_path / "in" / "photo.jpg", "sky")
    with Running(settings) as running:
        running.wait_for(done=1)
    (dream,) = outputs(tmp_path / "out")
    assert "any more" not in _ask(tmp_path, dream).reason
    dream.unlink()
    assert _ask(tmp_path, dream).reason.endswith("; it is not there any more")
