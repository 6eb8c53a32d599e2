"""What a service is to do, whatever manages it: :class:`Wanted`, read off a configuration."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from deepdream_daemon.configuration.settings import FolderSettings, Settings
from deepdream_daemon.configuration.sinks import place_of
from deepdream_engine.errors import BadOption
from deepdream_plugins.expanding import variables

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
        return tuple(dict.fromkeys([*folders, *self.of_sinks]))

    @property
    def of_sinks(self) -> tuple[Path, ...]:
        """The places outside of the output that options of sinks name, such as where copies go. They need not be there.

        What an option means only its sink knows, and plugins are not loaded with root's rights: so whatever reads like
        a place is one, unless a file is there.
        """
        places: list[Path] = []
        for folder, texts in self._texts():
            found = (place_of(text, folder.output) for text in texts if text)
            places += [
                place
                for place in found
                if place is not None
                and place != place.parent
                and not place.is_relative_to(folder.output)
                and (place.is_dir() or not place.exists())
            ]
        return tuple(dict.fromkeys(places))

    @property
    def environment(self) -> tuple[str, ...]:
        """The environment variables that options of sinks name."""
        return tuple(dict.fromkeys(name for _, texts in self._texts() for name in variables({"": tuple(texts)})))

    @property
    def used(self) -> tuple[Path, ...]:
        """All places that it is known to read or write."""
        inputs = (folder.input for folder in self.settings.folders)
        plugins = self.settings.plugins.folder
        places = [self.python, Path(sys.prefix), self.config, self.settings.state, *inputs, *self.written]
        return tuple(places if plugins is None else [*places, plugins])

    def _texts(self) -> Iterator[tuple[FolderSettings, list[str]]]:
        """Yield what the options of each sink say, and whose sink it is."""
        for folder in self.settings.folders:
            for sink in folder.sinks:
                if not isinstance(sink, str):
                    yield folder, list(_strings({**sink, "name": ""}))


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from (text for each in value.values() for text in _strings(each))
    elif isinstance(value, list | tuple):
        yield from (text for each in value for text in _strings(each))


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
