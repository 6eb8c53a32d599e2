"""The sink that shows notifications, on a real message bus of its own with a desktop that remembers them."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from deepdream_engine.errors import BadOption, NotDelivered
from deepdream_plugins.builtin.sinks import notification
from tests.delivering import Desk, again, check, deliver

jeepney = pytest.importorskip("jeepney")

needs_bus = pytest.mark.skipif(shutil.which("dbus-daemon") is None, reason="needs dbus-daemon")


@dataclass
class Desktop:
    """What a desktop was asked to show: the arguments of each call of ``Notify``."""

    address: str
    shown: list[tuple[Any, ...]] = field(default_factory=list)
    capabilities: list[str] = field(default_factory=lambda: ["body"])
    is_broken: bool = False


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A message bus without a desktop on it."""
    command = ["dbus-daemon", "--session", "--nofork", "--print-address"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as daemon:
        assert daemon.stdout is not None
        address = daemon.stdout.readline().strip()
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
        yield address
        daemon.terminate()


@pytest.fixture
def desktop(bus: str) -> Iterator[Desktop]:
    """A notification service on that bus."""
    from jeepney import message_bus, new_error, new_method_return
    from jeepney.io.blocking import open_dbus_connection

    found = Desktop(bus)
    connection = open_dbus_connection(bus)
    connection.send_and_get_reply(message_bus.RequestName("org.freedesktop.Notifications"))

    def serve() -> None:
        while True:
            try:
                message = connection.receive()
            except (OSError, ValueError):
                return
            method = message.header.fields.get(jeepney.HeaderFields.member)
            if method == "Stop":
                connection.send(new_method_return(message))
                return
            if found.is_broken:
                connection.send(new_error(message, "org.example.Error.Broken", "s", ("no screen",)))
            elif method == "GetCapabilities":
                connection.send(new_method_return(message, "as", (found.capabilities,)))
            elif method == "Notify":
                found.shown.append(message.body)
                number = message.body[1] or 40 + len(found.shown)
                connection.send(new_method_return(message, "u", (number,)))

    thread = threading.Thread(target=serve)
    thread.start()
    yield found
    with open_dbus_connection(bus) as other:
        service = jeepney.DBusAddress("/", bus_name="org.freedesktop.Notifications", interface="x.y")
        other.send_and_get_reply(jeepney.new_method_call(service, "Stop"))
    thread.join()
    connection.close()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@needs_bus
def test_a_dream_is_shown_with_its_name_and_its_picture(desk: Desk, desktop: Desktop) -> None:
    deliver("notification", desk.dream())
    [(app, replaces, _, title, body, _, hints, _)] = desktop.shown
    assert (app, replaces, title, body) == ("DeepDream", 0, "A dream is finished", "photo.classic.jpg (classic)")
    kind, (width, height, row, has_alpha, bits, channels, pixels) = hints["image-data"]
    assert (kind, width, height, row, has_alpha, bits, channels) == ("(iiibiiay)", 64, 48, 192, False, 8, 3)
    assert len(pixels) == 64 * 48 * 3
    deliver("notification", desk.dream(seed=2), picture=False)
    assert "image-data" not in desktop.shown[1][6]


@needs_bus
def test_dreams_that_finish_together_share_a_notification_that_counts_each_once(desk: Desk, desktop: Desktop) -> None:
    for seed in (1, 2, 2, 3):
        deliver("notification", desk.dream(f"{seed}.jpg", seed=seed))
    assert [(call[1], call[3]) for call in desktop.shown] == [
        (0, "A dream is finished"),
        (41, "2 dreams are finished"),
        (41, "3 dreams are finished"),
    ]
    assert desktop.shown[-1][4] == "3.jpg (classic)"
    deliver("notification", desk.dream("4.jpg", seed=4), gather_seconds=0)
    assert desktop.shown[-1][1] == 0
    assert desktop.shown[-1][3] == "A dream is finished"


@needs_bus
@pytest.mark.parametrize(("capabilities", "body"), [(["body"], "<b>&.jpg"), (["body-markup"], "&lt;b&gt;&amp;.jpg")])
def test_a_name_is_never_read_as_markup(desk: Desk, desktop: Desktop, capabilities: list[str], body: str) -> None:
    desktop.capabilities = capabilities
    deliver("notification", desk.dream("<b>&.jpg"))
    assert desktop.shown[0][4] == f"{body} (classic)"


@needs_bus
def test_names_of_any_bytes_and_dreams_that_are_gone_are_told_of(desk: Desk, desktop: Desktop) -> None:
    delivery = desk.dream(os.fsdecode(b"ph\xffto\n.jpg"))
    Path(delivery.output).unlink()
    deliver("notification", delivery)
    assert desktop.shown[0][4] == "ph\\xffto\\n.jpg (classic)"


@needs_bus
def test_a_desktop_that_fails_counts_the_dream_the_next_time(desk: Desk, desktop: Desktop) -> None:
    desktop.is_broken = True
    with pytest.raises(NotDelivered, match=r"showed no notification \(org.example.Error.Broken: \('no screen',\)\)"):
        deliver("notification", desk.dream())
    desktop.is_broken = False
    deliver("notification", again(desk.dream()))
    assert [call[3] for call in desktop.shown] == ["A dream is finished"]


@needs_bus
def test_a_bus_without_a_desktop_is_told(desk: Desk, bus: str) -> None:
    with pytest.raises(NotDelivered, match=r"ServiceUnknown.*Is a notification service running"):
        deliver("notification", desk.dream())


@pytest.mark.skipif(sys.platform != "linux", reason="the bus of Linux")
def test_without_a_desktop_session_it_says_what_to_do(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", os.fspath(tmp_path))
    with pytest.raises(NotDelivered, match=r"There is no desktop session here: .* leave the sink 'notification' out"):
        deliver("notification", desk.dream())
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={tmp_path}/bus")
    with pytest.raises(NotDelivered, match="bus' does not answer"):
        deliver("notification", desk.dream())
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "tcp:host=localhost,port=1")
    with pytest.raises(NotDelivered, match=r"does not answer .*not supported"):
        deliver("notification", desk.dream())


def test_the_sink_is_refused_where_its_library_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    check("notification")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(BadOption, match=r"pip install 'deepdream-daemon\[notification\]'"):
        check("notification")


def test_on_a_mac_names_are_arguments_of_the_script_and_no_part_of_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "osascript"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/said\ntest ! -e {tmp_path}/fail\n')
    program.chmod(0o755)
    monkeypatch.setattr(notification, "_OSASCRIPT", os.fspath(program))
    monkeypatch.setattr(sys, "platform", "darwin")
    deliver("notification", desk.dream('a" & quit.jpg'))
    said = (tmp_path / "said").read_text().splitlines()
    assert said[-2:] == ["A dream is finished", 'a" & quit.jpg (classic)']
    assert "quit" not in "".join(said[:-2])
    (tmp_path / "fail").touch()
    with pytest.raises(NotDelivered, match="osascript could not show"):
        deliver("notification", desk.dream(seed=2))
