"""``/healthz``, ``/readyz`` and ``/metrics``: what they say, to whom, and that they are off until configured."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deepdream_daemon.configuration.config import load_settings, write_template
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.journal.metering import JournalMeter
from deepdream_daemon.monitoring import sampler
from deepdream_daemon.monitoring.facts import Facts
from deepdream_daemon.monitoring.heartbeats import Heartbeats
from deepdream_daemon.monitoring.monitoring import Monitoring
from deepdream_daemon.monitoring.sampler import Sampler
from deepdream_daemon.monitoring.server import MOST_AT_ONCE
from deepdream_daemon.running.snapshot import Snapshot
from deepdream_engine.errors import BadOption
from tests.daemon.cli import deepdream, nowhere
from tests.daemon.stub import Running, drop, make_settings, wait_until
from tests.measuring import best_within

__all__ = ["nowhere"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ask(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def ready(port: int) -> tuple[int, list[str]]:
    status, body = ask(port, "/readyz")
    told = json.loads(body)
    assert told["ready"] == (status == 200)
    return status, told["reasons"]


def metrics(port: int) -> dict[str, float]:
    """Return the samples by name and labels, as ``name{label="value"}``."""
    status, body = ask(port, "/metrics")
    assert status == 200
    lines = (line for line in body.decode().splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


class Watched:
    """Monitoring of no daemon: the journal, the snapshot and the beats are the test's."""

    def __init__(self, root: Path) -> None:
        self.state = root / "state"
        self.journal = Journal.open(self.state)
        self.later = 0.0
        self.beats = Heartbeats(lambda: time.monotonic() + self.later)
        self.port = free_port()
        self.worker_trouble: str | None = None
        self.snapshot = Snapshot(counts={})
        self.monitoring = Monitoring(self.state, self.beats)
        self.monitoring.watch(lambda: self.snapshot, lambda: self.worker_trouble)


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.setattr(sampler, "SAMPLE_SECONDS", 0.05)
    made = Watched(tmp_path)
    with made.monitoring:
        made.monitoring.serve(made.port)
        wait_until(lambda: made.monitoring.facts.reading is not None)
        yield made
    made.journal.close()


def test_nothing_is_served_and_no_thread_runs_until_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    before = threading.active_count()
    with Monitoring(tmp_path, Heartbeats()) as monitoring:
        monitoring.watch(lambda: Snapshot(counts={}))
        monitoring.serve(make_settings(tmp_path).monitoring.port)
        for step in (monitoring.ready, monitoring.reloading, monitoring.ready, monitoring.stopping):
            step()
        monitoring.extend(5)
        assert threading.active_count() == before
    code = "import sys, deepdream_daemon.monitoring.monitoring; sys.exit('prometheus_client' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}, check=False)
    assert done.returncode == 0


def test_it_is_ready_once_the_daemon_says_so_and_its_journal_and_worker_are_well(watched: Watched) -> None:
    assert ready(watched.port) == (503, ["it is starting"])
    watched.monitoring.ready()
    assert ready(watched.port) == (200, [])
    watched.monitoring.reloading()
    assert ready(watched.port) == (200, []), "the former configuration is in force meanwhile"
    watched.worker_trouble = "the worker process does not start: it was killed by SIGSEGV"
    assert ready(watched.port) == (503, ["the worker does not start"])
    watched.worker_trouble = None
    watched.journal.ask_drain()
    wait_until(lambda: ready(watched.port) == (503, ["it is draining"]))
    watched.journal.resume()
    wait_until(lambda: ready(watched.port)[0] == 200)
    watched.monitoring.stopping()
    assert ready(watched.port) == (503, ["it is stopping"])
    assert ask(watched.port, "/healthz")[0] == 200


def test_a_part_that_hangs_makes_it_unhealthy_and_unready(watched: Watched) -> None:
    watched.monitoring.ready()
    beat = watched.beats.lane("intake", limit_seconds=30)
    status, body = ask(watched.port, "/healthz")
    assert (status, json.loads(body)["healthy"]) == (200, True)
    watched.later = 31.0
    status, body = ask(watched.port, "/healthz")
    assert status == 503
    assert list(json.loads(body)["hanging"]) == ["intake"]
    assert ready(watched.port)[1] == ["intake has not been seen for 31 s"]
    beat()
    assert ask(watched.port, "/healthz")[0] == 200


