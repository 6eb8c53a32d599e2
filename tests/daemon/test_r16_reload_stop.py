"""R16, R15: an end that is asked for while the configuration is taken up is the last that the service manager hears."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from deepdream_daemon.configuration.changes import Changes
from deepdream_daemon.monitoring.heartbeats import Heartbeats
from deepdream_daemon.monitoring.monitoring import Monitoring
from deepdream_daemon.monitoring.notify import Notifier
from deepdream_daemon.running.reloading import Reloading
from deepdream_daemon.running.works import Plan
from deepdream_engine.errors import BadOption, Cancelled
from tests.daemon.reloads import Reloadable
from tests.daemon.stub import wait_until


class Diary:
    """A supervision that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def ready(self) -> None:
        self.told.append("ready")

    def reloading(self) -> None:
        self.told.append("reloading")

    def stopping(self) -> None:
        self.told.append("stopping")

    def extend(self, seconds: float) -> None: ...


@pytest.mark.parametrize(
    "error", [Cancelled("the daemon stops"), BadOption("a mistake"), RuntimeError("a defect"), None]
)
def test_nobody_says_ready_when_the_end_was_asked_for_meanwhile(tmp_path: Path, error: Exception | None) -> None:
    stop, diary = threading.Event(), Diary()
    refused: list[str] = []

    def replan(plan: Plan, asked: bool) -> Plan:
        stop.set()
        diary.stopping()
        if error is not None:
            raise error
        return plan

    with Reloadable(tmp_path) as daemon:
        plan = daemon.plan
    reloading = Reloading(Changes(daemon.config), replan)
    reloading.ask()
    reloading.start(stop, plan=lambda: plan, take_up=lambda _: None, refuse=refused.append, supervision=diary)
    wait_until(lambda: stop.is_set() and all(each.name != "reload" for each in threading.enumerate()))
    assert diary.told == ["reloading", "stopping"]
    assert refused == []  # what is wrong with it is found again at the next start


def test_a_plan_that_was_cancelled_though_the_daemon_goes_on_is_refused_and_the_next_is_looked_at(
    tmp_path: Path,
) -> None:
    stop, diary = threading.Event(), Diary()
    refused: list[str] = []

    def replan(plan: Plan, asked: bool) -> Plan:
        raise Cancelled("its worker is not needed any more")

    with Reloadable(tmp_path) as daemon:
        plan = daemon.plan
    reloading = Reloading(Changes(daemon.config), replan)
    reloading.start(stop, plan=lambda: plan, take_up=lambda _: None, refuse=refused.append, supervision=diary)
    for count in (1, 2):
        reloading.ask()
        wait_until(lambda count=count: diary.told.count("ready") == count)  # type: ignore[misc]
    stop.set()
    assert len(refused) == 2


def test_the_manager_hears_of_the_end_after_all_else_though_another_thread_is_about_to_say_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []
    is_about_to, goes_on = threading.Event(), threading.Event()

    def send(_: Notifier, **variables: str | int) -> bool:
        if "READY" in variables:
            is_about_to.set()
            goes_on.wait(60)
        heard.extend(name for name in variables if name in {"READY", "STOPPING"})
        return True

    monkeypatch.setattr(Notifier, "send", send)
    with Monitoring(tmp_path, Heartbeats(), Notifier("/nowhere")) as monitoring:
        ready = threading.Thread(target=monitoring.ready)
        ready.start()
        assert is_about_to.wait(60)
        stopping = threading.Thread(target=monitoring.stopping)
        stopping.start()
        stopping.join(0.1)
        goes_on.set()
        ready.join(60)
        stopping.join(60)
        monitoring.reloading()
        monitoring.ready()
    assert heard == ["READY", "STOPPING"]
