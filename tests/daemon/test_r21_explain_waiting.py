"""R21: ``explain`` says what a picture waits for that the operator or the settings of its folder ask for, and what
became of one that is not there any more.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from deepdream_daemon.configuration.settings import FolderSettings, Settings
from deepdream_daemon.explaining.explain import Explanation, explain
from deepdream_daemon.intake.sources import fingerprint
from deepdream_daemon.journal.claims import COPIED, Announced
from deepdream_daemon.journal.disposals import Order
from deepdream_daemon.journal.intake import NewJob, Taken
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.running.lock import LOCK_FILE
from deepdream_daemon.running.tidying import Tidying
from tests.daemon.stub import Running, drop, make_settings, outputs, recipe_book


def ask(path: Path, settings: Settings, *, is_running: bool = True) -> Explanation:
    """Explain a file while a daemon seems to run, or not."""
    settings.state.mkdir(exist_ok=True)
    journal = Journal.open(settings.state, read_only=True)
    try:
        if not is_running:
            return explain(path, settings, recipe_book(), journal)
        with FileLock(settings.state / LOCK_FILE):
            return explain(path, settings, recipe_book(), journal)
    finally:
        journal.close()


def queue(settings: Settings, name: str, recipe: str = "classic") -> Path:
    """Drop a picture and queue it."""
    photo = drop(settings.folders[0].input / name, name)
    journal = Journal.open(settings.state)
    job = NewJob(key=name, folder=photo.parent, sha256=name, recipe=recipe, seed=1)
    journal.record([Taken(path=photo, fingerprint=fingerprint(photo), job=job)])
    journal.close()
    return photo


def with_folder(settings: Settings, **changes: object) -> Settings:
    """Return the settings with other ones for the only folder."""
    return replace(settings, folders=(replace(settings.folders[0], **changes),))  # type: ignore[arg-type]


def test_a_pause_is_named_with_its_end(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    photo = queue(settings, "a.jpg")
    assert "waits for its turn" in ask(photo, settings).reason
    journal = Journal.open(settings.state)
    journal.pause()
    found = ask(photo, settings)
    assert found.state == "queued"
    assert f"the daemon was paused at {time.strftime('%H:')}" in found.reason
    assert found.advice == "Go on: deepdream resume."
    assert ask(photo, settings, is_running=False).advice == "Start the daemon: deepdream run."
    journal.resume()
    journal.close()
    assert "paused" not in ask(photo, settings).reason


def test_hours_are_named_with_their_beginning(tmp_path: Path) -> None:
    hour = time.localtime().tm_hour
    later, end = (hour + 2) % 24, (hour + 3) % 24
    hours = (f"{later:02}:00-{end:02}:00",)
    settings = with_folder(make_settings(tmp_path), hours=hours)
    photo = queue(settings, "a.jpg")
    found = ask(photo, settings)
    assert f"are dreamt from {later:02}:00 to {end:02}:00 only; that is " in found.reason
    assert f"at {later:02}:00" in found.reason
    assert found.advice is not None
    assert "hours" in found.advice
    always = with_folder(settings, hours=("00:00-24:00",))
    assert "waits for its turn" in ask(photo, always).reason


def test_as_many_as_may_be_at_once_are_counted(tmp_path: Path) -> None:
    settings = with_folder(make_settings(tmp_path), max_at_once=1)
    first, photo = queue(settings, "a.jpg"), queue(settings, "b.jpg")
    assert "waits for its turn" in ask(photo, settings).reason
    journal = Journal.open(settings.state)
    journal.claim(1, [first.parent])
    journal.close()
    assert "1 of its folder's are under way, as many as max_at_once = 1 allows" in ask(photo, settings).reason
    assert "being dreamt" in ask(first, settings).reason


def test_a_full_queue_and_a_drain_keep_new_files_out(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, max_queued=1)
    new = drop(tmp_path / "in" / "new.jpg", "sky")
    assert "the daemon takes it" in ask(new, settings).reason
    queue(settings, "a.jpg")
    assert "1 are queued, as many as max_queued = 1 allows; it waits for room" in ask(new, settings).reason
    journal = Journal.open(settings.state)
    journal.ask_drain()
    journal.close()
    found = ask(new, settings)
    assert "the daemon was asked to drain at " in found.reason
    assert found.advice == "To have it go on: deepdream resume"
    assert ask(new, settings, is_running=False).advice == "Start the daemon: deepdream run."


def test_a_folder_that_is_polled_says_how_often(tmp_path: Path) -> None:
    settings = with_folder(make_settings(tmp_path, rescan_seconds=30.0), polling=True)
    new = drop(tmp_path / "in" / "new.jpg", "sky")
    assert "looked at every 30 s (polling)" in ask(new, settings).reason


def test_what_a_folder_ignores_by_itself_says_so(tmp_path: Path) -> None:
    settings = with_folder(make_settings(tmp_path), ignore=("*_draft.*",))
    found = ask(drop(tmp_path / "in" / "a_draft.jpg", "sky"), settings)
    assert (found.state, "'*_draft.*'" in found.reason) == ("ignored", True)
    assert found.advice == "Rename the file, or change ignore in the configuration."


def disposed(settings: Settings, photo: Path, how: str, state: str, error: str | None = None) -> Path:
    """Have the job of ``photo`` done, and something become of it; return where it would be moved to."""
    journal = Journal.open(settings.state)
    (claim,) = journal.claim(1, [photo.parent])
    output = settings.folders[0].output / "a.classic.jpg"
    output.write_bytes(b"DREAM")
    order = Order(how=how, fingerprint=fingerprint(photo))  # type: ignore[arg-type]
    out = Announced(job=claim.id, temp=output, target=output, sha256="d", inode=1, order=order)
    journal.announce(out)
    journal.finish(claim.id, 1.0)
    (left,) = journal.due_disposals()
    target = settings.state.parent / "processed" / photo.name
    if state == "pending":
        journal.put_off_disposal(left, error or "", due=time.time() + 50)
    else:
        journal.announce_disposal(left, target)
        journal.end_disposal(left, state, "moved", error)
    journal.close()
    return target


def test_a_picture_that_was_moved_says_where_to_and_the_moved_one_where_from(tmp_path: Path) -> None:
    settings = with_folder(make_settings(tmp_path), source="move", processed=tmp_path / "processed")
    photo = queue(settings, "a.jpg")
    target = disposed(settings, photo, "move", "done")
    target.parent.mkdir()
    photo.rename(target)
    found = ask(photo, settings)
    assert (found.state, found.output) == ("done", tmp_path / "out" / "a.classic.jpg")
    assert f"the picture was moved to {str(target)!r}" in found.reason
    assert "not there any more" not in found.reason
    moved = ask(target, settings)
    assert moved.state == "disposed"
    assert moved.reason == f"it is the picture {str(photo)!r}, moved here when its dream was done"


def test_a_picture_that_cannot_be_disposed_of_says_why(tmp_path: Path) -> None:
    settings = with_folder(make_settings(tmp_path), source="delete")
    photo = queue(settings, "a.jpg")
    disposed(settings, photo, "delete", "pending", "Read-only file system")
    found = ask(photo, settings)
    assert found.state == "done"
    assert "could not be deleted yet: Read-only file system; it is tried again in " in found.reason


def test_a_file_that_is_copied_is_no_dream(tmp_path: Path) -> None:
    settings = with_folder(make_settings(tmp_path), copy_through=True)
    note = queue(settings, "note.txt", recipe=COPIED)
    assert "it waits for its turn, to be copied unchanged, as it is no picture" in ask(note, settings).reason
    journal = Journal.open(settings.state)
    (claim,) = journal.claim(1, [note.parent], copies=True)
    assert ask(note, settings).reason == "it is being copied"
    target = tmp_path / "out" / "note.txt"
    target.write_bytes(note.read_bytes())
    journal.announce(Announced(job=claim.id, temp=target, target=target, sha256="d", inode=1))
    journal.finish(claim.id, None)
    journal.close()
    found = ask(note, settings)
    assert (found.state, found.reason) == ("done", "it was copied unchanged, as it is no picture (copy_through)")
    assert ask(target, settings).reason.startswith(f"it is a copy of {str(note)!r}")
    target.unlink()
    assert "the copy is not where it was published any more" in ask(note, settings).reason


def test_a_dream_whose_picture_is_forgotten_is_still_a_dream(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    photo = drop(tmp_path / "in" / "a.jpg", "sky")
    drop(tmp_path / "in" / "b.jpg", "another")
    with Running(settings) as running:
        running.wait_for(done=2)
    photo.unlink()
    journal = Journal.open(settings.state)
    with journal._transaction() as connection:
        connection.execute("UPDATE jobs SET updated = 5")
    tidying = Tidying(journal, 1, [tmp_path / "in", tmp_path / "out"])
    tidying.look_at_places()
    assert sum(tidying.sweep()) == 1
    journal.close()
    found = ask(tmp_path / "out" / "a.classic.jpg", settings)
    assert (found.state, "the journal has forgotten of which picture" in found.reason) == ("output", True)
    assert ask(photo, settings).reason == "there is no such file"


@pytest.mark.parametrize(
    ("changes", "second", "words"),
    [
        ({"deduplicate": True}, "b.jpg", ("same picture", "deduplicate")),
        ({"collision": "skip", "name": "{recipe}"}, "b.jpg", ("classic.jpg", "collision")),
    ],
)
def test_a_picture_that_was_skipped_says_why_and_what_to_do(
    tmp_path: Path, changes: dict[str, object], second: str, words: tuple[str, str]
) -> None:
    settings = with_folder(make_settings(tmp_path), **changes)
    with Running(settings) as running:
        drop(tmp_path / "in" / "a.jpg", "sky")
        running.wait_for(done=1)
        photo = drop(tmp_path / "in" / second, "sky")
        until = time.monotonic() + 15
        while ask_now(photo, settings).state != "skipped":
            assert time.monotonic() < until, ask_now(photo, settings)
            time.sleep(0.05)
        found = ask_now(photo, settings)
    for word in words:
        assert word in f"{found.reason} {found.advice}", found
    assert len(outputs(tmp_path / "out")) == 1


def ask_now(path: Path, settings: Settings) -> Explanation:
    """Explain a file while a daemon runs."""
    journal = Journal.open(settings.state, read_only=True)
    try:
        return explain(path, settings, recipe_book(), journal)
    finally:
        journal.close()


def test_several_folders_each_have_their_own_reasons(tmp_path: Path) -> None:
    hour = time.localtime().tm_hour
    settings = make_settings(tmp_path)
    (tmp_path / "night").mkdir()
    night = FolderSettings(
        input=tmp_path / "night",
        output=tmp_path / "out",
        hours=(f"{(hour + 2) % 24:02}:00-{(hour + 3) % 24:02}:00",),
        priority=5,
    )
    settings = replace(settings, folders=(*settings.folders, night))
    day = queue(settings, "a.jpg")
    journal = Journal.open(settings.state)
    dark = drop(tmp_path / "night" / "b.jpg", "moon")
    job = NewJob(key="b", folder=dark.parent, sha256="b", recipe="classic", seed=1)
    journal.record([Taken(path=dark, fingerprint=fingerprint(dark), job=job)])
    journal.close()
    assert "waits for its turn" in ask(day, settings).reason
    assert "only; that is" in ask(dark, settings).reason
    assert os.path.lexists(dark)
