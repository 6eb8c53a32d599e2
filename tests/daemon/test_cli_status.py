"""``status`` tells from the journal and the folders what keeps a daemon in another process from its work."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from deepdream_daemon.configuration.config import write_template
from deepdream_daemon.journal.claims import Announced
from deepdream_daemon.journal.disposals import Order
from deepdream_daemon.journal.intake import NewJob, Taken
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.running.lock import LOCK_FILE
from tests.daemon.cli import deepdream, done, nowhere

__all__ = ["nowhere"]

LONG = f"the weights cannot be had: {'https://mirror.example/ ' * 18}is offline"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a configuration and its folders."""
    write_template(tmp_path / "place")
    return tmp_path / "place"


@pytest.fixture
def journal(place: Path) -> Iterator[Journal]:
    """The journal of a daemon that seems to run."""
    opened = Journal.open(place / "state")
    with FileLock(place / "state" / LOCK_FILE):
        (place / "state" / f"{LOCK_FILE}.pid").write_text(f"{os.getpid()}")
        yield opened
    opened.close()


def queue(journal: Journal, folder: Path, *names: str) -> None:
    for name in names:
        job = NewJob(key=f"{folder}/{name}", folder=folder, sha256="", recipe="classic", seed=1)
        journal.record([Taken(path=folder / name, fingerprint=name, job=job)])


def put_off(journal: Journal, folder: Path, error: str, seconds: float = 60) -> None:
    for claim in journal.claim(10, [folder]):
        journal.put_off(claim.id, due=time.time() + seconds, attempts=0, delays=1, error=error, advice="Go online.")


def plain(place: Path) -> str:
    return deepdream("status", "--config", place / "config.toml").stdout


