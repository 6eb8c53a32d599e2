"""The code of a plugin as one SHA-256, so that a configuration can say which code it means. Nothing is imported."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Mapping
from importlib.machinery import ModuleSpec
from importlib.metadata import Distribution, PackagePath
from importlib.util import find_spec
from pathlib import Path

_PIPS_OWN = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")
"""What pip writes down about an installation, in the folder ``*.dist-info``."""


def file_of_module(module: str, *, top: bool = False) -> str:
    """Return the file of a module, or ``""``; with ``top`` that of the package that it is in, because to find a module
    inside a package is to import the package."""
    spec = _spec(module.split(".", maxsplit=1)[0] if top else module)
    return spec.origin or "" if spec is not None else ""


def hash_of_package(dist: Distribution | None, module: str) -> str:
    """Return the SHA-256 over the names and contents of an installed package's files, without what differs between
    installations of the same code: bytecode caches, and the starters of its commands. Of a package that was installed
    in editable mode, it is that of the folder or file of its top module."""
    listed = None if dist is None or _is_editable(dist) else _listed(dist)
    if listed is None:
        return hash_of_module(module.split(".", maxsplit=1)[0])
    files = {
        str(file): Path(str(file.locate()))
        for file in listed
        if not str(file).startswith("..") and not (file.parent.suffix == ".dist-info" and file.name in _PIPS_OWN)
    }
    return _hash(files)


def hash_of_module(module: str) -> str:
    """Return the SHA-256 over the names and contents of a module's file, or of all files of a package."""
    spec = _spec(module)
    if spec is None or spec.origin is None:
        return ""
    if not spec.submodule_search_locations:
        return _hash({Path(spec.origin).name: Path(spec.origin)})
    folders = map(Path, spec.submodule_search_locations)
    return _hash({file.relative_to(folder).as_posix(): file for folder in folders for file in folder.rglob("*")})


def _listed(dist: Distribution) -> list[PackagePath] | None:
    """Return the files that were installed, or ``None`` if that was not written down, or not so that it can be read."""
    try:
        return dist.files
    except (OSError, ValueError, TypeError, csv.Error):
        return None


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


def _hash(files: Mapping[str, Path]) -> str:
    digest = hashlib.sha256()
    for name in sorted(files):
        if not name.endswith(".pyc") and files[name].is_file():
            content = hashlib.sha256(files[name].read_bytes()).hexdigest()
            digest.update(f"{name}\0{content}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
