"""What a service is to do, whatever manages it: :class:`Wanted`, read off a configuration."""

from __future__ import annotations

import os
import pwd
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from deepdream_daemon.configuration.settings import Settings
from deepdream_engine.errors import BadOption

Scope = Literal["user", "system"]
NAME = "deepdream"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,60}")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A service ``name`` that works by ``settings``, with the rights of ``user`` if it is the system's."""

    name: str
    scope: Scope
    settings: Settings
    user: str = ""
    python: Path = Path(sys.executable)

    @property
    def config(self) -> Path:
        """The configuration, which is always a file."""
        if self.settings.path is None:
            raise BadOption("the service needs a configuration. Make one: deepdream init, or name it: --config.")
        return self.settings.path

    @property
    def command(self) -> tuple[str, ...]:
        """What is run. Not the interpreter that a virtual environment's ``python`` links to, but that link."""
        return (os.fspath(self.python), "-m", "deepdream_daemon", "run", "--config", os.fspath(self.config))

    @property
    def written(self) -> tuple[Path, ...]:
        """The folders that it writes to, the state aside."""
        folders: list[Path] = []
        for folder in self.settings.folders:
            folders.append(folder.output)
            if folder.source != "keep":
                folders.append(folder.input)
            if folder.processed is not None:
                folders.append(folder.processed)
            if folder.source == "trash":
                folders += _trashes(folder.input, self.user)
            for sink in folder.sinks:
                folders += _named_folders({} if isinstance(sink, str) else sink)
        return tuple(dict.fromkeys(folders))

    @property
    def used(self) -> tuple[Path, ...]:
        """All places that it is known to read or write."""
        inputs = (folder.input for folder in self.settings.folders)
        plugins = self.settings.plugins.folder
        places = [self.python, Path(sys.prefix), self.config, self.settings.state, *inputs, *self.written]
        return tuple(places if plugins is None else [*places, plugins])


def _named_folders(sink: Mapping[str, Any]) -> list[Path]:
    """Return the folders outside of the output that the options of a sink name, such as where it copies to."""
    texts = (value.removeprefix("file://") for value in sink.values() if isinstance(value, str))
    places = (Path(text).expanduser() for text in texts if text.startswith(("/", "~/")))
    return [place for place in places if place.is_dir()]


def _trashes(folder: Path, user: str) -> list[Path]:
    """Return where files of ``folder`` are put that go to the trash of ``user``: that of the home, or of the disk."""
    entry = pwd.getpwnam(user) if user else pwd.getpwuid(os.getuid())
    top = folder
    while not top.is_mount() and top != top.parent:
        top = top.parent
    return [Path(entry.pw_dir, ".local/share/Trash"), top / ".Trash", top / f".Trash-{entry.pw_uid}"]


def status_command(wanted: Wanted) -> str:
    """Return the command that tells how the service is."""
    name = "" if wanted.name == NAME else f" --name {wanted.name}"
    return f"deepdream service status{' --system' if wanted.scope == 'system' else ''}{name}"


def checked_name(name: str) -> str:
    """Return ``name`` if services may be called so; raises :class:`BadOption`."""
    if _NAME.fullmatch(name) is None:
        raise BadOption(f"--name: {name!r} must be of letters, digits, '_', '.' and '-', such as {NAME!r}.")
    return name


def checked_text(text: str) -> str:
    """Return ``text`` if it can stand in a unit or a property list; raises :class:`BadOption`."""
    try:
        text.encode()
    except UnicodeEncodeError:
        is_text = False
    else:
        is_text = text.isprintable()
    if not is_text:
        raise BadOption(f"{text!r} has characters that cannot be written into a service's file. Rename it.")
    return text
