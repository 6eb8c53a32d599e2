"""The sink ``webhook``: tells a web server of each dream, signed as the Standard Webhooks specification says
(standardwebhooks.com), which libraries of many languages check.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from http import HTTPStatus
from urllib.parse import urlsplit

from deepdream_engine import __version__
from deepdream_engine.errors import BadOption, NotDelivered
from deepdream_plugins.builtin.sinks.credentials import origin
from deepdream_plugins.builtin.sinks.deliveries import shown
from deepdream_plugins.events import Delivery
from deepdream_plugins.expanding import expanded
from deepdream_plugins.records import Option, SinkSpec

_PREFIX = "whsec_"
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~\x80-\xff]*)")
_OURS = ("webhook-id", "webhook-timestamp", "webhook-signature", "content-length", "transfer-encoding", "host")


def deliver(delivery: Delivery, *, url: str, headers: tuple[str, ...], secret: str, timeout_seconds: float) -> None:
    """POST the delivery's facts as JSON; anything but a 2xx answer within the time is :class:`NotDelivered`."""
    url, key = expanded("url", url), signing_key(expanded("secret", secret))
    body = payload(delivery)
    sent = {
        "content-type": "application/json",
        "user-agent": f"deepdream-daemon/{__version__}",
        **parsed_headers(headers, url),
        **signed(delivery.key, int(time.time()), body, key),
    }
    import asyncio

    asyncio.run(_post(url, body, sent, timeout_seconds))


def payload(delivery: Delivery) -> bytes:
    """Return ``{"type": "dream.published", "timestamp": …, "data": {…}}``, the data being all of the delivery but
    folders that are nobody else's business."""
    data = {key: shown(value) if isinstance(value, str) else value for key, value in asdict(delivery).items()}
    del data["state"], data["watched"]
    finished = datetime.fromtimestamp(delivery.finished, UTC).isoformat(timespec="milliseconds")
    return json.dumps({"type": "dream.published", "timestamp": finished, "data": data}).encode("ascii")


def signed(key: str, now: int, body: bytes, secret: bytes) -> dict[str, str]:
    """Return the headers ``webhook-id`` and ``webhook-timestamp`` and, with a secret, the HMAC-SHA256 of these two and
    the body as ``webhook-signature``."""
    found = {"webhook-id": key, "webhook-timestamp": str(now)}
    if secret:
        digest = hmac.new(secret, f"{key}.{now}.".encode() + body, hashlib.sha256).digest()
        found["webhook-signature"] = "v1," + base64.b64encode(digest).decode()
    return found


def signing_key(secret: str) -> bytes:
    """Return the bytes of a secret: base64 behind ``whsec_``, and any other text as it stands."""
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise BadOption("secret: what follows 'whsec_' is not base64. Copy the whole secret.") from None


def parsed_headers(headers: tuple[str, ...], url: str) -> dict[str, str]:
    """Return the lines ``Name: value`` as a mapping. Those that are no such line, or said twice, in another line or by
    us or the ``url``, are :class:`BadOption`."""
    found: dict[str, str] = {}
    for line in headers:
        match = _HEADER.fullmatch(expanded("headers", line))
        if match is None:
            raise BadOption(f"headers: {line.partition(':')[0]!r} is not the beginning of a line 'Name: value'.")
        name = match[1].lower()
        if name in _OURS:
            raise BadOption(f"headers: {match[1]!r} is set by the sink itself. Leave it out.")
        if name in found:
            raise BadOption(f"headers: {match[1]!r} is there twice. Write one line, with commas between its values.")
        if name == "authorization" and urlsplit(url).username is not None:
            raise BadOption(
                "headers: 'Authorization' is there beside the user and password of the url, which are sent as that "
                "very header. Keep one of the two."
            )
        found[name] = match[2]
    return found


