"""Where plugins come from: a :class:`Candidate` is all that is known about one before its code runs."""

from __future__ import annotations

import hashlib
import importlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Literal

from deepdream_engine import __version__
from deepdream_engine.errors import BadOption, unknown
from deepdream_plugins.hookspecs import GROUP
from deepdream_plugins.hosting.needing import unmet_by_package, unmet_by_source
from deepdream_plugins.hosting.pinning import file_of_module, hash_of_module, hash_of_package, misplaced, top_modules
from deepdream_plugins.hosting.safety import check_folder
from deepdream_plugins.hosting.uncached import import_from_source
from deepdream_plugins.options import Where
from deepdream_plugins.selection import Selection

Origin = Literal["built-in", "package", "file", "configuration", "program"]

BUILT_IN = {
    "objectives": "deepdream_plugins.builtin.objectives",
    "ascents": "deepdream_plugins.builtin.ascents",
    "transforms": "deepdream_plugins.builtin.transforms",
    "schedules": "deepdream_plugins.builtin.schedules",
    "filters": "deepdream_plugins.builtin.filters",
    "sinks": "deepdream_plugins.builtin.sinks",
    "engine": "deepdream_plugins.builtin.engine",
    "dreamnet": "deepdream_plugins.builtin.dreamnet",
    "torchvision": "deepdream_plugins.builtin.torchvision_models",
}
CONFIGURATION = "configuration"
"""The name of the plugin that holds the networks of ``[models.NAME]``."""
TRAINED = "trained"
"""The name of the plugin that holds the networks which the user has taught."""
NO_PLUGINS = "plugins are switched off (--no-plugins, or DEEPDREAM_NO_PLUGINS=1)"


