"""systemd's notification protocol, its side of the service: datagrams of ``NAME=value`` lines to ``$NOTIFY_SOCKET``.

See sd_notify(3). It is small enough to be ours, and it never holds the daemon up: what cannot be sent is not sent.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import MutableMapping
from typing import Self

import structlog

log = structlog.get_logger("deepdream")

SEND_SECONDS = 0.5
"""The manager's queue may be full."""


class Notifier:
    """Sends to the socket at ``address``; a leading ``@`` stands for the abstract namespace."""

    def __init__(self, address: str, watchdog_seconds: float | None = None) -> None:
        self.watchdog_seconds = watchdog_seconds
        """A service that says nothing for so long is ended by its manager; ``None`` if it is not looked after."""
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._failed = False

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str] = os.environ) -> Self | None:
        """Return the notifier that the service manager asks for, if it does; its variables are taken out, since they
        are for this process and not for those that it starts."""
        address = environment.pop("NOTIFY_SOCKET", "")
        usec, pid = environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", "")
        if not address.startswith(("/", "@")):
            if address:
                log.warning("the service manager is not notified", address=address, reason="it is no local socket")
            return None
        is_meant = pid in ("", str(os.getpid()))
        return cls(address, int(usec) / 1e6 if is_meant and usec.isdecimal() and int(usec) else None)

    def send(self, **variables: str | int) -> bool:
        """Send ``NAME=value`` lines in one datagram; return whether it went off."""
        lines = (f"{name}={_one_line(str(value))}" for name, value in variables.items())
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(SEND_SECONDS)
                sender.sendto("\n".join(lines).encode("utf-8", "backslashreplace"), self._address)
        except OSError as error:
            if not self._failed:
                log.warning("the service manager cannot be notified", error=str(error))
            self._failed = True
            return False
        self._failed = False
        return True


def monotonic_usec() -> int:
    """Return the time by which the manager tells that a reload is a new one."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def _one_line(value: str) -> str:
    return " ".join(value.splitlines())
