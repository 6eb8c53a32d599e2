"""Plugins beside the running daemon: they choose recipes, hear what happens, and are disabled when they fail."""

from __future__ import annotations

import json
import textwrap
import threading
import time
from pathlib import Path

import pytest

from deepdream_daemon.configuration.settings import EngineSettings, FolderSettings
from deepdream_daemon.delivery.calling import SINK_CALL
from deepdream_daemon.explaining.explain import explain
from deepdream_daemon.journal.claims import Claim
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.pipeline.task import Task
from deepdream_daemon.pipeline.telling import Telling
from deepdream_daemon.pipeline.threads import pool_size
from deepdream_plugins.catalogue import load_catalogue
from deepdream_plugins.events import JobProgress, JobStarted
from deepdream_plugins.hosting.guarding import Guard, PluginFailure
from deepdream_plugins.recipes import RecipeBook
from deepdream_plugins.selection import Selection
from tests.daemon.cli import QUICK, deepdream, nowhere, photo  # noqa: F401  (a fixture)
from tests.daemon.stub import Running, StubRenderer, drop, jobs_of, make_settings, outputs, wait_until

PICKER = """
    from pathlib import Path

    @hookimpl
    def deepdream_recipe_for(path, folder):
        with Path({asked!r}).open("a") as file:
            file.write(path + "\\n")
        return {answer}
"""
LISTENER = """
    import dataclasses, json
    from pathlib import Path

    def told(event):
        with Path({told!r}).open("a") as file:
            file.write(json.dumps({{"event": type(event).__name__, **dataclasses.asdict(event)}}) + "\\n")

    @hookimpl
    def deepdream_job_started(event): told(event)
    @hookimpl
    def deepdream_progress(event): told(event)
    @hookimpl
    def deepdream_job_finished(event): told(event)
    @hookimpl
    def deepdream_job_failed(event): told(event)
    @hookimpl
    def deepdream_daemon_started(event): told(event)
    @hookimpl
    def deepdream_daemon_stopping(event): told(event)
"""
ODD = """
    @hookimpl
    def deepdream_postfilters():
        yield FilterSpec(name="odd", help="Odd.", apply=lambda pictures, context: pictures)
"""


def plugin(root: Path, name: str, text: str, **values: object) -> Path:
    folder = root / "plugins"
    folder.mkdir(mode=0o700, exist_ok=True)
    head = "from deepdream_plugins import hookimpl\nfrom deepdream_plugins.records import FilterSpec\n"
    (folder / f"{name}.py").write_text(head + textwrap.dedent(text).format(**values))
    return folder


def book_with(folder: Path, **recipes: dict[str, object]) -> RecipeBook:
    catalogue = load_catalogue(Selection(folder=folder))
    assert [info.name for info in catalogue.host.plugins if info.state == "failed"] == []
    return RecipeBook(catalogue, recipes)


def events(path: Path) -> list[dict[str, object]]:
    lines = path.read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]  # the last may be being written


