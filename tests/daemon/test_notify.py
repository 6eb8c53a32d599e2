"""What the service manager hears: the protocol of sd_notify(3), over real datagram sockets."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from deepdream_daemon.configuration.config import write_template
from deepdream_daemon.monitoring.heartbeats import Heartbeats
from deepdream_daemon.monitoring.monitoring import Monitoring
from deepdream_daemon.monitoring.notify import Notifier
from deepdream_daemon.monitoring.supervisor import Supervisor
from deepdream_daemon.running.snapshot import Snapshot
from tests.daemon.cli import COMMAND, ENVIRONMENT
from tests.measuring import best_within


class Manager:
    """systemd's side: a datagram socket, and what came to it as ``{name: value}``, in order."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)

    def hear(self, seconds: float = 60.0) -> dict[str, str]:
        """Wait for the next datagram."""
        self._socket.settimeout(seconds)
        return dict(line.split("=", 1) for line in self._socket.recv(65536).decode().split("\n"))  # type: ignore[misc]

    def hear_until(self, name: str, seconds: float = 60.0) -> dict[str, str]:
        """Wait for the next datagram that has ``name``."""
        until = time.monotonic() + seconds
        while name not in (heard := self.hear(max(0.01, until - time.monotonic()))):
            pass
        return heard

    def hears_nothing(self, name: str, seconds: float) -> bool:
        """Tell whether no datagram has ``name`` for so long."""
        try:
            self.hear_until(name, seconds)
        except TimeoutError:
            return True
        return False

    def forget(self) -> None:
        """Skip what has come so far."""
        self._socket.settimeout(0.0)
        while True:
            try:
                self._socket.recv(65536)
            except BlockingIOError:
                return

    def close(self) -> None:
        self._socket.close()


@contextmanager
def manager_at(address: str) -> Iterator[Manager]:
    manager = Manager(address)
    try:
        yield manager
    finally:
        manager.close()


@pytest.fixture
def manager() -> Iterator[Manager]:
    """A manager at a short path, as the names of sockets may not be long."""
    with tempfile.TemporaryDirectory(prefix="dd", dir="/tmp") as folder, manager_at(f"{folder}/notify") as made:
        yield made


def notifier(manager: Manager, **more: str) -> Notifier:
    found = Notifier.from_environment({"NOTIFY_SOCKET": manager.address, **more})
    assert found is not None
    return found


def test_without_a_manager_there_is_no_notifier() -> None:
    assert Notifier.from_environment({}) is None
    assert Notifier.from_environment({"NOTIFY_SOCKET": ""}) is None
    assert Notifier.from_environment({"NOTIFY_SOCKET": "vsock:2:1234"}) is None


@pytest.mark.skipif(sys.platform != "linux", reason="abstract addresses are Linux's")
def test_an_abstract_address_is_reached() -> None:
    with manager_at(f"@deepdream-test-{os.getpid()}-{time.monotonic_ns()}") as manager:
        assert notifier(manager).send(READY=1)
        assert manager.hear() == {"READY": "1"}


def test_the_variables_are_for_this_process_alone(manager: Manager) -> None:
    environment = {
        "NOTIFY_SOCKET": manager.address,
        "WATCHDOG_USEC": "60000000",
        "WATCHDOG_PID": str(os.getpid()),
        "HOME": "/",
    }
    found = Notifier.from_environment(environment)
    assert found is not None
    assert found.watchdog_seconds == 60.0
    assert environment == {"HOME": "/"}