def as_json(place: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(deepdream("status", "--config", place / "config.toml", "--json").stdout)
    return found


def test_an_error_is_shown_once_in_lines(place: Path, journal: Journal) -> None:
    queue(journal, place / "in", "a.png", "b.png")
    put_off(journal, place / "in", LONG)
    queue(journal, place / "in", "c.png")
    shown = plain(place)
    assert shown.count("the weights cannot be had") == 1
    assert max(map(len, shown.splitlines())) < 200
    assert "is offline" in shown, "how it ends is often what matters"
    assert "Go online." in shown
    waiting = shown.split("\nwaiting\n")[1].splitlines()
    assert [line.split()[0] for line in waiting] == ["picture", "a.png", "b.png"]
    assert all("again in " in line and "as above" in line for line in waiting[1:3])
    queued = shown.split("\nqueued\n")[1].splitlines()
    assert queued[1].startswith("c.png")
    assert as_json(place)["degraded"] == LONG, "a program gets all of it"


def test_a_failure_says_all_and_names_files_without_their_folders(place: Path, journal: Journal) -> None:
    folder = place / "in" / "a long way down" / "to the guided ones"
    choices = ", ".join(f"choice_{number}" for number in range(30))
    error = f"{folder / 'a.png'}: its guide '{folder / 'a.guide.png'}' is no good. Valid: {choices}."
    queue(journal, place / "in", "b.png")
    job = NewJob(key="k", folder=place / "in", sha256="", recipe="guided", seed=0, error=error)
    journal.record([Taken(path=folder / "a.png", fingerprint="f", job=job)])
    failed = plain(place).split("\nfailed\n")[1].splitlines()
    assert max(map(len, failed)) < 160
    assert failed[1].startswith("a.png    guided")
    text = " ".join(" ".join(failed[1:]).split())
    assert text.endswith(f"its guide 'a.guide.png' is no good. Valid: {choices}.")
    assert as_json(place)["jobs"]["failed"][0]["error"] == error


def test_a_photo_that_waits_for_its_guide_says_so_and_degrades_nothing(place: Path, journal: Journal) -> None:
    error = "waits: needs a.guide.jpg"
    job = NewJob(key="k", folder=place / "in", sha256="", recipe="guided", seed=0, expects=True, error=error)
    journal.record([Taken(path=place / "in" / "a.png", fingerprint="f", job=job)])
    line = plain(place).split("\nwaiting\n")[1].splitlines()[1]
    assert line.split()[:2] == ["a.png", "guided"]
    assert line.endswith(f"  {error}")
    assert "again in" not in line
    found = as_json(place)
    assert (found["degraded"], found["counts"]["waiting"], found["counts"]["failed"]) == (None, 1, 0)
    assert found["jobs"]["waiting"][0]["due"] is None


def test_a_queued_job_keeps_the_error_that_it_waits_for(place: Path, journal: Journal) -> None:
    queue(journal, place / "in", "a.png")
    put_off(journal, place / "in", "the output folder cannot be written to: No space left on device", seconds=-1)
    found = as_json(place)
    assert found["counts"]["queued"] == 1
    assert "No space left" in found["jobs"]["queued"][0]["error"]
    assert "No space left" in found["degraded"]
    assert "degraded  the output folder cannot be written to" in plain(place)


def test_an_output_that_is_held_up_is_told_of_by_another_process(place: Path, journal: Journal) -> None:
    queue(journal, place / "in", "a.png")
    assert as_json(place)["degraded"] is None
    journal.hold(place / "in", place / "out", "the output folder is full", "Free some space.")
    assert as_json(place)["degraded"] == "the output folder is full"
    assert "advice    Free some space." in plain(place)
    journal.release(place / "in", place / "out")
    assert as_json(place)["degraded"] is None


def test_a_folder_that_is_away_is_told_of(place: Path, journal: Journal) -> None:
    (place / "out").rmdir()
    assert f"degraded  the folder '{place / 'out'}' is away" in plain(place)
    assert "advice    Mount or create it" in plain(place)


def test_jobs_of_a_folder_that_is_not_watched_any_more_say_so(place: Path, journal: Journal) -> None:
    queue(journal, place / "former", "a.png")
    assert "its folder is not watched any more" in plain(place)
    assert as_json(place)["degraded"] is None


def test_many_different_errors_do_not_flood_it(place: Path, journal: Journal) -> None:
    for name in "abcde":
        queue(journal, place / "in", f"{name}.png")
        put_off(journal, place / "in", f"error {name}")
    (line,) = [line for line in plain(place).splitlines() if line.startswith("degraded")]
    assert line == "degraded  error a; error b; error c; and 2 more"
    assert plain(place).count("error d") == 1


@pytest.mark.parametrize("name", ["in", "in/family/2024"])
def test_an_input_folder_that_cannot_be_read_is_told_of(place: Path, journal: Journal, name: str) -> None:
    closed = place / name
    closed.mkdir(parents=True, exist_ok=True)
    assert as_json(place)["degraded"] is None
    closed.chmod(0)
    try:
        shown = done("status", "--config", place / "config.toml").stdout
    finally:
        closed.chmod(0o755)
    assert f"degraded  the folder '{closed}' cannot be looked into: Permission denied" in shown
    assert f"chmod u+rx {closed}" in shown


def test_without_a_daemon_jobs_wait_for_one(place: Path) -> None:
    journal = Journal.open(place / "state")
    queue(journal, place / "in", "a.png", "b.png")
    put_off(journal, place / "in", "the output folder cannot be written to: No space left on device")
    queue(journal, place / "in", "c.png")
    journal.claim(1, [place / "in"])
    journal.hold(place / "in", place / "out", "the output folder is full", "Free some space.")
    journal.close()
    shown = plain(place)
    assert "not running; start it: deepdream run" in shown
    assert "No space left" not in shown
    assert "is full" not in shown
    assert "again in" not in shown
    assert shown.count("it waits for a daemon") == 2
    assert shown.count("the daemon ended in the middle of it") == 1


def test_a_configuration_that_was_refused_is_told_of_by_another_process(place: Path, journal: Journal) -> None:
    assert as_json(place)["reload_error"] is None
    journal.note_reload_error("config.toml:3: folders[0].recipe: unknown recipe 'clasic'.")
    assert as_json(place)["reload_error"].startswith("config.toml:3")
    (line,) = [line for line in plain(place).splitlines() if line.startswith("reload")]
    assert "is not in force, but the one before: config.toml:3: folders[0].recipe: unknown recipe 'clasic'" in line
    journal.note_reload_error(None)
    assert "reload" not in plain(place)


@pytest.mark.parametrize("mistake", ["[daemon]\nmax_attempts = 0\n", "[daemon\n", "[[folders]]\ninput = 3\n"])
def test_a_mistake_in_the_configuration_hides_nothing_of_the_daemon_that_runs_by_the_former_one(
    place: Path, journal: Journal, mistake: str
) -> None:
    queue(journal, place / "in", "a.jpg", "deep/a.jpg")
    (place / "config.toml").write_text(mistake)
    found = plain(place)
    assert "daemon  running, process" in found
    assert "2 queued" in found
    assert "\ndeep/a.jpg " in found
    assert "not watched any more" not in found, "who knows?"
    (line,) = [line for line in found.splitlines() if line.startswith("config ")]
    assert "it cannot be read:" in line
    assert "config.toml:" in found
    told = as_json(place)
    assert (told["running"], told["counts"]["queued"]) == (True, 2)
    assert "config.toml:" in told["config_error"]


def test_without_a_daemon_a_mistake_in_the_configuration_is_all_there_is_to_say(place: Path) -> None:
    Journal.open(place / "state").close()
    (place / "config.toml").write_text("[daemon\n")
    refused = deepdream("status", "--config", place / "config.toml")
    assert (refused.exit_code, refused.stdout, "config.toml:1" in refused.stderr) == (2, "", True)


def test_pictures_of_one_name_are_told_apart_by_their_folders(place: Path, journal: Journal) -> None:
    queue(journal, place / "in", "a.jpg", "deep/a.jpg", "deep/b.jpg")
    shown = [line.split()[0] for line in plain(place).splitlines() if ".jpg" in line]
    assert sorted(shown) == ["a.jpg", "b.jpg", "deep/a.jpg"]
    config = place / "config.toml"
    config.write_text(config.read_text() + '\n[[folders]]\ninput = "more"\noutput = "out"\n')
    queue(journal, place / "more", "a.jpg")
    shown = [line.split()[0] for line in plain(place).splitlines() if ".jpg" in line]
    assert sorted(shown) == ["b.jpg", "in/a.jpg", "in/deep/a.jpg", "more/a.jpg"]


def test_a_worker_that_died_is_told_of_by_another_process(place: Path, journal: Journal) -> None:
    assert as_json(place)["worker"] == {"restarts": 0, "last_death": None}
    journal.note_worker(1, "was killed by SIGSEGV")
    assert "worker  started again once; the last time, it was killed by SIGSEGV" in " ".join(plain(place).split("   "))
    journal.note_worker(3, "made no progress for 600 s")
    assert "started again 3 times" in plain(place)
    assert as_json(place)["worker"] == {"restarts": 3, "last_death": "made no progress for 600 s"}


def test_without_a_daemon_nothing_is_said_of_its_worker_or_configuration(place: Path) -> None:
    opened = Journal.open(place / "state")
    opened.note_worker(3, "was killed by SIGSEGV")
    opened.note_reload_error("config.toml:3: wrong")
    opened.ask_drain()
    opened.close()
    found = as_json(place)
    assert (found["reload_error"], found["draining"], found["worker"]["restarts"]) == (None, False, 0)


def test_a_source_that_cannot_be_disposed_of_is_told_of(place: Path, journal: Journal) -> None:
    queue(journal, place / "in", "a.png")
    (claim,) = journal.claim(1, [place / "in"])
    order = Order(how="delete", fingerprint="a.png")
    out = place / "out" / "a.classic.png"
    journal.announce(Announced(job=claim.id, temp=out, target=out, sha256="d", inode=1, order=order))
    journal.finish(claim.id, 1.0)
    (left,) = journal.due_disposals()
    journal.put_off_disposal(left, "Read-only file system", due=time.time() + 60)
    assert "a.png' is still there: Read-only file system" in as_json(place)["degraded"]