def test_a_plugin_chooses_the_recipe_unless_a_side_file_or_a_sub_folder_does(tmp_path: Path) -> None:
    settings, asked = make_settings(tmp_path), tmp_path / "asked"
    book = book_with(plugin(tmp_path, "picker", PICKER, asked=str(asked), answer="'deep' if 'sky' in path else None"))
    (tmp_path / "in" / "weave").mkdir()
    drop(tmp_path / "in" / "side.jpg", "side")
    (tmp_path / "in" / "side.jpg.toml").write_text('base = "edges"\n')
    for name in ("sky.jpg", "other.jpg", "changed-sky.jpg", "weave/sky.jpg"):
        drop(tmp_path / "in" / name, name)
    (tmp_path / "in" / "changed-sky.jpg.toml").write_text("octaves = 2\n")
    (tmp_path / "in" / "side-sky.jpg.toml").write_text('base = "edges"\n')
    drop(tmp_path / "in" / "side-sky.jpg", "side-sky")
    with Running(settings, book=book) as running:
        running.wait_for(done=6)
    chosen = {path.name: jobs_of(tmp_path, path)[0] for path in (tmp_path / "in").glob("*.jpg")}
    recipes = {name: (job.recipe, job.chosen_by) for name, job in chosen.items()}
    assert recipes == {
        "sky.jpg": ("deep", "picker"),
        "changed-sky.jpg": ("deep", "picker"),
        "other.jpg": ("classic", None),
        "side.jpg": ("edges", None),
        "side-sky.jpg": ("edges", None),
    }
    (job,) = jobs_of(tmp_path, tmp_path / "in/weave/sky.jpg")
    assert (job.recipe, job.chosen_by) == ("weave", None)
    names = sorted(Path(line).name for line in asked.read_text().splitlines())
    assert names == ["changed-sky.jpg", "other.jpg", "sky.jpg"]
    journal = Journal.open(settings.state, read_only=True)
    found = explain(tmp_path / "in/sky.jpg", settings, book, journal)
    assert found.reason == "it was dreamt with the recipe 'deep', which the plugin 'picker' chose"
    assert found.history[0][1] == "queued for deep, chosen by the plugin 'picker'"
    found = explain(tmp_path / "in/other.jpg", settings, book, journal)
    assert found.reason == "it was dreamt with the recipe 'classic', the folder's own"
    found = explain(tmp_path / "in/weave/sky.jpg", settings, book, journal)
    assert found.reason == "it was dreamt with the recipe 'weave', after the sub-folder that it is in"
    found = explain(tmp_path / "in/side.jpg", settings, book, journal)
    assert found.reason == "it was dreamt with the recipe 'edges', which its side file names"
    new = explain(drop(tmp_path / "in/new-sky.jpg", "new"), settings, book, journal)
    assert "with the recipe 'deep', which the plugin 'picker' chose" in new.reason
    journal.close()


def test_a_plugin_that_changes_its_mind_causes_no_loop(tmp_path: Path) -> None:
    settings, asked = make_settings(tmp_path, rescan_seconds=0.2), tmp_path / "asked"
    answer = f"['deep', 'edges', 'weave'][len(Path({str(asked)!r}).read_text().splitlines()) % 3]"
    book = book_with(plugin(tmp_path, "fickle", PICKER, asked=str(asked), answer=answer))
    for number in range(4):
        drop(tmp_path / "in" / f"{number}.jpg", f"{number}")
    with Running(settings, book=book) as running:
        running.wait_for(done=4)
        time.sleep(0.8)
    with Running(settings, book=book):
        time.sleep(0.8)
    assert len(outputs(tmp_path / "out")) == 4
    assert len(asked.read_text().splitlines()) == 4