def test_a_journal_that_somebody_has_locked_is_noticed_and_waited_for_by_nobody(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deepdream_daemon.journal.metering.HELD_SECONDS", 0.3)
    watched.monitoring.ready()
    other = sqlite3.connect(watched.state / "journal.sqlite3", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    wait_until(lambda: ready(watched.port)[0] == 503)
    assert re.match(r"the journal cannot be written to: it has been locked for \d+ s", ready(watched.port)[1][0])
    assert metrics(watched.port)["deepdream_journal_writable"] == 0
    other.execute("ROLLBACK")
    other.close()
    wait_until(lambda: ready(watched.port)[0] == 200)


def test_a_journal_on_a_full_disk_is_noticed(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    watched.monitoring.ready()
    monkeypatch.setattr("deepdream_daemon.journal.metering.FULL_BYTES", 1 << 62)
    wait_until(lambda: ready(watched.port) == (503, ["the journal cannot be written to: its disk is full"]))


def test_a_journal_that_cannot_be_read_is_noticed_and_is_no_sign_of_death(watched: Watched) -> None:
    watched.monitoring.ready()
    watched.journal.close()
    for path in watched.state.glob("journal.sqlite3*"):
        path.unlink()
    (watched.state / "journal.sqlite3").write_bytes(b"no journal" * 1000)
    watched.monitoring.facts._meter = None  # what is open stays readable
    wait_until(lambda: ready(watched.port) == (503, ["the journal cannot be read"]))
    assert ask(watched.port, "/healthz")[0] == 200


def test_a_daemon_that_hangs_while_it_looks_at_its_folders_is_answered_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampler, "STOP_SECONDS", 0.05)
    hangs = threading.Event()

    def snapshot() -> Snapshot:
        hangs.wait(60)
        return Snapshot(counts={})

    with Monitoring(tmp_path / "state", Heartbeats()) as monitoring:
        monitoring.watch(snapshot)
        port = free_port()
        monitoring.serve(port)

        def seconds(_: int) -> float:
            begun = time.monotonic()
            assert ask(port, "/healthz")[0] == 200
            assert "deepdream_ready" in metrics(port)
            return time.monotonic() - begun

        best_within(1.0, seconds)
    hangs.set()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "FOO"])
def test_only_get_and_head_are_answered(watched: Watched, method: str) -> None:
    assert ask(watched.port, "/metrics", method)[0] == 405


def test_head_is_get_without_a_body(watched: Watched) -> None:
    for path, expected in (("/healthz", 200), ("/readyz", 503), ("/metrics", 200), ("/", 404)):
        assert ask(watched.port, path, "HEAD") == (expected, b"")
        assert ask(watched.port, path)[0] == expected
    assert ask(watched.port, "/metrics?x=1")[0] == 200
    assert b"/healthz" in ask(watched.port, "/etc/passwd")[1]


def test_a_name_that_was_made_to_point_here_is_turned_away(watched: Watched) -> None:
    def status(request: bytes) -> int:
        with socket.create_connection(("127.0.0.1", watched.port), timeout=5) as connection:
            connection.sendall(request)
            return int(connection.makefile("rb").readline().split()[1])

    get = b"GET /metrics HTTP/1.1\r\n"
    port = str(watched.port).encode()
    for host in (b"127.0.0.1:" + port, b"localhost:" + port, b"LOCALHOST", b"127.0.0.1"):
        assert status(get + b"Host: " + host + b"\r\n\r\n") == 200, host
    for host in (b"evil.example:" + port, b"127.0.0.1:1", b"127.0.0.1.evil.example", b"", b"[::1]:" + port, b"0.0.0.0"):
        assert status(get + b"Host: " + host + b"\r\n\r\n") == 421, host
    assert status(get + b"Host: localhost\r\nHost: evil.example\r\n\r\n") == 421
    assert status(get + b"\r\n") == 421
    assert status(b"GET /metrics HTTP/1.0\r\n\r\n") == 200
    assert status(b"GET http://evil.example/metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n") == 421
    assert status(b"GET " + b"x" * 70_000 + b" HTTP/1.1\r\n") == 414


def test_it_listens_on_the_loopback_address_alone(watched: Watched) -> None:
    for path in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        if path.exists():
            listening = [line.split()[1] for line in path.read_text().splitlines()[1:] if line.split()[3] == "0A"]
            mine = [address for address in listening if int(address.split(":")[1], 16) == watched.port]
            assert mine in ([], [f"0100007F:{watched.port:04X}"])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
            outside = probe.getsockname()[0]
        except OSError:
            return
    if outside != "127.0.0.1":
        with pytest.raises(OSError):  # noqa: PT011  (refused, or filtered)
            socket.create_connection((outside, watched.port), timeout=1)


