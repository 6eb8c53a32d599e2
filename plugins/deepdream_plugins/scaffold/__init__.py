"""A new plugin as a package that works at once: written from the templates of this folder, one for each kind.

:func:`write_package` is what ``deepdream plugins new`` calls. In the templates, ``@name@`` is the plugin's name,
``@package@`` its import package, ``@project@`` its distribution.
"""

from __future__ import annotations

import keyword
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from deepdream_engine import __version__
from deepdream_engine.errors import BadOption, unknown
from deepdream_plugins.hookspecs import (
    ASCENTS,
    MODELS,
    OBJECTIVES,
    POSTFILTERS,
    SCHEDULES,
    SINKS,
    TRANSFORMS,
    Kind,
)
from deepdream_plugins.hosting.host import PluginHost
from deepdream_plugins.hosting.loading import BUILT_IN
from deepdream_plugins.selection import Selection

PLUGIN_KINDS: Mapping[str, Kind | None] = {
    "objective": OBJECTIVES,
    "filter": POSTFILTERS,
    "model": MODELS,
    "ascent": ASCENTS,
    "transform": TRANSFORMS,
    "schedule": SCHEDULES,
    "sink": SINKS,
    "events": None,
}
"""What a plugin may be about, and the kind of record that its example gives, if any."""

_PREFIX = "deepdream-"
_MOST_CHARACTERS = 40
_PROJECT_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")  # PEP 508
_SHARED = ("pyproject.toml", "README.md")


@dataclass(frozen=True)
class Names:
    """What a new plugin called ``given`` is called everywhere: ``Glow-Worm`` becomes the plugin and record
    ``glow_worm``, the package ``deepdream_glow_worm``, the distribution ``deepdream-glow-worm``."""

    name: str

    @classmethod
    def of(cls, given: str) -> Names:
        """Check ``given`` and return its names; raises ``BadOption``."""
        if not _PROJECT_NAME.fullmatch(given):
            raise BadOption(
                f"name {given!r}: the name of a package is made of letters, digits, '-', '_' and '.', with a letter or "
                f"digit at both ends, such as 'glow' or 'glow-worm'."
            )
        plain = re.sub(r"[._-]+", "-", given).lower().removeprefix(_PREFIX)
        name = plain.replace("-", "_")
        if not name.isidentifier() or keyword.iskeyword(name):
            raise BadOption(
                f"name {given!r}: {name!r} cannot name a plugin, because it "
                f"{'is a word of Python' if keyword.iskeyword(name) else 'begins with a digit'}; choose another."
            )
        if len(name) > _MOST_CHARACTERS:
            raise BadOption(f"name {given!r} has {len(name)} characters; the most is {_MOST_CHARACTERS}.")
        return cls(name)

    @property
    def project(self) -> str:
        return _PREFIX + self.name.replace("_", "-")

    @property
    def package(self) -> str:
        return f"deepdream_{self.name}"


def write_package(given: str, kind: str, parent: Path) -> Path:
    """Write the package ``deepdream-GIVEN`` below ``parent``, which is made if need be, and return its folder.

    It is there whole or not at all. Raises ``BadOption`` for a name that is none or is taken, an unknown kind, and a
    folder that exists.
    """
    names = Names.of(given)
    if kind not in PLUGIN_KINDS:
        raise BadOption(f"kind: {unknown('kind of plugin', kind, PLUGIN_KINDS)}")
    _check_free(names, PLUGIN_KINDS[kind])
    folder = parent / names.project
    if folder.exists() or folder.is_symlink():
        raise BadOption(f"{folder} exists already; choose another name, or another place with --dir.")
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{names.project}-", dir=parent) as made:
        for path, text in _files(names, kind):
            file = Path(made) / "package" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        shutil.move(Path(made) / "package", folder)
    return folder


def _check_free(names: Names, kind: Kind | None) -> None:
    """Refuse names that the host would refuse beside the built-in plugins, or that hide DeepDream's own packages."""
    if names.package in ("deepdream_plugins", "deepdream_engine", "deepdream_daemon"):
        raise BadOption(f"name {names.name!r}: {names.package!r} is a package of DeepDream's own; choose another name.")
    if names.name in BUILT_IN:
        raise BadOption(
            f"name {names.name!r}: a built-in plugin is called so; choose another. Taken: {', '.join(BUILT_IN)}."
        )
    if kind is None:
        return
    taken = PluginHost(Selection(third_party=False)).records(kind)
    if names.name in taken:
        raise BadOption(
            f"name {names.name!r}: there is a built-in {kind.word} of that name already; choose another. "
            f"Taken: {', '.join(sorted(taken))}."
        )


def _files(names: Names, kind: str) -> Iterator[tuple[str, str]]:
    """Yield the path of every file in the package, and its text."""
    values = {"name": names.name, "project": names.project, "package": names.package}
    values |= {"version": __version__, "kind": kind, "use": _filled(_template(f"{kind}.use.md"), values).rstrip()}
    for file in _SHARED:
        yield file, _filled(_template(file), values)
    yield ".gitignore", _template("gitignore")
    yield f"src/{names.package}/__init__.py", _filled(_template(f"{kind}.py"), values)
    yield f"src/{names.package}/py.typed", ""
    yield f"tests/test_{names.name}.py", _filled(_template(f"test_{kind}.py"), values)


def _template(file: str) -> str:
    return (files(__name__) / "templates" / f"{file}.txt").read_text(encoding="utf-8")


def _filled(text: str, values: Mapping[str, str]) -> str:
    return re.sub(r"@(\w+)@", lambda found: values[found[1]], text)
