"""Secrets in options: ``${NAME}`` stands for an environment variable, and no message shows what it holds."""

from __future__ import annotations

import os
import re
from urllib.parse import unquote, urlsplit

from deepdream_engine.errors import BadOption

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SHORTEST = 4


def expanded(option: str, text: str) -> str:
    """Return ``text`` with the environment's values; :class:`BadOption` names the ``option`` and what is not set."""

    def value(found: re.Match[str]) -> str:
        try:
            return os.environ[found[1]]
        except KeyError:
            raise BadOption(
                f"{option}: the environment variable {found[1]} is not set. Set it where DeepDream is started."
            ) from None

    return _VARIABLE.sub(value, text)


def origin(url: str) -> str:
    """Return what may be shown of a URL, ``https://example.org:8443``: the rest of it often is a secret."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")


def without_password(url: str, text: str) -> str:
    """Return ``text``, which may quote ``url``, without the password in it."""
    password = urlsplit(url).password or ""
    for secret in {password, unquote(password)}:
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, "***")
    return text
