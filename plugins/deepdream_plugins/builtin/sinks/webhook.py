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
from urllib.parse import urlsplit

from deepdream_engine import __version__
from deepdream_engine.errors import BadOption, NotDelivered
from deepdream_plugins.builtin.sinks.credentials import expanded, origin
from deepdream_plugins.builtin.sinks.deliveries import shown
from deepdream_plugins.events import Delivery
from deepdream_plugins.records import Option, SinkSpec

_PREFIX = "whsec_"
_ANSWER_BYTES = 300
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~\x80-\xff]*)")
_OURS = ("webhook-id", "webhook-timestamp", "webhook-signature", "content-length", "transfer-encoding", "host")


def deliver(delivery: Delivery, *, url: str, headers: tuple[str, ...], secret: str, timeout_seconds: float) -> None:
    """POST the delivery's facts as JSON; anything but a 2xx answer within the time is :class:`NotDelivered`."""
    url, key = expanded("url", url), signing_key(expanded("secret", secret))
    body = payload(delivery)
    sent = {
        "content-type": "application/json",
        "user-agent": f"deepdream-daemon/{__version__}",
        **parsed_headers(headers),
        **signed(delivery.key, int(time.time()), body, key),
    }
    import asyncio

    asyncio.run(_post(url, body, sent, timeout_seconds))


def payload(delivery: Delivery) -> bytes:
    """Return ``{"type": "dream.published", "timestamp": …, "data": {…}}``, the data being all of the delivery but the
    sink's own folder."""
    data = {key: shown(value) if isinstance(value, str) else value for key, value in asdict(delivery).items()}
    del data["state"]
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


def parsed_headers(headers: tuple[str, ...]) -> dict[str, str]:
    """Return the lines ``Name: value`` as a mapping; those that are no such line, or ours, are :class:`BadOption`."""
    found = {}
    for line in headers:
        match = _HEADER.fullmatch(expanded("headers", line))
        if match is None:
            raise BadOption(f"headers: {line.partition(':')[0]!r} is not the beginning of a line 'Name: value'.")
        if match[1].lower() in _OURS:
            raise BadOption(f"headers: {match[1]!r} is set by the sink itself. Leave it out.")
        found[match[1].lower()] = match[2]
    return found


async def _post(url: str, body: bytes, headers: Mapping[str, str], timeout_seconds: float) -> None:
    import ssl

    import aiohttp

    where = origin(url)
    limit = aiohttp.ClientTimeout(total=timeout_seconds)
    try:
        async with (
            aiohttp.ClientSession(timeout=limit, trust_env=True, raise_for_status=False) as session,
            session.post(
                url, data=body, headers=headers, allow_redirects=False, ssl=ssl.create_default_context()
            ) as answer,
        ):
            if 200 <= answer.status < 300:
                return
            if 300 <= answer.status < 400:
                raise NotDelivered(
                    f"{where} answered {answer.status}, a redirection to {_place(answer, where)}, which is not "
                    f"followed: what is sent is meant for {where} alone. Write the final address."
                )
            text = shown((await answer.content.read(_ANSWER_BYTES)).decode("utf-8", "replace"))
            said = f"{where} answered {answer.status} {answer.reason or ''}".rstrip()
            raise NotDelivered(f"{said}: {text!r}" if text else f"{said}.")
    except TimeoutError as error:
        raise NotDelivered(f"{where} did not answer within {timeout_seconds:g} seconds.") from error
    except aiohttp.ClientConnectorCertificateError as error:
        reason = getattr(error.certificate_error, "verify_message", "") or "it cannot be verified"
        raise NotDelivered(
            f"{where} is not who it should be ({reason}), so nothing was sent. Mend its certificate."
        ) from None
    except aiohttp.ClientConnectorError as error:
        raise NotDelivered(f"{where} cannot be reached: {_reason(error.os_error)}.") from None
    except aiohttp.ClientError as error:  # whose text may quote the address
        raise NotDelivered(f"{where} did not answer as a web server does ({type(error).__name__}).") from None


def _reason(error: OSError) -> str:
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)  # asyncio puts the address into its own
    return error.strerror or type(error).__name__


def _place(answer: object, where: str) -> str:
    location = getattr(answer, "headers", {}).get("location", "")
    return origin(location) if urlsplit(location).netloc else f"another page of {where}"


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
    parsed_headers(headers)
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
