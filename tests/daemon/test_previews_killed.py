"""``kill -9`` at any moment of a preview and of its replacement: there is one dream in its place, and nobody's file is
lost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from deepdream_daemon.configuration.settings import FolderSettings
from deepdream_daemon.failpoints import PREVIEW_POINTS, VARIABLE, WITHDRAWAL_POINTS
from deepdream_daemon.journal.intake import NewJob, Taken
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.publishing import preview
from deepdream_daemon.publishing.publish import Staged, stage
from deepdream_daemon.publishing.recovery import announcement, recover, resolve, sweep
from tests.corpus import scene
from tests.daemon.film_daemon import command, take
from tests.daemon.filming import digest
from tests.daemon.stub import environment, jobs_of, outputs, temps

SIDE = 'octaves = 2\nsteps = 2\nprefilters = []\npostfilters = []\n[objective]\nlayer = "conv2"\n'


class Killed:
    """What a kill leaves of a job whose preview is there: ``temp`` is what lies under the dream's temporary name."""

    def __init__(self, root: Path, collision: str = "number") -> None:
        for name in ("in", "out"):
            (root / name).mkdir()
        self.root = root
        self.folder = FolderSettings(input=root / "in", output=root / "out", collision=collision)  # type: ignore[arg-type]
        self.journal = Journal.open(root / "state")
        self.target = root / "out" / "photo.classic.png"
        new = NewJob(key="key", folder=root / "in", sha256="0", recipe="classic", seed=1)
        self.journal.record([Taken(path=root / "in" / "photo.png", fingerprint="1", job=new)])
        (claim,) = self.journal.claim(1, [root / "in"])
        self.job = claim.id
        shown = self.stage(b"preview")
        assert preview.show(
            self.journal, self.job, shown, self.target.name, root=root / "out", token="t", may=lambda _: True
        )
        self.dream = self.stage(b"dream")

    def stage(self, data: bytes) -> Staged:
        return stage(self.root / "out", data, f"{self.journal.instance}-before", root=self.root / "out")

    def announce(self, target: Path) -> bool:
        return self.journal.announce(announcement(self.job, self.dream, target))

    def recovered(self) -> dict[str, bytes]:
        """Start again; return what is there then."""
        assert recover(self.journal, [self.folder]) == []
        sweep([self.root / "out"], self.journal.instance, f"{self.journal.instance}-now")
        try:
            return {path.name: path.read_bytes() for path in (self.root / "out").iterdir()}
        finally:
            self.journal.close()


@pytest.fixture
def killed(tmp_path: Path) -> Killed:
    return Killed(tmp_path)


def test_announced_and_not_exchanged(killed: Killed) -> None:
    killed.announce(killed.target)
    assert killed.recovered() == {"photo.classic.png": b"dream"}


def test_exchanged_and_not_looked_at(killed: Killed) -> None:
    killed.announce(killed.target)
    with preview.entered(killed.root / "out", killed.root / "out") as at:
        preview.exchange(killed.dream.temp.name, killed.target.name, at)
    assert killed.dream.temp.read_bytes() == b"preview"
    assert killed.recovered() == {"photo.classic.png": b"dream"}


def test_exchanged_with_a_file_that_somebody_had_just_put_there(killed: Killed) -> None:
    killed.announce(killed.target)
    (killed.root / "mine").write_bytes(b"mine")
    (killed.root / "mine").replace(killed.target)
    with preview.entered(killed.root / "out", killed.root / "out") as at:
        preview.exchange(killed.dream.temp.name, killed.target.name, at)
    assert killed.recovered() == {"photo.classic.png": b"mine", "photo.classic-2.png": b"dream"}


def test_edited_after_the_kill_where_no_second_name_is_wanted(tmp_path: Path) -> None:
    killed = Killed(tmp_path, "skip")
    killed.announce(killed.target)
    killed.target.write_bytes(b"edited")
    assert killed.recovered() == {"photo.classic.png": b"edited"}


def test_removed_after_the_kill(killed: Killed) -> None:
    killed.announce(killed.target)
    killed.target.unlink()
    assert killed.recovered() == {"photo.classic.png": b"dream"}


def test_a_preview_that_was_announced_and_did_not_become_visible_is_shown_by_the_next_try(killed: Killed) -> None:
    with killed.journal._transaction() as connection:
        connection.execute("UPDATE previews SET visible = 0")
    assert not preview.is_wanted(killed.journal, killed.job)  # it is there all the same
    killed.target.unlink()
    assert preview.is_wanted(killed.journal, killed.job)
    found = killed.journal.preview(killed.job)
    assert found is not None
    killed.journal.preview_is_visible(found)
    assert not preview.is_wanted(killed.journal, killed.job)  # somebody has removed it
    killed.journal.close()


