"""``/healthz``, ``/readyz`` and ``/metrics`` over HTTP, for this machine alone.

It is bound to the loopback address and answers only what was meant for that: a page in a browser can have a name of its
own point to 127.0.0.1 (DNS rebinding), but not send another ``Host`` than that name. Answers are made of facts that are
there already, so none waits for the daemon.
"""

from __future__ import annotations

import contextlib
import errno
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import structlog

from deepdream_daemon.monitoring.facts import Facts
from deepdream_daemon.monitoring.metrics import Metrics
from deepdream_engine.errors import BadOption

log = structlog.get_logger("deepdream")

ADDRESS = "127.0.0.1"
REQUEST_SECONDS = 5.0
"""Who has not asked until then is not waited for."""
MOST_AT_ONCE = 16
HOSTS = frozenset({ADDRESS, "localhost"})


class MonitoringServer:
    """Serves ``pages`` at ``port``; with port 0 the system chooses one, see :attr:`port`. ``where`` is the place that
    an error names."""

    def __init__(self, port: int, pages: Pages, where: str = "monitoring.port") -> None:
        self.port = port
        self._where = where
        self._pages = pages
        self._server: _Server | None = None

    def start(self) -> None:
        """Serve from now on, in threads of its own; raises :class:`BadOption` if the port is not to be had."""
        try:
            self._server = server = _Server(self.port, self._pages)
        except OSError as error:
            reason = {
                errno.EADDRINUSE: "is taken by another program",
                errno.EACCES: "may not be used by this user",
            }.get(error.errno or 0, f"cannot be used: {error.strerror}")
            raise BadOption(
                f"{self._where}: the port {self.port} {reason}. Choose another from 1024 to 65535, or 0 for none."
            ) from error
        self.port = server.server_port
        threading.Thread(target=server.serve_forever, args=(0.2,), name="monitoring", daemon=True).start()
        log.info("monitoring", address=f"http://{ADDRESS}:{self.port}/")

    def stop(self) -> None:
        """Give the port back."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()


class Pages:
    """What is told under which path; the counters among it go on when the port is another."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._metrics = Metrics(facts)

    def page(self, path: str, accept: str) -> tuple[int, bytes, str]:
        """Return the status code, the body and its content type."""
        match path:
            case "/healthz":
                hanging = self._facts.hanging()
                told = {"healthy": not hanging, "hanging": hanging, "beats": self._facts.heartbeats.ages()}
                return _as_json(503 if hanging else 200, told)
            case "/readyz":
                reasons = self._facts.unready()
                return _as_json(503 if reasons else 200, {"ready": not reasons, "reasons": reasons})
            case "/metrics":
                body, content_type = self._metrics.page(accept)
                return 200, body, content_type
            case _:
                return _as_json(404, {"error": f"There is no {path!r} here, only /healthz, /readyz and /metrics."})


def _as_json(status: int, value: dict[str, object]) -> tuple[int, bytes, str]:
    return status, json.dumps(value).encode() + b"\n", "application/json"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 4 * MOST_AT_ONCE
    block_on_close = False

    def __init__(self, port: int, pages: Pages) -> None:
        self.pages = pages
        self._free = threading.BoundedSemaphore(MOST_AT_ONCE)
        self._until: dict[Any, float] = {}
        super().__init__((ADDRESS, port), _Handler)

    def server_bind(self) -> None:
        """As the base class, without its look-up of this machine's name, which may take seconds."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = ADDRESS, int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread; who comes when too many are there is turned away."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        self._until[request] = time.monotonic() + REQUEST_SECONDS
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread is to be had
            self._let_go(request)
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._let_go(request)

    def service_actions(self) -> None:
        """Wait no longer for those that took too long, one byte after the other or in silence."""
        for request, until in list(self._until.items()):
            if time.monotonic() > until:
                with contextlib.suppress(OSError):  # it has just been answered
                    request.shutdown(socket.SHUT_RDWR)

    def _let_go(self, request: Any) -> None:
        del self._until[request]
        self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Note it: the base class writes to stderr, over the live table."""
        log.debug("a request could not be answered", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.0"
    server_version = "deepdream"
    sys_version = ""
    METHODS: ClassVar[str] = "GET, HEAD"

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Answer what is no request that can be answered, such as one with another method."""
        if code == 501:
            self._send(405, b"Only GET and HEAD are answered.\n", "text/plain; charset=utf-8", Allow=self.METHODS)
        else:
            self._send(code, f"{message or 'This cannot be answered'}.\n".encode(), "text/plain; charset=utf-8")

    def log_message(self, format: str, *args: object) -> None:
        """Be quiet: who asks every few seconds would fill the log."""

    def _answer(self) -> None:
        if not self._is_meant():
            self._send(421, f"Ask for http://{ADDRESS}:PORT/.\n".encode(), "text/plain; charset=utf-8")
            return
        path = self.path.partition("?")[0]
        self._send(*self.server.pages.page(path, self.headers.get("Accept", "")))

    def _is_meant(self) -> bool:
        """Tell whether the request names this machine's loopback; one of HTTP/1.0 need not name any."""
        hosts = self.headers.get_all("Host", [])
        if not hosts:
            return self.request_version == "HTTP/1.0"
        name, _, port = hosts[0].strip().lower().partition(":")
        return len(hosts) == 1 and name in HOSTS and port in ("", str(self.server.server_port))

    def _send(self, status: int, body: bytes, content_type: str, **headers: str) -> None:
        self.send_response(status)
        told = {"Content-Type": content_type, "Content-Length": str(len(body)), "Cache-Control": "no-store", **headers}
        for name, value in told.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