@pytest.mark.parametrize("letter", [b"", b"G"])
def test_those_that_ask_and_never_finish_keep_nobody_out_for_long(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, letter: bytes
) -> None:
    monkeypatch.setattr("deepdream_daemon.monitoring.server.REQUEST_SECONDS", 0.3)
    idlers = [socket.create_connection(("127.0.0.1", watched.port)) for _ in range(3 * MOST_AT_ONCE)]
    try:

        def answered() -> bool:
            for idler in idlers:
                with contextlib.suppress(OSError):  # it was turned away
                    idler.sendall(letter)
            try:
                return ask(watched.port, "/healthz")[0] == 200
            except (OSError, http.client.HTTPException):
                return False

        wait_until(answered, 5)
        assert sum("process_request" in thread.name for thread in threading.enumerate()) <= MOST_AT_ONCE
    finally:
        for idler in idlers:
            idler.close()


def test_a_port_that_is_taken_is_named_and_the_one_in_use_stays(watched: Watched) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        with pytest.raises(BadOption, match=rf"^config.toml: the port {taken} is taken by another program\. Choose"):
            watched.monitoring.serve(taken, "config.toml")
        assert ask(watched.port, "/healthz")[0] == 200
    watched.monitoring.serve(taken)
    assert ask(taken, "/healthz")[0] == 200
    with pytest.raises(OSError):  # noqa: PT011  (nobody is there)
        ask(watched.port, "/healthz")
    watched.monitoring.serve(0)
    with pytest.raises(OSError):  # noqa: PT011
        ask(taken, "/healthz")
    watched.monitoring.serve(watched.port)


def test_the_metrics_say_what_the_daemon_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler, "SAMPLE_SECONDS", 0.05)
    settings = make_settings(tmp_path)
    port = free_port()
    with Running(settings) as running, Monitoring(settings.state, running.daemon.beats) as monitoring:
        monitoring.watch(running.daemon.snapshot)
        monitoring.serve(port)
        monitoring.ready()
        wait_until(lambda: monitoring.facts.reading is not None)
        for number in range(3):
            drop(tmp_path / "in" / f"{number}.jpg", f"good {number}")
        drop(tmp_path / "in" / "bad.jpg", "bad")
        running.wait_for(done=3, failed=1)
        wait_until(lambda: metrics(port).get('deepdream_dreams_total{recipe="classic"}') == 3)
        told = metrics(port)
        assert told['deepdream_failures_total{recipe="classic"}'] == 1
        assert told['deepdream_dream_seconds_count{recipe="classic"}'] == 3
        assert told['deepdream_dream_seconds_bucket{le="+Inf",recipe="classic"}'] == 3
        assert told['deepdream_jobs{state="done"}'] == 3
        assert told['deepdream_jobs{state="failed"}'] == 1
        assert told["deepdream_queue_age_seconds"] == 0
        assert told["deepdream_ready"] == 1
        for name in ("settling_files", "worker_restarts_total", "watcher_restarts_total", "found_by_rescan_total",
                     "undisposed", "paused", "draining", "degraded", "reload_failed", "reloads_total"):  # fmt: skip
            assert f"deepdream_{name}" in told, name
        assert told[f'deepdream_free_bytes{{folder="{tmp_path / "out"}"}}'] > 0
        parts = {f'deepdream_beat_age_seconds{{part="{part}"}}' for part in ("intake", "pipeline", "journal")}
        assert parts <= told.keys()
        status, body = ask(port, "/metrics", Accept="application/openmetrics-text; version=1.0.0")
        assert (status, body.endswith(b"# EOF\n")) == (200, True)
        journal = Journal.open(settings.state)
        journal.pause()
        journal.close()
        drop(tmp_path / "in" / "late.jpg", "late")
        wait_until(lambda: metrics(port)["deepdream_queue_age_seconds"] > 0)
        told = metrics(port)
        assert (told["deepdream_paused"], told['deepdream_jobs{state="queued"}']) == (1, 1)


def test_a_copy_counts_as_a_copy_and_not_as_a_dream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler, "SAMPLE_SECONDS", 0.05)
    folder = replace(make_settings(tmp_path).folders[0], copy_through=True)
    settings = make_settings(tmp_path, folders=(folder,), max_attempts=1)
    port = free_port()
    with Running(settings) as running, Monitoring(settings.state, running.daemon.beats) as monitoring:
        monitoring.watch(running.daemon.snapshot)
        monitoring.serve(port)
        monitoring.ready()
        wait_until(lambda: monitoring.facts.reading is not None)
        assert metrics(port)["deepdream_copied_total"] == 0
        (tmp_path / "in" / "notes.txt").write_text("no picture")
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "out" / "linked").symlink_to(tmp_path / "elsewhere")
        (tmp_path / "in" / "linked").mkdir()
        (tmp_path / "in" / "linked" / "list.txt").write_text("its copy would lead out of the output")
        drop(tmp_path / "in" / "photo.jpg", "sky")
        running.wait_for(done=2, failed=1)
        wait_until(lambda: metrics(port)["deepdream_copied_total"] == 1)
        wait_until(lambda: metrics(port)["deepdream_copy_failures_total"] == 1)
        wait_until(lambda: metrics(port).get('deepdream_dreams_total{recipe="classic"}') == 1)
        assert not [name for name in metrics(port) if "copied)" in name]