@contextmanager
def daemon(root: Path, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command(root, preview=True), env=environment(OMP_NUM_THREADS="1", **variables))
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(20)


def _started(root: Path) -> Path:
    for name in ("in", "out", "state"):
        shutil.rmtree(root / name, ignore_errors=True)
    (root / "in").mkdir()
    path = root / "photo.png"
    Image.fromarray(scene(1, 64, 64)).save(path)
    return take(path, root / "in", SIDE)


def _done(root: Path, source: Path) -> Path:
    until = time.monotonic() + 60
    while not ((root / "state" / "journal.sqlite3").exists() and _is_done(root, source)):
        assert time.monotonic() < until, outputs(root / "out")
        time.sleep(0.05)
    (dream,) = outputs(root / "out")
    return dream


def _is_done(root: Path, source: Path) -> bool:
    return [job.state for job in jobs_of(root, source)] == ["done"] and not temps(root / "out")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """One folder for all, since the place is part of the dream's key; and the dream's digest."""
    root = tmp_path_factory.mktemp("house")
    source = _started(root)
    with daemon(root):
        return root, digest(_done(root, source))


POINTS = [f"{point}:1" for point in PREVIEW_POINTS]
POINTS += [f"publish.{name}:1" for name in ("temp_written", "announced", "linked", "directory_synced", "done")]


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_after_a_kill_there_is_the_same_dream_alone(place: tuple[Path, str], point: str) -> None:
    root, wanted = place
    source = _started(root)
    with daemon(root, **{VARIABLE: point}) as process:
        assert process.wait(60) == -signal.SIGKILL
    with daemon(root):
        dream = _done(root, source)
        assert (dream.name, digest(dream)) == ("photo.classic.png", wanted)


@pytest.mark.slow
@pytest.mark.parametrize("point", WITHDRAWAL_POINTS)
def test_after_a_kill_while_a_preview_is_taken_away_the_dream_of_the_next_photo_is_alone(
    tmp_path: Path, point: str
) -> None:
    source = _started(tmp_path)
    with daemon(tmp_path, **{VARIABLE: "preview.shown:1"}) as process:
        assert process.wait(60) == -signal.SIGKILL
    (shown,) = outputs(tmp_path / "out")
    before = digest(shown)
    Image.fromarray(scene(2, 64, 64)).save(source)
    with daemon(tmp_path, **{VARIABLE: f"{point}:1"}) as process:
        assert process.wait(60) == -signal.SIGKILL
    assert not outputs(tmp_path / "out")
    with daemon(tmp_path):
        until = time.monotonic() + 60
        while not any(job.state == "done" for job in jobs_of(tmp_path, source)) or temps(tmp_path / "out"):
            assert time.monotonic() < until, outputs(tmp_path / "out")
            time.sleep(0.05)
    (dream,) = outputs(tmp_path / "out")
    assert (dream.name, digest(dream) != before) == ("photo.classic.png", True)


def _ended(killed: Killed) -> None:
    """The job ends without a dream."""
    with killed.journal._transaction() as connection:
        connection.execute("UPDATE jobs SET state = 'failed' WHERE id = ?", (killed.job,))