def _nothing() -> str:
    return ""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A plugin before it is imported; ``load`` runs it and returns the object with the hooks.

    ``source`` is where its code is: a file, or the object reference of a module; ``package`` the distribution that it
    came with. ``sha256`` returns the hash of its code, ``misplaced`` why other code would be imported than was
    installed, ``pinned_modules`` the modules that the hash is of, ``unmet`` what it needs that this program is not. A
    plugin with an ``off`` reason is listed but never imported, and so is one that cannot be had for the reason
    ``absent``.
    """

    name: str
    source: str
    origin: Origin
    load: Callable[[], object]
    version: str = ""
    package: str = ""
    sha256: Callable[[], str] = _nothing
    misplaced: Callable[[], str] = _nothing
    pinned_modules: Callable[[], Sequence[str]] = tuple
    unmet: Callable[[], str] = _nothing
    off: str = ""
    absent: str = ""

    @property
    def switched_off(self) -> bool:
        """Whether it is off because all plugins are, though the configuration asks for it."""
        return self.off == NO_PLUGINS


def candidates(selection: Selection, where: Where, *, lenient: bool = False) -> list[Candidate]:
    """Return all plugins that there are, on or off, in the order of loading. What the configuration itself gets wrong
    is a :class:`BadOption` that names its place; if ``lenient``, it is the reason why a plugin is absent."""
    found = [*built_in(), *installed(selection, where, lenient=lenient), *loose(selection, where)]
    strangers = [candidate.name for candidate in found if candidate.origin != "built-in"]
    for name in selection.sha256 if selection.third_party else ():
        if name not in strangers:
            why = (
                f"{where('plugins', 'sha256', name)}: {unknown('plugin', name, strangers)} "
                f"Installed plugins and those of the plugins folder can be pinned."
            )
            found.append(_absent(name, why, lenient=lenient))
    return found


def _absent(name: str, why: str, *, lenient: bool) -> Candidate:
    if not lenient:
        raise BadOption(why)
    return Candidate(name=name, source="", origin="package", load=_nothing, absent=why)


def built_in() -> Iterator[Candidate]:
    """Yield the plugins that come with DeepDream; they are always on."""
    for name, module in BUILT_IN.items():
        yield Candidate(
            name=name,
            version=__version__,
            source=file_of_module(module) or module,
            origin="built-in",
            load=partial(importlib.import_module, module),
            sha256=partial(hash_of_module, module),
        )


def installed(selection: Selection, where: Where, *, lenient: bool = False) -> Iterator[Candidate]:
    """Yield the plugins of installed packages, the enabled ones first and in that order."""
    points: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=GROUP):
        points.setdefault(point.name, []).append(point)
    enable = [name for name in selection.enable if selection.third_party or name in points]
    for index, name in enumerate(enable):
        if name not in points:
            why = (
                f"{where('plugins', 'enable', index)}: {unknown('plugin', name, points)} "
                f"Names are those of installed packages' {GROUP!r} entry points; install the package first."
            )
            yield _absent(name, why, lenient=lenient)
    for name in dict.fromkeys([*enable, *sorted(points)]):
        off = f"not enabled; add {name!r} to [plugins] enable"
        if name in enable:
            off = "" if selection.third_party else NO_PLUGINS
        for point in points.get(name, ()):
            yield Candidate(
                name=name,
                version=point.dist.version if point.dist else "",
                source=file_of_module(point.module, top=True) or point.value,
                package=point.dist.name if point.dist else "",
                origin="package",
                load=point.load,
                sha256=partial(hash_of_package, point.dist, point.module),
                misplaced=partial(misplaced, point.dist, point.module),
                pinned_modules=partial(_modules, point),
                unmet=partial(unmet_by_package, point.dist),
                off=off,
            )


def loose(selection: Selection, where: Where) -> Iterator[Candidate]:
    """Yield the plugin files of the folder, sorted; names that begin with ``_`` or ``.`` are not plugins."""
    folder = selection.folder
    if folder is None:
        return
    if selection.third_party:
        try:
            check_folder(folder, selection.watched)
        except BadOption as error:
            raise BadOption(f"{where('plugins', 'folder')}: {error}") from None
    for path in sorted(folder.glob("*.py")):
        if not path.name.startswith(("_", ".")):
            file = _File(path)
            yield Candidate(
                name=path.stem,
                source=str(path),
                origin="file",
                load=file.run,
                sha256=file.sha256,
                unmet=file.unmet,
                off="" if selection.third_party else NO_PLUGINS,
            )


def from_models(selection: Selection, where: Where) -> Candidate:
    """Return the plugin that the tables ``[models.NAME]`` make."""

    def load() -> object:
        from deepdream_plugins.own_models import own_plugin

        return own_plugin(selection.models, selection.base_dir, where, selection.watched)

    return Candidate(name=CONFIGURATION, source=where("models"), origin="configuration", load=load)


def from_cards(selection: Selection, taken: Mapping[str, str]) -> Candidate:
    """Return the plugin of the networks that the user has taught; ``taken`` are the names of others' models, and
    whose."""

    def load() -> object:
        from deepdream_plugins.builtin.trained_models import TrainedModels

        return TrainedModels(selection.trained, selection.watched, taken)

    module = "deepdream_plugins.builtin.trained_models"
    return Candidate(
        name=TRAINED,
        version=__version__,
        source=file_of_module(module) or module,
        origin="built-in",
        load=load,
        sha256=partial(hash_of_module, module),
    )


class _File:
    """A plugin file, read once: what is hashed is what runs."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def _content(self) -> bytes:
        return self._path.read_bytes()

    def sha256(self) -> str:
        return hashlib.sha256(self._content).hexdigest()

    def unmet(self) -> str:
        return unmet_by_source(self._content, str(self._path))

    def run(self) -> ModuleType:
        """Run the file as a module, from its source: bytecode caches go stale when a file is edited twice in a
        second."""
        digest = hashlib.sha256(str(self._path).encode("utf-8", "surrogateescape")).hexdigest()[:8]
        stem = re.sub(r"\W", "_", self._path.stem)
        module = ModuleType(f"deepdream_file_{stem}_{digest}")
        module.__file__ = str(self._path)
        sys.modules[module.__name__] = module  # dataclasses and typing look the module up by name
        try:
            exec(compile(self._content, str(self._path), "exec", dont_inherit=True), module.__dict__)
        except BaseException:
            if sys.modules.get(module.__name__) is module:
                del sys.modules[module.__name__]
            raise
        return module


def _modules(point: EntryPoint) -> Sequence[str]:
    top = point.module.split(".", maxsplit=1)[0]
    return [top] if point.dist is None else top_modules(point.dist, point.module)


def check_pin(candidate: Candidate, pins: Mapping[str, str]) -> str:
    """Return why the code of ``candidate`` is not what it is pinned to; ``""`` if it is, or if it is not pinned."""
    pinned = pins.get(candidate.name)
    if pinned is None or candidate.origin not in ("package", "file"):
        return ""
    if why := candidate.misplaced():
        return f"it is pinned, and {why}; nothing of it was run. Move that away, or install the package again."
    found = candidate.sha256()
    if found and found == pinned.lower():
        import_from_source(candidate.pinned_modules())
        return ""
    return (
        f"its code has the SHA-256 {found}, and [plugins.sha256] pins {pinned}; nothing of it was run. If you trust "
        f"this code, pin {candidate.name} = {found!r}, else install again what you had."
    )
