"""Commands in advice, such that they can be copied into a shell, whatever bytes the file's name has."""

from __future__ import annotations

import os
import shlex
from pathlib import Path


def retry_command(path: Path) -> str:
    """Return the command that dreams the file at ``path`` again."""
    return f"deepdream retry {shell_path(path)}"


def back_again(folder: Path) -> str:
    """Return what to do about a watched folder that is away."""
    if not os.path.lexists(folder):
        return "Mount or create it; it goes on by itself."
    return (
        "Mount its disk, or put the former folder back; it goes on by itself. To use what is there instead: "
        f"deepdream forget -r {shell_path(folder)}, and restart the daemon."
    )


def shell_path(path: Path) -> str:
    """Return ``path`` as one word of a shell's command line, after ``--`` if it would look like an option."""
    text = os.fspath(path)
    word = shlex.quote(text) if text.isprintable() else f"$'{''.join(map(_escaped, text))}'"
    return f"-- {word}" if text.startswith("-") else word


def _escaped(char: str) -> str:
    if char in "'\\":
        return f"\\{char}"
    return char if char.isprintable() else "".join(f"\\x{byte:02x}" for byte in os.fsencode(char))
