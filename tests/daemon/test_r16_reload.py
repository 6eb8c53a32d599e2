"""R16: a changed configuration is in force within 2 s, and what is in flight is left alone; a bad one changes nothing,
and the error names file, line and key.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from deepdream_daemon.configuration import changes as watching
from deepdream_daemon.configuration.changes import Changes
from deepdream_daemon.configuration.settings import Settings
from deepdream_engine.errors import BadOption
from tests.daemon.reloads import FOLDER, QUICK, Reloadable
from tests.daemon.stub import drop, jobs_of, outputs, wait_until

SECOND = '[[folders]]\ninput = "in2"\noutput = "out2"\nrecipe = "deep"\n'


def names(folder: Path) -> list[str]:
    return [path.name for path in outputs(folder)]


def test_a_new_folder_is_watched_within_two_seconds_of_the_writing(tmp_path: Path) -> None:
    for name in ("in2", "out2"):
        (tmp_path / name).mkdir()
    with Reloadable(tmp_path) as daemon:
        took = []
        for number, second in enumerate((SECOND, "", SECOND), start=2):
            daemon.write(FOLDER + second + QUICK)
            written = time.monotonic()
            daemon.wait_for_generation(number)
            took.append(time.monotonic() - written)
        assert max(took) < 2.0, took
        drop(tmp_path / "in2" / "new.jpg", "sky")
        drop(tmp_path / "in" / "old.jpg", "sky")
        wait_until(lambda: names(tmp_path / "out2") == ["new.deep.jpg"], what=daemon.snapshot)
        wait_until(lambda: names(tmp_path / "out") == ["old.classic.jpg"], what=daemon.snapshot)
        assert len(daemon.renderers) == 1, "what dreams has nothing to do with folders"
        assert [str(folder.input.name) for folder in daemon.daemon.settings.folders] == ["in", "in2"]


def test_a_folder_that_is_named_no_more_is_left_alone(tmp_path: Path) -> None:
    for name in ("in2", "out2"):
        (tmp_path / name).mkdir()
    with Reloadable(tmp_path, FOLDER + SECOND + QUICK) as daemon:
        drop(tmp_path / "in2" / "before.jpg", "sky")
        wait_until(lambda: names(tmp_path / "out2") == ["before.deep.jpg"])
        daemon.write(FOLDER + QUICK)
        daemon.wait_for_generation(2)
        drop(tmp_path / "in2" / "after.jpg", "sky")
        drop(tmp_path / "in" / "other.jpg", "sky")
        wait_until(lambda: names(tmp_path / "out") == ["other.classic.jpg"])
        time.sleep(0.7)  # more than a rescan
        assert names(tmp_path / "out2") == ["before.deep.jpg"]


def test_what_is_in_flight_ends_as_it_began_and_the_rest_goes_by_the_new_configuration(tmp_path: Path) -> None:
    (tmp_path / "out2").mkdir()
    dreams, goes_on = threading.Event(), threading.Event()
    begun: list[bytes] = []

    def wait(text: bytes) -> None:
        begun.append(text)
        if text == b"first":
            dreams.set()
            assert goes_on.wait(60)

    with Reloadable(tmp_path, FOLDER + QUICK + "[engine]\nmax_batch = 1\n") as daemon:
        daemon.renderers[0].before_dream = wait
        first = drop(tmp_path / "in" / "first.jpg", "first")
        assert dreams.wait(60)
        second = drop(tmp_path / "in" / "second.jpg", "second")
        wait_until(lambda: daemon.snapshot().counts["running"] == 2, what=daemon.snapshot)  # prepared, and waits
        changed = FOLDER.replace('"out"', '"out2"') + 'recipe = "deep"\n' + QUICK + "[engine]\nmax_batch = 1\n"
        daemon.write(changed)
        daemon.wait_for_generation(2)
        (active,) = [each for each in daemon.snapshot().active if each.path == first]
        assert (active.recipe, active.stage) == ("classic", "dreaming")
        goes_on.set()
        wait_until(lambda: names(tmp_path / "out") == ["first.classic.jpg"], what=daemon.snapshot)
        wait_until(lambda: names(tmp_path / "out2") == ["second.deep.jpg"], what=daemon.snapshot)
        assert begun.count(b"first") == 1
        (done,) = jobs_of(tmp_path, first)
        assert not any("queued again" in what for _, what in done.history), done.history
        wait_until(lambda: any("second" in each.path.name for each in daemon.snapshot().finished), what=daemon.snapshot)
        assert len(daemon.snapshot().finished) == 2, "what earlier works have done is told as well"
        assert second.exists()


def test_while_a_dream_goes_on_for_long_others_are_dreamt_beside_it(tmp_path: Path) -> None:
    dreams, goes_on = threading.Event(), threading.Event()

    def wait(text: bytes) -> None:
        if text == b"first":
            dreams.set()
            assert goes_on.wait(60)

    with Reloadable(tmp_path) as daemon:
        daemon.renderers[0].before_dream = wait
        drop(tmp_path / "in" / "first.jpg", "first")
        assert dreams.wait(60)
        daemon.write(FOLDER + QUICK + "[engine]\nmax_batch = 2\n")  # another worker
        daemon.wait_for_generation(2)
        drop(tmp_path / "in" / "second.jpg", "second")
        wait_until(lambda: names(tmp_path / "out") == ["second.classic.jpg"], what=daemon.snapshot)
        assert [renderer.closed for renderer in daemon.renderers] == [False, False]
        goes_on.set()
        wait_until(lambda: len(names(tmp_path / "out")) == 2, what=daemon.snapshot)
        wait_until(lambda: daemon.renderers[0].closed)
        assert not daemon.renderers[1].closed
    assert daemon.renderers[1].closed


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (
            '[[folders]]\ninput = "in"\noutput = "out"\nrecipee = "deep"\n' + QUICK,
            [":4: folders[0].recipee", "'recipe'"],
        ),
        (
            '[[folders]]\ninput = "in"\noutput = "nowhere"\n' + QUICK,
            [":3: folders[0].output", "does not exist", "mkdir"],
        ),
        (FOLDER + 'recipe = "deeep"\n' + QUICK, [":4: folders[0].recipe", "'deeep'", "'deep'"]),
        (FOLDER + QUICK + "max_attempts = 0\n", [":7: daemon.max_attempts", "from 1 to 100", "not 0"]),
        (FOLDER + QUICK + 'state = "other"\n', [":7: daemon.state", "cannot change while the daemon runs", "/other'"]),
        (FOLDER + "[daemon\n", [":4:", "TOML syntax"]),
        (QUICK, ["no folder is watched"]),
        (FOLDER + QUICK + "[recipes.mine]\nocataves = 3\n", [":8: recipes.mine.ocataves", "'octaves'"]),
        (FOLDER + 'name = "{stm}"\n' + QUICK, [":4: folders[0].name", "'stm'"]),
        (FOLDER + 'source = "move"\n' + QUICK, [":4: folders[0].source", "processed"]),
    ],
)
def test_a_mistake_changes_nothing_and_is_told_with_its_place(tmp_path: Path, text: str, parts: list[str]) -> None:
    with Reloadable(tmp_path) as daemon:
        daemon.write(text)
        error = daemon.wait_for_error()
        for part in ["config.toml", *parts]:
            assert part in error
        wait_until(lambda: daemon.noted_error() == error)
        assert "not taken up" in str(daemon.snapshot().degraded)
        drop(tmp_path / "in" / "photo.jpg", "sky")
        wait_until(lambda: names(tmp_path / "out") == ["photo.classic.jpg"], what=daemon.snapshot)
        assert daemon.snapshot().generation == 1
        daemon.write(FOLDER + 'recipe = "deep"\n' + QUICK)
        daemon.wait_for_generation(2)
        wait_until(lambda: daemon.noted_error() is None)
        assert daemon.snapshot().reload_error is None
        assert daemon.snapshot().degraded is None
    assert daemon.noted_error() is None


def test_who_puts_back_what_was_there_before_the_mistake_is_told_that_all_is_well(tmp_path: Path) -> None:
    with Reloadable(tmp_path) as daemon:
        daemon.write(FOLDER + "[daemon\n")
        daemon.wait_for_error()
        daemon.write(FOLDER + QUICK)
        wait_until(lambda: daemon.snapshot().reload_error is None)
        assert daemon.snapshot().generation == 1, "nothing has changed after all"


def test_a_comment_or_a_touch_changes_nothing(tmp_path: Path) -> None:
    with Reloadable(tmp_path) as daemon:
        daemon.write("# a comment\n" + FOLDER + QUICK)
        time.sleep(1.5)
        daemon.config.touch()
        time.sleep(1.5)
        assert daemon.snapshot().generation == 1
        assert daemon.snapshot().reload_error is None


def test_somebody_who_asks_gets_everything_anew_though_nothing_has_changed(tmp_path: Path) -> None:
    with Reloadable(tmp_path) as daemon:
        for number in (2, 3):
            daemon.daemon.reload()
            daemon.wait_for_generation(number)
        drop(tmp_path / "in" / "photo.jpg", "sky")
        wait_until(lambda: names(tmp_path / "out") == ["photo.classic.jpg"], what=daemon.snapshot)
        assert len(daemon.renderers) == 1


def test_without_reload_the_file_is_taken_up_only_when_somebody_asks(tmp_path: Path) -> None:
    with Reloadable(tmp_path, FOLDER + QUICK + "reload = false\n") as daemon:
        daemon.write(FOLDER + 'recipe = "deep"\n' + QUICK + "reload = true\n")
        time.sleep(1.5)
        assert daemon.snapshot().generation == 1
        daemon.daemon.reload()
        daemon.wait_for_generation(2)
        daemon.write(FOLDER + QUICK)
        daemon.wait_for_generation(3)


def test_pictures_that_were_queued_but_not_begun_are_dreamt_by_the_new_recipe(tmp_path: Path) -> None:
    with Reloadable(tmp_path) as daemon:
        daemon.renderers[0].dream_seconds = 0.05
        for number in range(60):
            drop(tmp_path / "in" / f"{number}.jpg", f"sky {number}")
        wait_until(lambda: daemon.snapshot().counts["done"] > 0, what=daemon.snapshot)
        daemon.write(FOLDER + 'recipe = "deep"\n' + QUICK)
        daemon.wait_for_generation(2)
        wait_until(lambda: len(names(tmp_path / "out")) == 60, what=daemon.snapshot)
        stems = {name.split(".")[0] for name in names(tmp_path / "out")}
        assert len(stems) == 60, "each once, by one recipe or the other"
        assert {name.split(".")[1] for name in names(tmp_path / "out")} == {"classic", "deep"}
        assert daemon.snapshot().counts["failed"] == 0


def test_settings_that_cannot_be_served_are_refused_and_the_former_ones_stay(tmp_path: Path) -> None:
    heard: list[int] = []

    def accept(settings: Settings) -> None:
        if settings.monitoring.port == 1:
            raise BadOption("monitoring.port: the port 1 is taken by another program")
        heard.append(settings.monitoring.port)

    with Reloadable(tmp_path, accept=accept) as daemon:
        daemon.write(FOLDER + QUICK + "[monitoring]\nport = 1\n")
        assert "taken by another program" in daemon.wait_for_error()
        assert (daemon.snapshot().generation, heard) == (1, [0])
        daemon.write(FOLDER + QUICK + "[monitoring]\nport = 9108\n")
        daemon.wait_for_generation(2)
        assert heard == [0, 9108]


LISTENER = """
from pathlib import Path
from deepdream_plugins import hookimpl