async def _post(url: str, body: bytes, headers: Mapping[str, str], timeout_seconds: float) -> None:
    import ssl

    import aiohttp

    where = origin(url)
    limit = aiohttp.ClientTimeout(total=timeout_seconds)
    try:
        # Not trust_env: it reads passwords from a netrc, too, and does not take them beside our own.
        async with (
            aiohttp.ClientSession(timeout=limit, raise_for_status=False) as session,
            session.post(
                url,
                data=body,
                headers=headers,
                proxy=_proxy(url),
                allow_redirects=False,
                ssl=ssl.create_default_context(),
            ) as answer,
        ):
            _judge(answer.status, answer.headers.get("location", ""), where)
    except TimeoutError as error:
        raise NotDelivered(f"{where} did not answer within {timeout_seconds:g} seconds.") from error
    except aiohttp.ClientConnectorCertificateError as error:
        reason = getattr(error.certificate_error, "verify_message", "") or "it cannot be verified"
        raise NotDelivered(
            f"{where} is not who it should be ({shown(reason)}), so nothing was sent. Mend its certificate."
        ) from None
    except aiohttp.ClientConnectorSSLError as error:
        reason = (getattr(error.os_error, "reason", None) or "TLS failed").replace("_", " ").lower()
        raise NotDelivered(
            f"{where} could not be spoken to in secret ({shown(reason)}), so nothing was sent. Is its port one of "
            f"https://, or does the server need http://?"
        ) from None
    except aiohttp.ClientConnectorError as error:
        raise NotDelivered(f"{where} cannot be reached: {_reason(error.os_error)}.") from None
    except (aiohttp.ClientError, ValueError) as error:  # whose text may quote the address, or that of a proxy
        raise NotDelivered(f"{where} did not answer as a web server does ({type(error).__name__}).") from None


def _judge(status: int, location: str, where: str) -> None:
    """Raise :class:`NotDelivered` for any answer but 2xx. What the server says beside its number is not quoted: many
    repeat the address or the headers that they got, and the secrets in them."""
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        raise NotDelivered(
            f"{where} answered {status}, a redirection to {_place(location, where)}, which is not followed: what is "
            f"sent is meant for {where} alone. Write the final address."
        )
    name = f" {HTTPStatus(status).phrase}" if status in set(HTTPStatus) else ""
    raise NotDelivered(
        f"{where} answered {status}{name}. Look for its reason in the server's own log: it is not shown here, as it "
        f"may repeat secrets."
    )


def _proxy(url: str) -> str | None:
    """Return the proxy that the environment names for ``url`` (``https_proxy``, ``no_proxy`` …), if any."""
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    if proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    return getproxies().get(parts.scheme)


def _reason(error: OSError) -> str:
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)  # asyncio puts the address into its own
    return error.strerror or type(error).__name__


def _place(location: str, where: str) -> str:
    try:
        return shown(origin(location)) if urlsplit(location).netloc else f"another page of {where}"
    except ValueError:
        return "an address that is none"


def check(*, url: str, headers: tuple[str, ...], secret: str, **_others: object) -> None:
    """Refuse addresses that are none of the web, headers that are none, and variables that are not set."""
    full = expanded("url", url)
    try:
        parts = urlsplit(full)
        is_web = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        is_web = False
    if not is_web or any(char.isspace() or not char.isprintable() for char in full):
        raise BadOption("url is not an address of the web, such as 'https://example.org/dreams'.")
    parsed_headers(headers, full)
    signing_key(expanded("secret", secret))


SPEC = SinkSpec(
    name="webhook",
    help="POST the facts of each dream as JSON to a web server",
    deliver=deliver,
    check=check,
    limit_seconds=70.0,
    options=(
        Option(
            name="url",
            type=str,
            help="where to, https://…; ${NAME} is the environment variable NAME, here and in the two below",
        ),
        Option(
            name="headers",
            type=str,
            default=(),
            many=True,
            help='further header lines, such as "Authorization: Bearer ${TOKEN}"',
        ),
        Option(
            name="secret",
            type=str,
            default="",
            help='signs what is sent (HMAC-SHA256, Standard Webhooks), such as "${DEEPDREAM_WEBHOOK_SECRET}"',
        ),
        Option(name="timeout_seconds", type=float, default=10.0, minimum=0.1, maximum=60, help="for the whole answer"),
    ),
)
