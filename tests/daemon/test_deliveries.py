"""Sinks: every published dream arrives at least once, whatever a sink, the disk or a kill does; others go on."""

from __future__ import annotations

import base64
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from deepdream_daemon.configuration.sinks import FolderSink
from deepdream_daemon.delivery import calling, courier
from deepdream_daemon.delivery.courier import Courier, pause_seconds
from deepdream_daemon.delivery.couriers import Couriers
from deepdream_daemon.delivery.routes import Route, names_by_folder, routes_of
from deepdream_daemon.failpoints import DELIVERY_POINTS, VARIABLE
from deepdream_daemon.journal.claims import Announced
from deepdream_daemon.journal.intake import NewJob, Taken
from deepdream_daemon.journal.journal import Journal
from deepdream_engine.errors import BadPicture, NotDelivered
from deepdream_plugins.events import Delivery
from deepdream_plugins.hosting.health import Health
from deepdream_plugins.records import SinkSpec
from deepdream_plugins.resolving.configured import Configured
from tests.daemon.stub import (
    Running,
    command,
    diary,
    drop,
    environment,
    jobs_of,
    make_settings,
    outputs,
    sinks_for,
    wait_until,
)


class Sink:
    """A sink that does as it is told: ``trouble`` is called for each delivery before it arrives."""

    def __init__(self, name: str = "shelf", limit_seconds: float = 5.0) -> None:
        self.arrived: list[Delivery] = []
        self.tried: list[float] = []
        self.trouble: Callable[[Delivery], object] = lambda delivery: None
        self.spec = SinkSpec(name=name, help="A shelf.", deliver=self._deliver, limit_seconds=limit_seconds)

    def _deliver(self, delivery: Delivery) -> None:
        self.tried.append(time.monotonic())
        self.trouble(delivery)
        self.arrived.append(delivery)


def _refuse(delivery: Delivery) -> None:
    raise ConnectionRefusedError(111, "Connection refused")


class Post:
    """A journal and a courier, driven by hand, and as many dreams that are done."""

    def __init__(self, root: Path, sink: Sink, dreams: int = 1) -> None:
        self.settings = make_settings(root)
        (self.route,) = routes_of(self.settings, sinks_for(self.settings, sink.spec))
        self.journal = Journal.open(self.settings.state)
        self.journal.sinks = names_by_folder((self.route,))
        self.stop = threading.Event()
        self.health = Health()
        self.courier = Courier(self.route, self.journal, self.health, self.stop)
        for number in range(dreams):
            self.dream(number)

    def dream(self, number: int) -> None:
        folder = self.route.folder
        job = NewJob(key=f"key {number}", folder=folder, sha256="0", recipe="classic", seed=7)
        self.journal.record([Taken(path=folder / f"{number}.jpg", fingerprint="1", job=job)])
        (claim,) = self.journal.claim(1, [folder])
        target = self.route.output_folder / f"{number}.classic.jpg"
        target.write_text("DREAM")
        self.journal.announce(Announced(job=claim.id, temp=target, target=target, sha256=str(number), inode=number))
        self.journal.finish(claim.id, 1.0)

    def run(self, turns: int = 1) -> None:
        for _ in range(turns):
            self.courier._turn()

    def states(self) -> list[str]:
        jobs = [self.journal.of_path(path)[0] for path in sorted(self._sources())]
        return [delivery.state for job in jobs for delivery in job.deliveries]

    def due(self) -> list[float]:
        jobs = [self.journal.of_path(path)[0] for path in sorted(self._sources())]
        return [delivery.due - time.time() for job in jobs for delivery in job.deliveries]

    def _sources(self) -> set[Path]:
        return {job.source for job in self.journal.recent("done", 100)}