DIARY = Path({diary!r})

def note(text):
    with DIARY.open("a") as file:
        file.write(text + "\\n")

@hookimpl
def deepdream_daemon_started(event):
    note("{name} started")

@hookimpl
def deepdream_daemon_stopping(event):
    note("{name} stopping")

@hookimpl
def deepdream_job_finished(event):
    note("{name} finished " + Path(event.path).name)
"""


def test_a_plugin_whose_file_has_changed_is_loaded_again_and_the_former_one_hears_of_its_own_pictures_only(
    tmp_path: Path,
) -> None:
    plugins, diary = tmp_path / "plugins", tmp_path / "diary"
    plugins.mkdir(mode=0o700)
    diary.touch()
    plugin = plugins / "listener.py"
    plugin.write_text(LISTENER.format(diary=str(diary), name="one"))
    dreams, goes_on = threading.Event(), threading.Event()

    def wait(_: bytes) -> None:
        dreams.set()
        assert goes_on.wait(60)

    def told() -> list[str]:
        return diary.read_text().splitlines()

    with Reloadable(tmp_path, FOLDER + QUICK + '[plugins]\nfolder = "plugins"\n') as daemon:
        wait_until(lambda: told() == ["one started"])
        host = daemon.daemon._plan.host
        daemon.daemon.reload()
        daemon.wait_for_generation(2)
        assert daemon.daemon._plan.host is host, "the same plugins stay loaded"
        assert len(daemon.renderers) == 1
        daemon.renderers[0].before_dream = wait
        drop(tmp_path / "in" / "first.jpg", "first")
        assert dreams.wait(60)
        plugin.write_text(LISTENER.format(diary=str(diary), name="two"))
        daemon.daemon.reload()
        daemon.wait_for_generation(3)
        assert len(daemon.renderers) == 2, "another worker has the other plugins"
        wait_until(lambda: len(told()) == 3)
        assert set(told()) == {"one started", "one stopping", "two started"}
        drop(tmp_path / "in" / "second.jpg", "second")
        wait_until(lambda: "two finished second.jpg" in told(), what=told)
        goes_on.set()
        wait_until(lambda: "one finished first.jpg" in told(), what=told)
        wait_until(lambda: daemon.renderers[0].closed)
    assert told().count("two stopping") == 1
    assert told().count("one stopping") == 1
    assert not any(line in told() for line in ("one finished second.jpg", "two finished first.jpg"))


def test_a_plugin_that_failed_is_tried_again(tmp_path: Path) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir(mode=0o700)
    (plugins / "broken.py").write_text("1 / 0\n")
    with Reloadable(tmp_path, FOLDER + QUICK + '[plugins]\nfolder = "plugins"\n') as daemon:
        before = daemon.daemon._plan.host
        assert before.failed == ["broken"]
        (plugins / "broken.py").write_text(LISTENER.format(diary=str(tmp_path / "diary"), name="mended"))
        daemon.daemon.reload()
        daemon.wait_for_generation(2)
        assert daemon.daemon._plan.host.failed == []


def test_many_reloads_leave_no_threads_and_no_descriptors_behind(tmp_path: Path) -> None:
    def counts() -> tuple[int, int]:
        return threading.active_count(), len(list(Path("/dev/fd").iterdir()))

    with Reloadable(tmp_path) as daemon:
        daemon.daemon.reload()
        daemon.wait_for_generation(2)
        time.sleep(1.0)
        threads, descriptors = counts()
        for number in range(3, 11):
            daemon.daemon.reload()
            daemon.wait_for_generation(number)
        wait_until(lambda: counts()[0] <= threads + 1 and counts()[1] <= descriptors + 2, what=counts)


def test_a_file_that_is_written_in_pieces_is_taken_up_when_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(watching, "time", SimpleNamespace(monotonic=lambda: now[0]))
    config = tmp_path / "config.toml"
    config.write_text("a")
    changes = Changes(config)
    for piece in "bcdef":
        with config.open("a") as file:
            file.write(piece)
        for _ in range(5):
            assert not changes.there_are()
            now[0] += watching.QUIET_SECONDS / 6
    now[0] += watching.QUIET_SECONDS
    assert changes.there_are()
    assert not changes.there_are()


def test_a_file_that_another_one_is_put_in_place_of_has_changed(tmp_path: Path) -> None:
    config, other = tmp_path / "config.toml", tmp_path / "other"
    config.write_text("a")
    changes = Changes(config)
    other.write_text("b")
    status = config.stat()
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))  # as careful as an editor can be
    other.rename(config)
    wait_until(changes.there_are, 2.0)
    link = tmp_path / "link"
    link.symlink_to(config)
    changes = Changes(link)
    (tmp_path / "third").write_text("c")
    link.unlink()
    assert not changes.there_are()
    link.symlink_to(tmp_path / "third")
    wait_until(changes.there_are, 2.0)


def test_a_file_that_is_gone_for_a_moment_is_not_missed_but_one_that_stays_away_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "GONE_SECONDS", 2.0)
    with Reloadable(tmp_path) as daemon:
        daemon.config.rename(tmp_path / "away")
        time.sleep(0.6)
        (tmp_path / "away").rename(daemon.config)
        time.sleep(1.6)
        assert daemon.snapshot().reload_error is None
        daemon.config.unlink()
        assert "does not exist" in daemon.wait_for_error()
        drop(tmp_path / "in" / "photo.jpg", "sky")
        wait_until(lambda: names(tmp_path / "out") == ["photo.classic.jpg"], what=daemon.snapshot)
        daemon.write(FOLDER + QUICK)
        wait_until(lambda: daemon.snapshot().reload_error is None)
