"""The text of systemd's units: templates that are filled in, and words that mean to systemd what they say."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from deepdream_daemon.service.wanted import checked_text
from deepdream_engine.errors import BadOption

TEMPLATES = Path(__file__).with_name("templates")
_PLAIN = re.compile(r"[A-Za-z0-9_./:@+,=-]+")


def filled(template: str, values: Mapping[str, str]) -> str:
    """Return ``template`` with ``@NAME@`` replaced; a line that is nothing else goes with an empty value."""

    def value(found: re.Match[str]) -> str:
        return values[found[1]]

    lines = []
    for line in template.splitlines():
        new = re.sub(r"@([A-Z]+)@", value, line)
        if new or not line:
            lines.append(new)
    return "\n".join(lines) + "\n"


def word(text: str) -> str:
    """Return ``text`` as one word of a unit's setting: blanks, quotes and ``%`` stand for themselves."""
    escaped = checked_text(text).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return escaped if _PLAIN.fullmatch(escaped) else f'"{escaped}"'


def argument(text: str) -> str:
    """Return ``text`` as one word of a command line in a unit, where ``$`` would begin the name of a variable."""
    return word(text).replace("$", "$$")


def program(path: Path) -> str:
    """Return ``path`` as the first word of a command line, which is not searched for names of variables."""
    if set(os.fspath(path)) & set("\"'\\"):
        raise BadOption(f"systemd does not start {os.fspath(path)!r}. Move the virtual environment to a plainer place.")
    return word(os.fspath(path))