def test_a_recipe_that_is_not_there_is_noted_and_the_folders_is_used(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    book = book_with(plugin(tmp_path, "picker", PICKER, asked=str(tmp_path / "asked"), answer="'depe'"))
    for number in range(6):
        drop(tmp_path / "in" / f"{number}.jpg", f"{number}")
    with Running(settings, book=book) as running:
        running.wait_for(done=6)
        assert running.daemon.snapshot().disabled.keys() == {"picker"}
    assert len((tmp_path / "asked").read_text().splitlines()) == 5
    histories = [jobs_of(tmp_path, tmp_path / "in" / f"{number}.jpg")[0].history for number in range(6)]
    noted = [history for history in histories if any("'picker' chose no recipe" in what for _, what in history)]
    assert len(noted) == 5
    assert {path.name.split(".")[1] for path in outputs(tmp_path / "out")} == {"classic"}


def test_a_plugin_that_fails_to_choose_is_noted_and_the_folders_recipe_is_used(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    book = book_with(plugin(tmp_path, "picker", PICKER, asked=str(tmp_path / "asked"), answer="1 / 0"))
    photo = drop(tmp_path / "in" / "a.jpg", "sky")
    with Running(settings, book=book) as running:
        running.wait_for(done=1)
    (job,) = jobs_of(tmp_path, photo)
    assert job.recipe == "classic"
    noted = job.history[0][1]
    assert noted.startswith("the folder's recipe 'classic' is used: deepdream_recipe_for of the plugin 'picker' failed")
    journal = Journal.open(settings.state, read_only=True)
    found = explain(drop(tmp_path / "in" / "new.jpg", "new"), settings, book, journal)
    assert "ZeroDivisionError" in found.reason
    journal.close()


def test_listeners_hear_of_jobs_and_of_the_daemon_in_their_order(tmp_path: Path) -> None:
    settings, told = make_settings(tmp_path, max_attempts=1), tmp_path / "told"
    book = book_with(plugin(tmp_path, "listener", LISTENER, told=str(told)))
    renderer = StubRenderer(dream_seconds=0.1)
    with Running(settings, renderer, book) as running:
        drop(tmp_path / "in" / "a.jpg", "sky")
        running.wait_for(done=1)
        drop(tmp_path / "in" / "b.jpg", "fault")
        running.wait_for(failed=1)
        wait_until(lambda: any(event["event"] == "JobFailed" for event in events(told)))
    heard = events(told)
    by_job = [[event["event"] for event in heard if event.get("job") == job] for job in (1, 2)]
    assert by_job == [["JobStarted", "JobFinished"], ["JobStarted", "JobFailed"]]
    assert (heard[0]["event"], heard[-1]["event"]) == ("DaemonStarted", "DaemonStopping")
    assert heard[0]["folders"] == [str(tmp_path / "in")]
    finished = next(event for event in heard if event["event"] == "JobFinished")
    assert finished["output"] == str(tmp_path / "out" / "a.classic.jpg")
    assert (finished["path"], finished["recipe"]) == (str(tmp_path / "in" / "a.jpg"), "classic")
    failed = next(event for event in heard if event["event"] == "JobFailed")
    assert (failed["final"], "the stub has a fault" in str(failed["error"])) == (True, True)


def test_paths_of_events_are_text_whatever_bytes_are_in_them(tmp_path: Path) -> None:
    settings, told = make_settings(tmp_path), tmp_path / "told"
    book = book_with(plugin(tmp_path, "listener", LISTENER, told=str(told)))
    drop(tmp_path / "in" / "odd\udcff.jpg", "sky")
    with Running(settings, book=book) as running:
        running.wait_for(done=1)
    assert str(tmp_path / "in" / "odd\\xff.jpg") in [event.get("path") for event in events(told)]


def _failing(recipe_text: bytes) -> StubRenderer:
    """Return a renderer in which the plugin ``odd`` fails at pictures with ``recipe_text`` in them."""
    renderer = StubRenderer()

    def before_finish(rendered: bytes) -> None:
        if recipe_text in rendered:
            raise PluginFailure("the post-filter 'odd' of the plugin 'odd' failed at odd.py:3: ValueError", "odd")

    renderer.before_finish = before_finish
    return renderer


def test_a_plugin_that_fails_again_and_again_is_disabled_and_the_other_jobs_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = make_settings(tmp_path, max_attempts=1)
    book = book_with(plugin(tmp_path, "odd", ODD), strange={"postfilters": ["odd"]})
    folder = tmp_path / "in" / "strange"
    folder.mkdir()
    renderer = _failing(b"sky")
    with Running(settings, renderer, book) as running:
        for number in range(5):
            drop(folder / f"{number}.jpg", f"sky {number}")
        running.wait_for(failed=5)
        wait_until(lambda: bool(running.daemon.snapshot().disabled))
        prepared = renderer.prepared
        late = drop(folder / "late.jpg", "another")
        drop(tmp_path / "in" / "plain.jpg", "plain")
        running.wait_for(failed=6, done=1)
        assert renderer.prepared == prepared + 1  # only the one that needs it not
        wait_until(lambda: bool(_disabled(settings.state)))
        reason = _disabled(settings.state)["odd"]
        journal = Journal.open(settings.state, read_only=True)
        found = explain(late, settings, book, journal)
        journal.close()
        assert "the plugin 'odd' is disabled" in found.reason
        assert "odd.py:3: ValueError" in found.reason
        assert f"deepdream retry {late}" in (found.advice or "")
        assert "odd.py:3" in reason
    with Running(settings, StubRenderer(), book_with(tmp_path / "plugins", strange={"postfilters": ["odd"]})) as again:
        journal = Journal.open(settings.state)
        assert journal.retry(late) == 1
        journal.close()
        again.wait_for(done=2)
        assert _disabled(settings.state) == {}


def test_what_waits_for_the_engine_with_a_disabled_plugin_is_not_dreamt_in_vain(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, max_attempts=1, engine=EngineSettings(max_batch=2))
    book = book_with(plugin(tmp_path, "odd", ODD), strange={"postfilters": ["odd"]})
    (tmp_path / "in" / "strange").mkdir()
    for number in range(12):
        drop(tmp_path / "in" / "strange" / f"{number:02}.jpg", f"sky {number}")
    renderer = _failing(b"sky")
    renderer.dream_seconds = 0.1
    with Running(settings, renderer, book) as running:
        running.wait_for(failed=12)
    assert 5 <= sum(renderer.batches) <= 8  # those that were under way when the fifth failed
    errors = [
        job.error or "" for number in range(12) for job in jobs_of(tmp_path, tmp_path / f"in/strange/{number:02}.jpg")
    ]
    assert sum("is disabled" in error for error in errors) == 12 - sum(renderer.batches)


def test_progress_is_told_once_a_second_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[object] = []

    class Host:
        def tell(self, event: object) -> None:
            heard.append(event)

    now = [100.0]
    monkeypatch.setattr("deepdream_daemon.pipeline.telling.time.monotonic", lambda: now[0])
    telling = Telling(Host())  # type: ignore[arg-type]
    folder = FolderSettings(input=Path("/in"), output=Path("/out"))
    claim = Claim(
        id=7, key="k", source=Path("/in/a.jpg"), folder=folder.input, sha256="", recipe="deep", attempts=1, delays=0
    )
    task = Task(claim, folder)
    telling.started(task)
    for step in range(30):  # three seconds
        now[0] += 0.1
        task.fraction = step / 30
        telling.progress(task)
    started, *progress = heard
    assert isinstance(started, JobStarted)
    assert (started.attempt, started.job, started.path) == (2, 7, "/in/a.jpg")
    assert all(isinstance(event, JobProgress) for event in progress)
    assert 2 <= len(progress) <= 3
    assert progress == sorted(progress, key=lambda event: event.fraction)  # type: ignore[attr-defined]


def _disabled(state: Path) -> dict[str, str]:
    journal = Journal.open(state, read_only=True)
    try:
        return journal.disabled_plugins()
    finally:
        journal.close()


def test_code_of_a_plugin_that_hangs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deepdream_daemon.running.works.HANGING_SECONDS", 0.2)
    monkeypatch.setattr("deepdream_daemon.pipeline.pipeline.MEND_SECONDS", 0.05)
    settings, release = make_settings(tmp_path), threading.Event()
    renderer = StubRenderer()
    guard, call = Guard("the post-filter 'odd'", "odd"), Guard(f"{SINK_CALL}'shelf'", "odd")
    renderer.before_finish = lambda rendered: guard.call(release.wait, 20.0) and None
    drop(tmp_path / "in" / "a.jpg", "sky")
    with Running(settings, renderer) as running:
        threading.Thread(target=lambda: call.call(release.wait, 20.0), daemon=True).start()
        wait_until(lambda: running.daemon.snapshot().degraded is not None)
        told = "the post-filter 'odd' of the plugin 'odd' has been running since "
        assert str(running.daemon.snapshot().degraded).startswith(told)
        wait_until(lambda: _noted(settings.state) != {})
        ((trouble, advice),) = _noted(settings.state).items()
        assert trouble.startswith(told)
        assert "restart the daemon" in advice
        release.set()
        running.wait_for(done=1)
        wait_until(lambda: _noted(settings.state) == {})
        wait_until(lambda: running.daemon.snapshot().degraded is None)


def test_dreams_that_hang_in_a_plugins_filter_keep_no_other_from_being_published(tmp_path: Path) -> None:
    release, renderer = threading.Event(), StubRenderer()
    renderer.before_finish = lambda rendered: release.wait(60) and None if b"hang" in rendered else None
    settings = make_settings(tmp_path, shutdown_seconds=0.0)
    book = book_with(plugin(tmp_path, "odd", ODD), strange={"postfilters": ["odd"]})
    (tmp_path / "in" / "strange").mkdir()
    many = 2 * pool_size() + 1
    for number in range(many):
        drop(tmp_path / "in" / "strange" / f"{number}.jpg", f"hang {number}")
    with Running(settings, renderer, book) as running:
        wait_until(lambda: [task.stage for task in running.daemon.snapshot().active].count("finishing") >= pool_size())
        drop(tmp_path / "in" / "good.jpg", "good")
        running.wait_for(done=1)
        release.set()
        running.wait_for(done=many + 1)


def _noted(state: Path) -> dict[str, str]:
    journal = Journal.open(state, read_only=True)
    try:
        return journal.noted_troubles()
    finally:
        journal.close()


def test_a_success_between_failures_keeps_a_plugin_in_use(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, max_attempts=1)
    book = book_with(plugin(tmp_path, "odd", ODD), strange={"postfilters": ["odd"]})
    folder = tmp_path / "in" / "strange"
    folder.mkdir()
    with Running(settings, _failing(b"sky"), book) as running:
        for number in range(4):
            drop(folder / f"{number}.jpg", f"sky {number}")
        running.wait_for(failed=4)
        drop(folder / "good.jpg", "good")
        running.wait_for(done=1)
        for number in range(4, 8):
            drop(folder / f"{number}.jpg", f"sky {number}")
        running.wait_for(failed=8)
        assert dict(running.daemon.snapshot().disabled) == {}


def test_dreams_of_the_command_line_are_told_of_and_no_sink_is_asked(tmp_path: Path) -> None:
    told = tmp_path / "told"
    plugin(tmp_path, "listener", LISTENER, told=str(told))
    plugin(tmp_path, "shelf", SHELF, called=str(tmp_path / "called"))
    (tmp_path / "in").mkdir()
    (tmp_path / "config.toml").write_text(
        '[[folders]]\ninput = "in"\noutput = "out"\nsinks = ["shelf"]\n[plugins]\nfolder = "plugins"\n'
        '[daemon]\nstate = "state"\n'
    )
    good, bad = photo(tmp_path / "a.jpg"), tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    result = deepdream("dream", "--set", "model.name=dreamnet", *QUICK, "--config", "config.toml", good, bad)
    assert result.exit_code != 0
    heard = events(told)
    assert sorted(str(event["event"]) for event in heard) == ["JobFailed", "JobFinished"]
    finished = next(event for event in heard if event["event"] == "JobFinished")
    assert (finished["path"], finished["output"], finished["job"]) == (str(good), result.stdout.strip(), 0)
    assert not (tmp_path / "called").exists()


SHELF = """
    from pathlib import Path
    from deepdream_plugins.records import SinkSpec

    def deliver(delivery):
        Path({called!r}).write_text("called")
        raise ConnectionRefusedError(111, "Connection refused")

    @hookimpl
    def deepdream_sinks():
        yield SinkSpec(name="shelf", help="A shelf.", deliver=deliver)
"""