def test_a_dream_is_on_its_way_from_the_moment_that_it_is_done_and_then_arrives(tmp_path: Path) -> None:
    sink = Sink()
    post = Post(tmp_path, sink)
    assert (post.states(), post.journal.undelivered().pending) == (["pending"], 1)
    post.run()
    (delivery,) = sink.arrived
    assert post.states() == ["delivered"]
    assert post.journal.undelivered().pending == 0
    assert (delivery.output, delivery.output_folder) == (str(tmp_path / "out/0.classic.jpg"), str(tmp_path / "out"))
    assert (delivery.source, delivery.folder) == (str(tmp_path / "in/0.jpg"), str(tmp_path / "in"))
    assert (delivery.recipe, delivery.seed, delivery.attempt) == ("classic", 7, 1)
    assert abs(delivery.finished - time.time()) < 5
    state = Path(delivery.state)
    assert state.parent == post.settings.state / "sinks"
    assert state.name.startswith("shelf-")
    assert state.stat().st_mode & 0o777 == 0o700


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock stands still."""
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)


@pytest.mark.usefixtures("frozen")
def test_what_a_sink_did_not_take_is_tried_again_later_and_later_up_to_twenty_times(tmp_path: Path) -> None:
    sink = Sink()
    sink.trouble = _refuse
    post = Post(tmp_path, sink)
    pauses = []
    for _ in range(courier.MOST_ATTEMPTS):
        assert post.states() == ["pending"]
        post.journal.mend_delivery_clock(0.5)
        post.courier._rest_until = 0.0
        post.run()
        pauses.append(post.due()[0])
    assert post.states() == ["given up"]
    assert len(sink.tried) == courier.MOST_ATTEMPTS
    assert 0.5 < pauses[0] < 1.5
    assert all(0.9 < now / (2**number) < 1.3 for number, now in enumerate(pauses[:8]))
    assert 290 < pauses[9] < 301
    assert 3590 < pauses[12] < 3601
    assert sum(map(pause_seconds, range(courier.MOST_ATTEMPTS - 1))) > 8 * 3600
    (job,) = post.journal.of_path(tmp_path / "in/0.jpg")
    assert "Connection refused" in (job.deliveries[0].error or "")
    assert "given up" in job.history[-1][1]
    post.run()
    assert len(sink.tried) == courier.MOST_ATTEMPTS


def test_one_dream_that_a_sink_does_not_like_keeps_no_other_from_it(tmp_path: Path) -> None:
    sink = Sink()
    sink.trouble = lambda delivery: _refuse(delivery) if "0.classic" in delivery.output else None
    post = Post(tmp_path, sink, dreams=4)
    post.run(4)
    assert post.states() == ["pending", "delivered", "delivered", "delivered"]


def test_a_sink_that_is_away_is_asked_rarely_and_gets_everything_when_it_is_back(tmp_path: Path) -> None:
    sink = Sink()
    sink.trouble = _refuse
    post = Post(tmp_path, sink, dreams=30)
    post.run(40)
    assert len(sink.tried) == 2  # from then on it is left alone for a while, and no dream uses up its attempts
    while len(sink.tried) < courier.OUTAGE:
        post.courier._rest_until = 0.0
        post.run()
    sink.trouble = lambda delivery: None
    post.courier._rest_until = 0.0
    post.run(40)
    assert set(post.states()) == {"delivered"}
    assert len({delivery.key for delivery in sink.arrived}) == 30


def test_a_call_that_hangs_is_left_behind_and_the_next_dream_is_brought(tmp_path: Path) -> None:
    release = threading.Event()
    sink = Sink(limit_seconds=1.5)
    sink.trouble = lambda delivery: release.wait(60) if "0.classic" in delivery.output else None
    post = Post(tmp_path, sink, dreams=2)
    post.run(2)
    assert post.states() == ["pending", "delivered"]
    (job,) = post.journal.of_path(tmp_path / "in/0.jpg")
    assert job.deliveries[0].error == (
        "deliver of 'shelf' (plugin 'tests') did not end within its limit_seconds = 1.5; it may still be running; make "
        "it quicker or raise the limit"
    )
    release.set()


def test_a_sink_whose_calls_all_hang_gets_no_more_of_them_until_one_ends(tmp_path: Path) -> None:
    release = threading.Event()
    sink = Sink(limit_seconds=0.02)
    sink.trouble = lambda delivery: release.wait(60)
    post = Post(tmp_path, sink, dreams=10)
    for _ in range(10):
        post.courier._rest_until = 0.0
        post.run()
    assert len(sink.tried) == calling.MOST_LEFT_BEHIND
    assert "hang" in post.courier.trouble
    release.set()
    wait_until(lambda: len(sink.arrived) == calling.MOST_LEFT_BEHIND)
    post.courier._rest_until = 0.0
    post.run()
    assert len(sink.tried) == calling.MOST_LEFT_BEHIND + 1


def test_while_the_output_folder_is_away_no_attempt_is_used_up(tmp_path: Path) -> None:
    sink = Sink()
    post = Post(tmp_path, sink)
    (tmp_path / "out").rename(tmp_path / "unmounted")
    post.run(3)
    assert "is away" in post.courier.trouble
    (tmp_path / "unmounted").rename(tmp_path / "out")
    post.run()
    assert [delivery.attempt for delivery in sink.arrived] == [1]


def test_a_dream_whose_disk_is_away_though_its_mount_point_is_there_is_brought_when_it_is_back(tmp_path: Path) -> None:
    sink = Sink()
    post = Post(tmp_path, sink, dreams=2)
    dream = tmp_path / "out/0.classic.jpg"
    dream.rename(tmp_path / "away")
    post.run(2)
    assert (post.states(), post.courier.trouble) == (["pending", "delivered"], "")
    (tmp_path / "away").rename(dream)
    post.journal.mend_delivery_clock(0.5)
    post.run()
    assert post.states() == ["delivered", "delivered"]


def test_a_dream_that_stays_away_is_given_up_in_the_end(tmp_path: Path) -> None:
    sink = Sink()
    post = Post(tmp_path, sink)
    (tmp_path / "out/0.classic.jpg").unlink()
    for _ in range(courier.MOST_ATTEMPTS):
        post.journal.mend_delivery_clock(0.5)
        post.run()
    assert (post.states(), sink.tried) == (["given up"], [])
    (job,) = post.journal.of_path(tmp_path / "in/0.jpg")
    assert "not where it was published" in (job.deliveries[0].error or "")


def test_what_no_later_try_makes_up_for_is_given_up_at_once(tmp_path: Path) -> None:
    sink = Sink()

    def spoilt(delivery: Delivery) -> None:
        raise BadPicture("The source is no picture any more.")

    sink.trouble = spoilt
    post = Post(tmp_path, sink)
    post.run()
    assert (post.states(), len(sink.tried)) == (["given up"], 1)


def test_the_sinks_of_a_disabled_plugin_wait_with_all_their_attempts(tmp_path: Path) -> None:
    sink = Sink()
    post = Post(tmp_path, sink)
    for _ in range(5):
        post.health.failed("tests", "its filter raises.")
    post.run(3)
    assert (sink.tried, post.states()) == ([], ["pending"])
    assert "its filter raises" in post.courier.trouble


def test_a_sink_that_is_wrong_again_and_again_disables_its_plugin(tmp_path: Path) -> None:
    sink = Sink()
    sink.trouble = lambda delivery: {}["key"]
    post = Post(tmp_path, sink, dreams=8)
    _ask_often(post, 10)
    assert len(sink.tried) == 5
    assert "KeyError" in post.health.disabled["tests"]
    assert "KeyError" in post.courier.trouble
    assert set(post.states()) == {"pending"}


def test_a_sink_that_takes_too_long_again_and_again_disables_its_plugin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calling, "MOST_LEFT_BEHIND", 10)
    release, sink = threading.Event(), Sink(limit_seconds=0.02)
    sink.trouble = lambda delivery: release.wait(60)
    post = Post(tmp_path, sink, dreams=8)
    _ask_often(post, 10)
    release.set()
    assert len(sink.tried) == 5
    assert "limit_seconds = 0.02" in post.health.disabled["tests"]


@pytest.mark.parametrize("error", [NotDelivered("The folder is not there."), ConnectionRefusedError(111, "Refused")])
def test_a_sink_whose_place_is_away_is_not_its_plugins_fault(error: Exception, tmp_path: Path) -> None:
    def away(delivery: Delivery) -> None:
        raise error

    sink = Sink()
    sink.trouble = away
    post = Post(tmp_path, sink, dreams=8)
    _ask_often(post, 8)
    assert len(sink.tried) == 8
    assert post.health.disabled == {}


def test_a_delivery_that_arrives_makes_up_for_failures_before_it(tmp_path: Path) -> None:
    sink = Sink()
    sink.trouble = lambda delivery: {}["key"] if len(sink.tried) % 5 else None
    post = Post(tmp_path, sink, dreams=12)
    _ask_often(post, 12)
    assert len(sink.tried) == 12
    assert post.health.disabled == {}


def _ask_often(post: Post, times: int) -> None:
    for _ in range(times):
        post.courier._rest_until = 0.0
        post.run()


def test_what_variables_hold_is_told_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = "s3cr3t/token+with~more"
    monkeypatch.setenv("HOOK_TOKEN", secret)
    spellings = [secret, quote(secret), quote(secret, safe=""), base64.b64encode(secret.encode()).decode()]

    def deliver(delivery: Delivery, url: str, headers: tuple[str, ...]) -> None:
        raise ValueError(f"cannot POST to {' or '.join(spellings)}")

    spec = SinkSpec(name="hook", help="A hook.", deliver=deliver)
    options = {"url": "https://example.org/${HOOK_TOKEN}", "headers": ("X-Other: ${NOT_SET_HERE}",)}
    configured = Configured(spec=spec, owner="tests", options=options)
    settings = make_settings(tmp_path)
    sinks = {tmp_path / "in": (FolderSink(name="hook", written="", sink=configured),)}
    drop(tmp_path / "in" / "a.jpg", "sky")
    with Running(settings, sinks=sinks) as running:
        wait_until(lambda: "cannot POST" in (running.daemon.snapshot().degraded or ""))
        told = str(running.daemon.snapshot().degraded)
    (job,) = jobs_of(tmp_path, tmp_path / "in" / "a.jpg")
    told += f"{job.deliveries} {job.history} {capsys.readouterr()}"
    assert "${HOOK_TOKEN}" in told
    assert not any(spelling in told for spelling in spellings)


@pytest.mark.usefixtures("frozen")
def test_what_is_logged_of_the_next_try_is_true_also_while_the_sink_pauses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sink = Sink()
    sink.trouble = _refuse
    post = Post(tmp_path, sink, dreams=8)
    for _ in range(6):
        post.courier._rest_until = 0.0
        post.run()
    waits = [float(line.split("retry_in=")[1].split()[0]) for line in capsys.readouterr().out.splitlines()]
    assert 1.0 <= waits[0] < 1.3
    assert 16.0 <= waits[-1] < 20.1  # its own back-off is one second, that of the sink sixteen
    assert abs(max(post.due()) - waits[-1]) < 1
    post.courier._tell_pause()
    assert abs(post.courier.pause.until - time.time() - waits[-1]) < 1
    before = post.courier.pause
    post.courier._tell_pause()
    assert post.courier.pause is before


def test_an_attempt_that_ends_the_process_counts_and_so_ends_some_day(tmp_path: Path) -> None:
    sink = Sink()
    post = Post(tmp_path, sink)
    for _ in range(courier.MOST_ATTEMPTS):
        assert post.journal.take_parcel(post.route.folder, "shelf", pause_seconds) is not None
        assert post.journal.take_parcel(post.route.folder, "shelf", pause_seconds) is None  # it is put off already
        post.journal.mend_delivery_clock(0.5)
    post.run()
    assert (post.states(), sink.tried) == (["given up"], [])


def test_what_is_for_a_sink_that_is_not_configured_any_more_is_dropped(tmp_path: Path) -> None:
    post = Post(tmp_path, Sink(), dreams=2)
    kept = Sink("kept")
    couriers = Couriers(
        routes_of(post.settings, sinks_for(post.settings, kept.spec)), post.journal, Health(), post.stop
    )
    post.stop.set()
    couriers.take_over()
    assert post.journal.undelivered().pending == 0
    (job,) = post.journal.of_path(tmp_path / "in/0.jpg")
    assert job.deliveries == ()
    assert "does not name it any more" in job.history[-1][1]


def test_two_sinks_of_one_name_are_told_apart_by_their_order(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    first, second = routes_of(settings, sinks_for(settings, Sink().spec, Sink().spec))
    assert (first.name, second.name) == ("shelf", "shelf-2")
    assert first.state != second.state


def test_a_dream_that_is_made_again_is_brought_again_under_a_key_of_its_own(tmp_path: Path) -> None:
    settings, sink = make_settings(tmp_path), Sink()
    photo = drop(tmp_path / "in" / "a.jpg", "sky")
    with Running(settings, sinks=sinks_for(settings, sink.spec)):
        wait_until(lambda: len(sink.arrived) == 1)
        journal = Journal.open(settings.state)
        wait_until(lambda: journal.to_deliver_again(photo) == [])  # it arrives before that is noted
        assert journal.retry(photo) == 1
        journal.close()
        wait_until(lambda: len(sink.arrived) == 2)
    one, two = sink.arrived
    assert one.output != two.output
    assert one.key != two.key


def test_what_was_given_up_is_brought_again_when_somebody_asks_even_while_the_sink_rests(tmp_path: Path) -> None:
    sink = Sink()
    post = Post(tmp_path, sink)
    parcel = post.journal.take_parcel(post.route.folder, "shelf", pause_seconds)
    assert parcel is not None
    post.journal.give_up_delivery(parcel, "shelf", "it was away")
    assert post.journal.undelivered().given_up == 1
    source = tmp_path / "in/0.jpg"
    assert post.journal.deliver_again(post.journal.to_deliver_again(source)) == 1
    post.courier._rest_until = time.monotonic() + 100
    post.run()
    assert (post.states(), sink.arrived[0].attempt) == (["delivered"], 1)


def test_a_sink_that_hangs_delays_neither_the_dreams_nor_the_end_of_the_daemon(tmp_path: Path) -> None:
    settings, release = make_settings(tmp_path), threading.Event()
    hanging, other = Sink("hanging", limit_seconds=60), Sink("other")
    hanging.trouble = lambda delivery: release.wait(60)
    for number in range(3):
        drop(tmp_path / "in" / f"{number}.jpg", f"{number}")
    with Running(settings, sinks=sinks_for(settings, hanging.spec, other.spec)) as running:
        running.wait_for(done=3)
        wait_until(lambda: len(other.arrived) == 3)
        assert running.daemon.snapshot().undelivered is not None
        since = time.monotonic()
    assert time.monotonic() - since < 10
    release.set()
    states = {delivery.sink: delivery.state for delivery in jobs_of(tmp_path, tmp_path / "in" / "0.jpg")[0].deliveries}
    assert states == {"hanging": "pending", "other": "delivered"}


def test_a_dream_that_is_being_brought_while_the_configuration_changes_is_not_brought_twice(tmp_path: Path) -> None:
    comes, goes_on = threading.Event(), threading.Event()
    sink = Sink()

    def wait(_: Delivery) -> None:
        comes.set()
        assert goes_on.wait(60)

    sink.trouble = wait
    post = Post(tmp_path, sink, dreams=2)
    routes = routes_of(post.settings, sinks_for(post.settings, sink.spec))
    first = Couriers(routes, post.journal, Health(), post.stop)
    first.start()
    assert comes.wait(60)
    again = threading.Event()
    middle = Couriers(routes, post.journal, Health(), again)
    post.stop.set()
    middle.start(after=first)
    again.set()  # and once more, before that one has begun
    last_stop = threading.Event()
    last = Couriers(routes, post.journal, Health(), last_stop)
    last.start(after=middle)
    time.sleep(1.5)  # the journal would hand the dream out again after a second
    assert len(sink.tried) == 1
    goes_on.set()
    wait_until(lambda: len(sink.arrived) == 2)
    time.sleep(0.3)
    assert len(sink.tried) == 2
    last_stop.set()
    last.join(60)


def test_a_picture_that_a_sink_writes_into_the_output_folder_is_not_dreamt(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)

    def deliver(delivery: Delivery) -> None:
        drop(Path(delivery.output_folder) / "sheet.jpg", f"sheet of {delivery.output}")

    spec = SinkSpec(name="sheet", help="Writes a sheet.", deliver=deliver)
    drop(tmp_path / "in" / "a.jpg", "sky")
    with Running(settings, sinks=sinks_for(settings, spec)) as running:
        wait_until((tmp_path / "out" / "sheet.jpg").exists)
        time.sleep(1.2)  # two rescans
        assert sum(running.counts().values()) == 1
    assert [path.name for path in outputs(tmp_path / "out")] == ["a.classic.jpg", "sheet.jpg"]


def test_no_question_about_deliveries_looks_at_all_that_have_arrived(tmp_path: Path) -> None:
    post = Post(tmp_path, Sink(), dreams=3)
    asked: list[str] = []
    post.journal._connection.set_trace_callback(asked.append)
    post.run(3)
    post.journal.hasten_deliveries(post.route.folder, "shelf")
    post.journal.mend_delivery_clock(1.0)
    post.journal.delivery_troubles()
    post.journal.undelivered()
    post.journal.drop_unnamed_deliveries()
    post.journal.deliver_again(post.journal.to_deliver_again(tmp_path / "in/0.jpg"))
    post.journal.of_path(tmp_path / "in/0.jpg")
    post.journal._connection.set_trace_callback(None)
    about = {sql for sql in asked if sql.startswith(("SELECT", "UPDATE", "DELETE")) and "deliveries" in sql}
    assert len(about) > 6
    for sql in about:
        plan = [row["detail"] for row in post.journal._rows(f"EXPLAIN QUERY PLAN {sql}")]
        scans = [step for step in plan if step.startswith("SCAN") and "deliver" in step]
        assert all("USING" in step and "deliveries_due" in step for step in scans if "tally" not in step), (sql, plan)


@pytest.mark.parametrize("point", ["publish.directory_synced", "publish.done", *DELIVERY_POINTS])
def test_a_kill_in_the_middle_of_a_delivery_loses_none(tmp_path: Path, point: str) -> None:
    settings, written = make_settings(tmp_path), tmp_path / "diary"
    for number in range(4):
        drop(tmp_path / "in" / f"{number}.jpg", f"{number}")
    process = subprocess.run(
        command(tmp_path, diary=str(written)),
        env=environment(**{VARIABLE: f"{point}:2"}),
        stdout=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
    assert process.returncode == -signal.SIGKILL
    with Running(settings, sinks=sinks_for(settings, diary(written))) as running:
        running.wait_for(done=4)
        wait_until(lambda: running.daemon.snapshot().undelivered.pending == 0)  # type: ignore[union-attr]
    arrived = Counter(line.split()[0] for line in written.read_text().splitlines())
    assert arrived.keys() == {path.name for path in outputs(tmp_path / "out")}
    again = arrived.total() - len(arrived)
    assert again == 1 if point == "delivery.returned" else again <= 1  # what was on its way comes again


def test_a_route_says_which_sink_of_which_folder_it_is(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    (route,) = routes_of(settings, sinks_for(settings, Sink().spec))
    assert isinstance(route, Route)
    assert str(route) == f"the sink 'shelf' of '{tmp_path}/in'"