def test_a_removal_that_was_cut_short_gives_back_what_somebody_had_just_put_there(
    killed: Killed, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, rename = killed.root / "out", preview.os.rename
    _ended(killed)

    def replaced(*args: object, **more: object) -> None:
        (killed.root / "mine").write_bytes(b"mine")
        (killed.root / "mine").replace(killed.target)
        rename(*args, **more)  # type: ignore[arg-type]

    def dies(_: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(preview.os, "rename", replaced)
        patch.setattr(preview, "hit", dies)
        with pytest.raises(KeyboardInterrupt):
            preview.withdraw(killed.journal, [out])
    killed.target.write_bytes(b"another")
    sweep([out], killed.journal.instance, f"{killed.journal.instance}-now")
    preview.withdraw(killed.journal, [out])
    assert {path.name: path.read_bytes() for path in outputs(out)} == {
        "photo.classic.png": b"another",
        "photo.classic-2.png": b"mine",
    }
    assert [path for path in temps(out) if path != killed.dream.temp] == []
    assert not killed.journal.stale_previews()


def test_a_preview_whose_dream_lies_elsewhere_by_now_is_taken_away(killed: Killed) -> None:
    elsewhere = killed.root / "out2"
    elsewhere.mkdir()
    assert killed.announce(elsewhere / killed.target.name)
    killed.journal.finish(killed.job, 1.0)
    preview.withdraw(killed.journal, [killed.root / "out", elsewhere])
    assert not killed.target.exists()
    assert not killed.journal.stale_previews()


def test_a_folder_that_became_a_link_keeps_no_other_preview_from_being_taken_away(killed: Killed) -> None:
    out = killed.root / "out"
    _ended(killed)
    (killed.root / "far").mkdir()
    (out / "led").symlink_to(killed.root / "far")
    with killed.journal._transaction() as connection:
        linked = (os.fsencode(out / "led" / "a.png"), "0" * 64)
        connection.execute("INSERT INTO previews VALUES (0, ?, ?, 1, 0)", linked)
    preview.withdraw(killed.journal, [out])
    assert not killed.target.exists()
    assert [each.job for each in killed.journal.stale_previews()] == [0]


def test_where_the_output_folder_is_away_a_preview_is_taken_away_once_it_is_back(killed: Killed) -> None:
    out, away = killed.root / "out", killed.root / "away"
    _ended(killed)
    out.rename(away)
    preview.withdraw(killed.journal, [out])
    away.rename(out)
    preview.withdraw(killed.journal, [out])
    assert not killed.target.exists()
    assert not killed.journal.stale_previews()


def test_exchanged_with_a_file_and_the_dream_was_removed_after_the_kill(killed: Killed) -> None:
    killed.announce(killed.target)
    (killed.root / "mine").write_bytes(b"mine")
    (killed.root / "mine").replace(killed.target)
    with preview.entered(killed.root / "out", killed.root / "out") as at:
        preview.exchange(killed.dream.temp.name, killed.target.name, at)
    killed.target.unlink()
    assert killed.recovered() == {"photo.classic.png": b"mine"}


def test_what_was_given_back_right_before_a_kill_is_not_given_back_twice(
    killed: Killed, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = killed.root / "out"
    _ended(killed)
    killed.target.write_bytes(b"mine")
    aside = out / preview._aside(killed.journal, killed.job)
    os.link(killed.target, aside)
    preview.withdraw(killed.journal, [out])
    assert {path.name: path.read_bytes() for path in outputs(out)} == {"photo.classic.png": b"mine"}
    assert not aside.exists()


def test_two_files_that_somebody_puts_there_in_two_moments_are_both_kept(
    killed: Killed, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, put = preview.exchange, []

    def exchange(temp: str, name: str, at: int) -> None:
        put.append(f"mine {len(put)}".encode())
        (killed.root / "mine").write_bytes(put[-1])
        (killed.root / "mine").replace(killed.target)
        real(temp, name, at)

    with monkeypatch.context() as patch:
        patch.setattr(preview, "exchange", exchange)
        with pytest.raises(OSError, match="again and again"):
            preview.replace(killed.journal, killed.job, killed.dream, killed.announce)
    (announced,) = killed.journal.at_work()[1]
    assert resolve(killed.journal, announced, [killed.folder]) is None
    assert set(killed.recovered().values()) == {b"mine 0", b"mine 1"}


def test_a_preview_that_appears_after_its_job_has_ended_is_taken_away_at_once(
    killed: Killed, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = killed.root / "out"
    killed.target.unlink()
    with killed.journal._transaction() as connection:
        connection.execute("DELETE FROM previews")
    real = preview.reveal

    def reveal(staged: Staged, name: str, announce: Callable[[Path], bool]) -> Path:
        def announced(target: Path) -> bool:
            is_announced = announce(target)
            _ended(killed)
            preview.withdraw(killed.journal, [out])
            return is_announced

        return real(staged, name, announced)

    monkeypatch.setattr(preview, "reveal", reveal)
    shown = killed.stage(b"preview")
    show = preview.show(killed.journal, killed.job, shown, "photo.png", root=out, token="t", may=lambda _: True)
    assert (show, outputs(out)) == (None, [])


def test_two_threads_that_take_a_preview_away_take_no_file_that_is_put_there_meanwhile(
    killed: Killed, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = killed.root / "out"
    _ended(killed)
    rename = preview.os.rename

    def renamed(*args: object, **more: object) -> None:
        other = threading.Thread(target=preview.withdraw, args=(killed.journal, [out]))
        other.start()
        other.join(60)  # does not wait for this one
        assert killed.target.read_bytes() == b"preview"
        rename(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(preview.os, "rename", renamed)
    preview.withdraw(killed.journal, [out])
    assert outputs(out) == []
    assert not killed.journal.stale_previews()
