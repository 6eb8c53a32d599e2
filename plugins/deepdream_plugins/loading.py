"""Where plugins come from: a :class:`Candidate` is all that is known about one before its code runs."""

from __future__ import annotations

import hashlib
import importlib
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Literal

from deepdream_engine import __version__
from deepdream_engine.errors import BadOption, unknown
from deepdream_plugins.hookspecs import GROUP

Origin = Literal["built-in", "package", "file"]

BUILT_IN = {
    "objectives": "deepdream_plugins.builtin.objectives",
    "ascents": "deepdream_plugins.builtin.ascents",
    "transforms": "deepdream_plugins.builtin.transforms",
    "schedules": "deepdream_plugins.builtin.schedules",
    "filters": "deepdream_plugins.builtin.filters",
    "engine": "deepdream_plugins.builtin.engine",
    "dreamnet": "deepdream_plugins.builtin.dreamnet",
    "torchvision": "deepdream_plugins.builtin.torchvision_models",
}


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A plugin before it is imported; ``load`` runs it and returns the object with the hooks.

    ``source`` is where its code is: a file, or the object reference of a module. ``enabled`` is false for an
    installed package that the configuration does not name, which is listed but never imported.
    """

    name: str
    version: str
    source: str
    origin: Origin
    load: Callable[[], object]
    enabled: bool = True


def built_in() -> Iterator[Candidate]:
    """Yield the plugins that come with DeepDream; they are always on."""
    for name, module in BUILT_IN.items():
        load = partial(importlib.import_module, module)
        yield Candidate(name=name, version=__version__, source=module, origin="built-in", load=load)


def installed(enable: Sequence[str]) -> Iterator[Candidate]:
    """Yield the plugins of installed packages, those named in ``enable`` first and in that order."""
    points: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=GROUP):
        points.setdefault(point.name, []).append(point)
    for name in enable:
        if name not in points:
            raise BadOption(
                f"enable: {unknown('plugin', name, points)} "
                f"Names are those of installed packages' {GROUP!r} entry points; install the package first."
            )
    for name in dict.fromkeys([*enable, *sorted(points)]):
        for point in points[name]:
            yield Candidate(
                name=name,
                version=point.dist.version if point.dist else "",
                source=f"{point.dist.name}: {point.value}" if point.dist else point.value,
                origin="package",
                load=point.load,
                enabled=name in enable,
            )


def loose(folder: Path) -> Iterator[Candidate]:
    """Yield the plugin files of ``folder``, sorted; names that begin with ``_`` or ``.`` are not plugins."""
    for path in sorted(folder.glob("*.py")):
        if not path.name.startswith(("_", ".")):
            yield Candidate(name=path.stem, version="", source=str(path), origin="file", load=partial(_run_file, path))


def _run_file(path: Path) -> ModuleType:
    """Run a file as a module, from its source: bytecode caches go stale when a file is edited twice in a
    second.
    """
    digest = hashlib.sha256(str(path).encode("utf-8", "surrogateescape")).hexdigest()[:8]
    stem = re.sub(r"\W", "_", path.stem)
    module = ModuleType(f"deepdream_file_{stem}_{digest}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses and typing look the module up by name
    try:
        exec(compile(path.read_bytes(), str(path), "exec", dont_inherit=True), module.__dict__)
    except BaseException:
        del sys.modules[module.__name__]
        raise
    return module
