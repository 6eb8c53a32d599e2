"""The sink that tells web servers: what it sends, to whom, and what it makes of every answer."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

from deepdream_engine.errors import BadOption, NotDelivered
from deepdream_plugins.builtin.sinks import webhook
from tests.delivering import Desk, again, check, deliver
from tests.measuring import best_within


@dataclass
class Receiver:
    """A web server that keeps what it gets and answers what it is told to."""

    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    hang: threading.Event | None = None
    url: str = ""


@pytest.fixture
def serve() -> Iterator[Callable[..., Receiver]]:
    """``serve(context)`` starts a receiver, with TLS if there is a context."""
    servers: list[ThreadingHTTPServer] = []
    receivers: list[Receiver] = []

    def start(context: ssl.SSLContext | None = None) -> Receiver:
        receiver = Receiver()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.got.append((self.path, {key.lower(): value for key, value in self.headers.items()}, body))
                if receiver.hang is not None:
                    receiver.hang.wait(10)
                status, headers = receiver.answers.pop(0) if receiver.answers else (204, {})
                echo = f"Cannot POST {self.path} {dict(self.headers)}"  # as many servers do
                self.send_response(status, None if status == 204 else f"Out of \x1b[31mpaint {echo}")
                text = b"" if status == 204 else echo.encode()
                for name, value in {"content-length": str(len(text)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:  # a client that hung up
                pass

        server = Server(("127.0.0.1", 0), Handler)
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        receivers.append(receiver)
        receiver.url = f"http{'s' if context else ''}://127.0.0.1:{server.server_port}/dreams?room=7"
        return receiver

    yield start
    for receiver in receivers:
        if receiver.hang is not None:
            receiver.hang.set()
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


def test_a_webhook_posts_all_that_is_known_of_the_dream(desk: Desk, serve: Callable[..., Receiver]) -> None:
    receiver, delivery = serve(), desk.dream()
    deliver("webhook", delivery, url=receiver.url, headers=["X-Room: blue", "authorization: Bearer abc"])
    [(path, headers, body)] = receiver.got
    assert path == "/dreams?room=7"
    assert headers["content-type"] == "application/json"
    assert headers["x-room"] == "blue"
    assert headers["authorization"] == "Bearer abc"
    assert "webhook-signature" not in headers
    assert json.loads(body) == {
        "type": "dream.published",
        "timestamp": "2026-03-01T11:00:00.000+00:00",
        "data": {
            "job": 1,
            "key": delivery.key,
            "source": delivery.source,
            "folder": delivery.folder,
            "recipe": "classic",
            "seed": 1,
            "output": delivery.output,
            "output_folder": delivery.output_folder,
            "finished": delivery.finished,
            "attempt": 1,
        },
    }


def test_a_secret_signs_the_body_and_stays_secret(
    desk: Desk, serve: Callable[..., Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = b"twenty-four bytes or so!"
    monkeypatch.setenv("HOOK_SECRET", "whsec_" + base64.b64encode(raw).decode())
    receiver, delivery = serve(), desk.dream()
    for each in (delivery, again(delivery)):
        deliver("webhook", each, url=receiver.url, secret="${HOOK_SECRET}")
    for _, headers, body in receiver.got:
        assert headers["webhook-id"] == delivery.key  # the same each time, so that the receiver can tell
        assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        expected = base64.b64encode(hmac.new(raw, signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{expected}"
        assert b"whsec" not in body


def test_signatures_are_those_of_the_standard() -> None:
    """The test vector of the Standard Webhooks libraries."""
    secret = webhook.signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    found = webhook.signed("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', secret)
    assert found["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(("status", "named"), [(404, "404 Not Found"), (503, "503 Service Unavailable"), (599, "599")])
def test_an_answer_other_than_2xx_is_no_delivery_and_the_next_try_may_be_one(
    desk: Desk, serve: Callable[..., Receiver], status: int, named: str
) -> None:
    receiver, delivery = serve(), desk.dream()
    receiver.answers = [(status, {}), (200, {})]
    with pytest.raises(
        NotDelivered, match=rf"^http://127.0.0.1:\d+ answered {named}\. Look for its reason in the serv"
    ):
        deliver("webhook", delivery, url=receiver.url)
    deliver("webhook", again(delivery), url=receiver.url)
    assert [json.loads(body)["data"]["attempt"] for _, _, body in receiver.got] == [1, 2]


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_server_that_repeats_what_it_got_brings_no_secret_into_the_message(
    desk: Desk, serve: Callable[..., Receiver], status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "fr0m-the-environment")
    receiver = serve()
    receiver.answers = [(status, {"location": "/T0KEN/elsewhere"})]
    url = receiver.url.replace("//", "//me:hunter2@").replace("dreams", "hooks/T0KEN")
    with pytest.raises(NotDelivered, match=rf"answered {status}") as told:
        deliver("webhook", desk.dream(), url=url, headers=["X-Key: ${TOKEN}", "X-Other: written-down"])
    [(path, headers, _)] = receiver.got
    assert (path, headers["x-key"]) == ("/hooks/T0KEN?room=7", "fr0m-the-environment")
    basic = base64.b64encode(b"me:hunter2").decode()
    for secret in ("T0KEN", "room=7", "hunter2", basic, "fr0m", "written-down", "paint", "\x1b"):
        assert secret not in str(told.value)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_nothing_is_sent_to_where_a_redirection_leads(desk: Desk, serve: Callable[..., Receiver], status: int) -> None:
    elsewhere, receiver = serve(), serve()
    receiver.answers = [(status, {"location": elsewhere.url.replace("room=7", "token=hidden")})]
    place = elsewhere.url.split("/dreams")[0]
    with pytest.raises(
        NotDelivered, match=f"answered {status}, a redirection to {place}, which is not followed"
    ) as told:
        deliver("webhook", desk.dream(), url=receiver.url)
    assert elsewhere.got == []
    assert "hidden" not in str(told.value)


def test_a_server_that_hangs_is_given_up_in_time(desk: Desk, serve: Callable[..., Receiver]) -> None:
    receiver = serve()
    receiver.hang = threading.Event()

    def seconds(_: int) -> float:
        begun = time.monotonic()
        with pytest.raises(NotDelivered, match=r"did not answer within 0.3 seconds"):
            deliver("webhook", desk.dream(), url=receiver.url, timeout_seconds=0.3)
        return time.monotonic() - begun

    best_within(2.0, seconds)


def test_a_server_that_is_not_there_is_named_without_the_secrets_of_its_address(desk: Desk) -> None:
    with socket.socket() as taken:  # bound but not listening: whoever connects is refused
        taken.bind(("127.0.0.1", 0))
        url = f"http://me:hunter2@127.0.0.1:{taken.getsockname()[1]}/hooks/T0KEN?key=s3cret"
        with pytest.raises(NotDelivered, match=r"^http://127.0.0.1:\d+ cannot be reached: .*refused") as told:
            deliver("webhook", desk.dream(), url=url)
    for secret in ("hunter2", "T0KEN", "s3cret", "me:"):
        assert secret not in str(told.value)


def test_credentials_of_the_address_are_sent_as_such(desk: Desk, serve: Callable[..., Receiver]) -> None:
    receiver = serve()
    deliver("webhook", desk.dream(), url=receiver.url.replace("//", "//me:hunter2@"))
    [(_, headers, _)] = receiver.got
    assert headers["authorization"] == "Basic " + base64.b64encode(b"me:hunter2").decode()


def test_a_netrc_neither_sends_passwords_nor_stands_in_the_way_of_a_header(
    desk: Desk, serve: Callable[..., Receiver], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password hunter2\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", os.fspath(netrc))
    receiver = serve()
    deliver("webhook", desk.dream(), url=receiver.url)
    deliver("webhook", desk.dream(), url=receiver.url, headers=["Authorization: Bearer abc"])
    assert [headers.get("authorization") for _, headers, _ in receiver.got] == [None, "Bearer abc"]


def test_the_environments_proxy_is_used_unless_it_is_told_not_to(
    desk: Desk, serve: Callable[..., Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, receiver = serve(), serve()
    monkeypatch.setenv("http_proxy", f"http://pass:by@{proxy.url.removeprefix('http://').partition('/')[0]}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    deliver("webhook", desk.dream(), url="http://dreams.example.org/x")
    deliver("webhook", desk.dream(), url=receiver.url)
    assert [path for path, _, _ in receiver.got] == ["/dreams?room=7"]
    [(path, headers, _)] = proxy.got
    assert path == "http://dreams.example.org/x"
    assert headers["proxy-authorization"] == "Basic " + base64.b64encode(b"pass:by").decode()


def test_a_server_without_tls_is_told_as_such(desk: Desk, serve: Callable[..., Receiver]) -> None:
    url = serve().url.replace("http://", "https://")
    with pytest.raises(
        NotDelivered, match=r"could not be spoken to in secret \(.*\), so nothing was sent. Is its port"
    ):
        deliver("webhook", desk.dream(), url=url)


def test_a_line_that_is_no_web_server_is_no_delivery(desk: Desk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"220 mail.example.org\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(NotDelivered, match=r"did not answer as a web server does|cannot be reached"):
            deliver("webhook", desk.dream(), url=f"http://127.0.0.1:{server.getsockname()[1]}/")
        thread.join()


def test_a_wrong_certificate_gets_nothing_and_a_right_one_does(
    desk: Desk, serve: Callable[..., Receiver], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    other = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("dreams.example.org").configure_cert(other)
    right, wrong = serve(context), serve(other)
    with pytest.raises(NotDelivered, match=r"is not who it should be \(.*\), so nothing was sent"):
        deliver("webhook", desk.dream(), url=right.url)  # nobody knows this authority
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", os.fspath(tmp_path / "ca.pem"))
    deliver("webhook", desk.dream(), url=right.url)
    with pytest.raises(NotDelivered, match=r"is not who it should be"):
        deliver("webhook", desk.dream(), url=wrong.url)
    assert len(right.got) == 1
    assert wrong.got == []


def test_names_of_any_bytes_are_sent_as_text(desk: Desk, serve: Callable[..., Receiver]) -> None:
    receiver = serve()
    delivery = replace(desk.dream(), output=os.fsdecode(b"/out/ph\xffto\n.jpg"))
    deliver("webhook", delivery, url=receiver.url)
    assert json.loads(receiver.got[0][2])["data"]["output"] == "/out/ph\\xffto\\n.jpg"


def test_a_dream_that_was_moved_meanwhile_is_told_of_nevertheless(desk: Desk, serve: Callable[..., Receiver]) -> None:
    receiver, delivery = serve(), desk.dream()
    Path(delivery.output).unlink()
    Path(delivery.source).unlink()
    deliver("webhook", delivery, url=receiver.url)
    assert len(receiver.got) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "example.org/dreams"}, "^url is not an address of the web"),
        ({"url": "ftp://example.org"}, "^url is not an address of the web"),
        ({"url": "https://"}, "^url is not an address of the web"),
        ({"url": "https://example.org:99999999/"}, "^url is not an address of the web"),
        ({"url": "https://example.org/a\nb"}, "^url is not an address of the web"),
        ({"url": "https://${NO_SUCH}/x"}, "^url: the environment variable NO_SUCH is not set"),
        ({"secret": "${NO_SUCH}"}, "^secret: the environment variable NO_SUCH is not set"),
        ({"secret": "whsec_!!"}, "^secret: what follows 'whsec_' is not base64"),
        ({"headers": ["X-Room blue"]}, "^headers: 'X-Room blue' is not the beginning of a line 'Name: value'"),
        ({"headers": ["X: a\r\nHost: b"]}, "^headers: 'X' is not the beginning of a line"),
        ({"headers": ["X-A: 1", "x-a: 2"]}, "^headers: 'x-a' is there twice. Write one line"),
        (
            {"url": "https://me:pw@example.org", "headers": ["Authorization: Bearer ${HOME}"]},
            "^headers: 'Authorization' is there beside the user and password of the url",
        ),
        ({"headers": ["Webhook-Id: 1"]}, "^headers: 'Webhook-Id' is set by the sink itself"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_the_configuration(options: dict[str, str], message: str) -> None:
    with pytest.raises(BadOption, match=message):
        check("webhook", **{"url": "https://example.org/dreams", **options})
    check("webhook", url="https://example.org/dreams")