@pytest.mark.parametrize(
    "more", [{}, {"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "0"}]
)
def test_a_watchdog_that_is_not_asked_for_is_not_fed(manager: Manager, more: dict[str, str]) -> None:
    assert notifier(manager, **more).watchdog_seconds is None


def test_a_line_break_in_a_value_forges_no_variable(manager: Manager) -> None:
    assert notifier(manager).send(STATUS="one\nREADY=1\r\ntwo \udcff")
    assert manager.hear() == {"STATUS": "one READY=1 two \\udcff"}


def test_a_manager_that_is_gone_or_does_not_listen_holds_nobody_up(manager: Manager) -> None:
    talks = notifier(manager)
    begun = time.monotonic()
    while talks.send(STATUS="x" * 10_000):
        assert time.monotonic() - begun < 5
    assert time.monotonic() - begun < 5
    manager.close()
    assert not talks.send(READY=1)


def supervised(manager: Manager, is_alive: bool | threading.Event, **more: str) -> Supervisor:
    alive = is_alive.is_set if isinstance(is_alive, threading.Event) else lambda: bool(is_alive)
    return Supervisor(notifier(manager, **more), alive, lambda: "3 queued")


def test_each_step_is_told_as_the_protocol_says(manager: Manager) -> None:
    supervisor = supervised(manager, True)
    supervisor.extend(90)
    assert manager.hear() == {"EXTEND_TIMEOUT_USEC": "90000000"}
    supervisor.ready()
    assert manager.hear() == {"READY": "1", "STATUS": "3 queued"}
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    supervisor.reloading()
    heard = manager.hear()
    assert heard["RELOADING"] == "1"
    assert before <= int(heard["MONOTONIC_USEC"]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    supervisor.ready()
    assert manager.hear()["READY"] == "1"
    supervisor.stopping()
    assert manager.hear() == {"STOPPING": "1", "STATUS": "stopping"}
    supervisor.stop()


def test_the_watchdog_is_fed_several_times_in_its_limit_and_only_while_all_live(manager: Manager) -> None:
    alive = threading.Event()
    alive.set()
    supervisor = supervised(manager, alive, WATCHDOG_USEC="800000")
    supervisor.start()

    def seconds_of_three_pauses(_: int) -> float:
        times = []
        for _ in range(4):
            assert manager.hear_until("WATCHDOG")["WATCHDOG"] == "1"
            times.append(time.monotonic())
        return times[-1] - times[0]

    best_within(3 * 0.8 / 2, seconds_of_three_pauses)  # no more than half of the limit may pass between two

    def seconds_until_it_is_fed_again(_: int) -> float:
        alive.clear()
        manager.hears_nothing("WATCHDOG", 0.25)
        assert manager.hears_nothing("WATCHDOG", 0.8)
        alive.set()
        begun = time.monotonic()
        manager.hear_until("WATCHDOG")
        return time.monotonic() - begun

    best_within(1.0, seconds_until_it_is_fed_again)
    supervisor.stop()
    manager.forget()
    assert manager.hears_nothing("WATCHDOG", 0.5)


def test_the_status_is_told_when_it_has_changed(manager: Manager) -> None:
    status = ["none queued"]
    supervisor = Supervisor(notifier(manager, WATCHDOG_USEC="200000"), lambda: True, lambda: status[0])
    supervisor.start()
    assert manager.hear_until("STATUS")["STATUS"] == "none queued"
    assert manager.hears_nothing("STATUS", 0.3)
    status[0] = "1 queued"
    assert manager.hear_until("STATUS")["STATUS"] == "1 queued"
    supervisor.stop()


def test_a_daemon_whose_loop_hangs_is_given_up_on_and_one_that_ends_is_not(tmp_path: Path, manager: Manager) -> None:
    later = [0.0]
    beats = Heartbeats(lambda: time.monotonic() + later[0])
    beat = beats.lane("pipeline", limit_seconds=30)
    with Monitoring(tmp_path / "state", beats, notifier(manager, WATCHDOG_USEC="400000")) as monitoring:
        monitoring.watch(lambda: Snapshot(counts={}))
        monitoring.ready()
        for _ in range(10):
            beat()
            manager.hear_until("WATCHDOG")
        later[0] += 31
        manager.hears_nothing("WATCHDOG", 0.2)  # but one that was on its way
        assert manager.hears_nothing("WATCHDOG", 0.6), "the loop hangs"
        beat()
        manager.hear_until("WATCHDOG")
        monitoring.stopping()
        assert manager.hear_until("STOPPING") == {"STOPPING": "1", "STATUS": "stopping"}
        later[0] += 31
        manager.forget()
        manager.hear_until("WATCHDOG")
        manager.hear_until("WATCHDOG")
        monitoring.ready()
        assert manager.hears_nothing("READY", 0.3), "a reload that ends late does not call the end off"


def test_run_tells_its_manager_of_start_reload_and_end(tmp_path: Path, manager: Manager) -> None:
    write_template(tmp_path / "place")
    config = tmp_path / "place" / "config.toml"
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [*COMMAND, "run", "--config", config, "--log-format", "plain"],
            env={**ENVIRONMENT, "NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "1000000"},
            stderr=log,
        )
    try:
        manager.hear_until("READY")
        manager.hear_until("WATCHDOG")
        assert "0 queued" in manager.hear_until("STATUS")["STATUS"]
        children = psutil.Process(process.pid).children(recursive=True)
        assert not any("NOTIFY_SOCKET" in child.environ() for child in children), "only the daemon speaks for itself"
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        process.send_signal(signal.SIGHUP)
        assert int(manager.hear_until("RELOADING")["MONOTONIC_USEC"]) >= before
        manager.hear_until("READY")
        process.send_signal(signal.SIGTERM)
        manager.hear_until("STOPPING")
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()


def test_a_loop_of_the_former_configuration_does_not_hide_that_its_successor_hangs() -> None:
    now = [0.0]
    beats = Heartbeats(lambda: now[0])
    former = beats.lane("pipeline")
    latter = beats.lane("pipeline")
    now[0] = 50.0
    former()
    assert beats.ages() == {"pipeline": 50.0}
    latter()
    assert beats.ages() == {"pipeline": 0.0}
    now[0] = 111.0
    former()
    assert beats.stale() == {"pipeline": 61.0}
    beats.forget("pipeline")
    assert not beats.stale()


def test_a_part_without_a_beat_of_its_own_is_asked_and_may_not_be_there() -> None:
    now, last = [100.0], [None, 95.0]
    beats = Heartbeats(lambda: now[0])
    beats.follow("worker", lambda: last[0], limit_seconds=10)
    assert beats.ages() == {}
    last[0] = last[1]
    assert beats.ages() == {"worker": 5.0}
    now[0] = 106.0
    assert beats.stale() == {"worker": 11.0}