def test_the_counters_go_on_when_the_port_is_another(watched: Watched) -> None:
    from deepdream_daemon.journal.metering import Ended

    watched.monitoring.facts.on_ended([Ended(state="done", recipe="deep", seconds=None)])
    other = free_port()
    watched.monitoring.serve(other)
    assert metrics(other)['deepdream_dreams_total{recipe="deep"}'] == 1


def test_a_meter_tells_each_end_once_and_after_the_clock_was_set_back_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal.open(tmp_path)
    now = [1000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])

    def end(state: str) -> None:
        now[0] += 1
        with journal._transaction() as connection:
            connection.execute(
                "INSERT INTO jobs (key, source, folder, sha256, recipe, seed, state, created, updated, seconds)"
                " VALUES (?, x'2f', x'2f', '', 'classic', 0, ?, 0, ?, 2.5)",
                (f"{state}{now[0]}", state, now[0]),
            )

    assert JournalMeter.beside(tmp_path / "nothing", 0) is None
    end("done")
    meter = JournalMeter.beside(tmp_path, 1001.0)
    assert meter is not None
    assert meter.read().ended == ()
    for state in ("done", "failed", "vanished"):
        end(state)
    assert [ended.state for ended in meter.read().ended] == ["done", "failed", "vanished"]
    assert meter.read().ended == ()
    now[0] = 500.0
    assert meter.read().ended == ()
    end("done")
    assert [(ended.state, ended.seconds) for ended in meter.read().ended] == [("done", 2.5)]
    assert meter.read().ended == ()
    meter.close()
    journal.close()


def test_a_sampler_keeps_the_last_value_and_says_what_is_wrong() -> None:
    values: list[int | Exception] = [1, 2, OSError(5, "Input/output error")]

    def take() -> int:
        value = values.pop(0) if len(values) > 1 else values[0]
        if isinstance(value, Exception):
            raise value
        return value

    made = Sampler("test", take, 0.01)
    assert (made.latest, made.age_seconds) == (None, None)
    made.start()
    wait_until(lambda: made.error is not None)
    assert (made.latest, made.error) == (2, "Input/output error")
    values[0] = 3
    wait_until(lambda: made.latest == 3)
    assert made.error is None
    made.stop()


def test_nobody_waits_at_the_end_for_a_look_at_folders_that_hang(tmp_path: Path) -> None:
    """The time that the end may take has been waited by then."""
    hangs, goes_on, has_ended = (threading.Event() for _ in range(3))

    def hang() -> Snapshot:
        hangs.set()
        goes_on.wait(60)
        has_ended.set()
        return Snapshot(counts={})

    def seconds(_: int) -> float:
        hangs.clear()
        facts = Facts(tmp_path, Heartbeats())
        facts.start(hang)
        assert hangs.wait(60)
        begun = time.monotonic()
        facts.stop()
        took = time.monotonic() - begun
        assert not has_ended.is_set()
        return took

    best_within(0.5, seconds)
    goes_on.set()


def test_health_is_an_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_template(tmp_path)
    config = tmp_path / "config.toml"
    port = free_port()
    asleep = deepdream("health", "--config", config)
    assert (asleep.exit_code, asleep.stdout.startswith("not running")) == (1, True)
    settings = make_settings(tmp_path, state=load_settings(config).state)
    with Running(settings) as running, Monitoring(settings.state, running.daemon.beats) as monitoring:
        wait_until(lambda: running.counts()["queued"] == 0 and running.daemon.beats.ages() != {})
        wait_until(lambda: deepdream("health", "--config", config).exit_code == 0)
        assert deepdream("health", "--ready", "--config", config).exit_code == 1, "nobody can be asked"
        config.write_text(config.read_text().replace("port = 0", f"port = {port}"))
        unreachable = deepdream("health", "--config", config)
        assert (unreachable.exit_code, "no answer at" in unreachable.stdout) == (1, True)
        monitoring.watch(running.daemon.snapshot)
        monitoring.serve(load_settings(config).monitoring.port)
        assert deepdream("health", "--config", config).stdout == "healthy\n"
        starting = deepdream("health", "--ready", "--config", config)
        assert (starting.exit_code, starting.stdout) == (1, "it is starting\n")
        monitoring.ready()
        assert deepdream("health", "--ready", "--config", config).stdout == "ready\n"
