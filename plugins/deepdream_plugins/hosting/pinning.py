"""The code of a plugin as one SHA-256, so that a configuration can say which code it means. Nothing is imported."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import Distribution, PackagePath
from importlib.util import find_spec
from pathlib import Path

_METADATA = ("METADATA", "entry_points.txt")
"""What pip is told by a package, of all that lies in the folder ``*.dist-info``."""
_CACHE = "__pycache__"


def file_of_module(module: str, *, top: bool = False) -> str:
    """Return the file of a module, or ``""``; with ``top`` that of the package that it is in, because to find a module
    inside a package is to import the package."""
    spec = _spec(module.split(".", maxsplit=1)[0] if top else module)
    return spec.origin or "" if spec is not None else ""


def hash_of_package(dist: Distribution | None, module: str) -> str:
    """Return the SHA-256 over the names and contents of all that an installed package may import of its own.

    That is what lies in the folders, or is one of the files, that its ``module`` and its other top modules are found
    at, whoever has put it there; the rest of what was installed; and what its metadata says. Left out is what differs
    between installations of the same code: the starters of its commands, and bytecode caches, which
    :mod:`~deepdream_plugins.hosting.uncached` sees to it that nobody reads.
    """
    if dist is None:
        return hash_of_module(module.split(".", maxsplit=1)[0])
    files = {f"dist-info/{name}": _hash_of_text(dist.read_text(name)) for name in _METADATA}
    for name in top_modules(dist, module):
        files |= {each: _hash_of_file(path) for each, path in _files_of(_spec_of_part(name))}
    for listed in _installed(dist):
        files.setdefault(str(listed), _hash_of_file(_located(listed)))
    return _hash(files)


def hash_of_module(module: str) -> str:
    """Return the SHA-256 over the names and contents of a module's file, or of all files of a package."""
    files = {name: _hash_of_file(path) for name, path in _files_of(_spec_of_part(module))}
    return _hash(files) if files else ""


def top_modules(dist: Distribution, module: str) -> list[str]:
    """Return the modules that a distribution brings and that lie in no other: packages and single modules, by their
    whole names where they share a namespace with others; that of the entry point's ``module`` first."""
    found = [_part_of(module)]
    for listed in _installed(dist):
        parts = [each.split(".", maxsplit=1)[0] for each in listed.parts]
        if listed.suffix in (".py", ".pyc", ".so", ".pyd") and all(part.isidentifier() for part in parts):
            found.append(_part_of(".".join(part for part in parts if part != "__init__")))
    return list(dict.fromkeys(found))


def misplaced(dist: Distribution | None, module: str) -> str:
    """Return why what would be imported is not what was installed: other code lies in front of it. ``""`` if it is, or
    if nobody has written down what was installed, as for a package in editable mode."""
    listed = _installed(dist) if dist is not None else []
    if dist is None or not any(_is_code(each) for each in listed):
        return ""
    installed = {os.path.realpath(_located(each)) for each in listed}
    for name in top_modules(dist, module):
        spec = _spec_of_part(name)
        origin = spec.origin if spec is not None else None
        if origin is None or os.path.realpath(origin) not in installed:
            return (
                f"the module {name!r} would be imported from {origin or 'nowhere'}, which is no file of the installed "
                f"package {dist.name}"
            )
    return ""


def _part_of(module: str) -> str:
    """Return the outermost package of ``module`` that is no namespace, or the module itself."""
    parts = module.split(".")
    for count in range(1, len(parts)):
        spec = _spec_of_part(".".join(parts[:count]))
        if spec is None or spec.origin is not None:
            return ".".join(parts[:count])
    return module


def _spec_of_part(module: str) -> ModuleSpec | None:
    """Find a module that lies in nothing but namespaces; those are looked through, not imported."""
    top, *rest = module.split(".")
    spec = _spec(top)
    name = top
    for part in rest:
        if spec is None or spec.submodule_search_locations is None:
            return None
        name = f"{name}.{part}"
        spec = PathFinder.find_spec(name, list(spec.submodule_search_locations))
    return spec


def _files_of(spec: ModuleSpec | None) -> Iterator[tuple[str, Path]]:
    """Yield the name and path of every file of a package, or of a single module."""
    if spec is None or spec.origin is None:
        return
    above = spec.name.split(".")[:-1]
    if not spec.submodule_search_locations:
        yield "/".join([*above, Path(spec.origin).name]), Path(spec.origin)
        return
    for folder in map(Path, spec.submodule_search_locations):
        for file in _walked(folder):
            yield "/".join([*spec.name.split("."), *file.relative_to(folder).parts]), file


def _walked(folder: Path) -> Iterator[Path]:
    """Yield all files below ``folder`` that Python may find there: links to folders are followed, as it follows them.
    Bytecode counts where there is no source beside it, outside the caches."""
    seen: set[str] = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        yield from (Path(parent, name) for name in files if not _is_cached(Path(parent, name)))


def _is_cached(path: Path | PackagePath) -> bool:
    return path.suffix == ".pyc" and path.parent.name == _CACHE


def _is_code(listed: PackagePath) -> bool:
    return listed.suffix in (".py", ".pyc", ".so", ".pyd")


def _installed(dist: Distribution) -> list[PackagePath]:
    """Return what was installed of a package itself, or nothing if that was not written down so that it can be read."""
    if _is_editable(dist):
        return []
    try:
        listed = dist.files or []
    except (OSError, ValueError, TypeError, csv.Error):
        return []
    return [
        file
        for file in listed
        if file.parts[:1] not in ((), ("..",)) and file.parts[0][-10:] != ".dist-info" and not _is_cached(file)
    ]


def _located(listed: PackagePath) -> Path:
    return Path(str(listed.locate()))


def _spec(module: str) -> ModuleSpec | None:
    try:
        return find_spec(module)
    except (ImportError, ValueError):
        return None


def _is_editable(dist: Distribution) -> bool:
    try:
        told = json.loads(dist.read_text("direct_url.json") or "{}")
    except ValueError:
        return False
    return bool(told.get("dir_info", {}).get("editable"))


def _hash_of_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _hash_of_text(text: str | None) -> str:
    return hashlib.sha256((text or "").encode("utf-8", "surrogateescape")).hexdigest()


def _hash(files: Mapping[str, str]) -> str:
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\0{files[name]}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
