"""Environment variables in options: ``${NAME}``, by which secrets stay out of the configuration, and out of messages.

Options keep what the user wrote. A sink expands it when it delivers, :func:`expanded`, so that commands which deliver
nothing need no secret; what its errors say is shown, logged and kept as :func:`redacted` leaves it.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote, quote_plus, unquote, urlsplit

from deepdream_engine.errors import BadOption

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SHORTEST = 4
"""Values that are shorter are no secrets, and would tear holes into every message."""
HIDDEN = "***"


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


def expanded_where_set(text: str) -> str:
    """Return the same, but what is not set stays as it is written: for checks of what is known by now."""
    return _VARIABLE.sub(lambda found: os.environ.get(found[1], found[0]), text)


def unset_variables(options: Mapping[str, object]) -> tuple[str, ...]:
    """Return the environment variables that ``options`` name and that are not set, in their order."""
    return tuple(name for name in variables(options) if name not in os.environ)


def variables(options: Mapping[str, object]) -> tuple[str, ...]:
    """Return the environment variables that ``options`` name, in their order."""
    return tuple(dict.fromkeys(name for text in _texts(options) for name in _VARIABLE.findall(text)))


def secrets_of(options: Mapping[str, object]) -> Mapping[str, str]:
    """Return what no message may show of ``options``, those of a ``Configured`` record or what a sink was called with,
    each with what stands for it.

    That is the value of every environment variable they name, shown as ``${NAME}``, and the password in every address,
    shown as ``***``; both also as they look quoted for an address, in base64 or escaped.
    """
    found: dict[str, str] = {}
    for text in _texts(options):
        for name in _VARIABLE.findall(text):
            for form in _forms(os.environ.get(name, "")):
                found.setdefault(form, f"${{{name}}}")
        for form in _forms_of_login(expanded_where_set(text)):
            found.setdefault(form, HIDDEN)
    return found


def redacted(text: str, secrets: Mapping[str, str]) -> str:
    """Return ``text`` with what stands for ``secrets``, of :func:`secrets_of`, in their place.

    Do so before the text is shortened: half a secret is not recognised.
    """
    if not secrets:
        return text
    longest_first = sorted(secrets, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, longest_first)), lambda found: secrets[found[0]], text)


def _texts(options: Mapping[str, object]) -> Iterator[str]:
    for value in options.values():
        yield from (each for each in (value if isinstance(value, tuple | list) else (value,)) if isinstance(each, str))


def _forms_of_login(text: str) -> Iterator[str]:
    """Yield the forms of the password in ``text``, if it is an address with one, and of user and password together."""
    try:
        parts = urlsplit(text)
        user, password = parts.username or "", parts.password or ""
    except ValueError:
        return
    for each in dict.fromkeys((password, unquote(password))):
        if each:
            yield from _forms(each)
            yield from _base64(f"{unquote(user)}:{each}")


def _forms(value: str) -> Iterator[str]:
    """Yield ``value`` as it may look in a message: as it is, on one line, within an address, escaped, in base64."""
    if len(value.strip()) < _SHORTEST:
        return
    raw = os.fsencode(value)
    plain = (value, value.strip(), " ".join(value.split()))
    in_address = (quote(raw, safe=""), quote(raw), quote_plus(raw), unquote(value))
    escaped = (repr(value)[1:-1], ascii(value)[1:-1], json.dumps(value)[1:-1], repr(raw)[2:-1])
    for form in dict.fromkeys((*plain, *in_address, *escaped, *_base64(value))):
        if len(form) >= _SHORTEST:
            yield form


def _base64(value: str) -> Iterator[str]:
    raw = os.fsencode(value)
    for encoded in (base64.b64encode(raw), base64.urlsafe_b64encode(raw)):
        yield encoded.decode("ascii").rstrip("=")
