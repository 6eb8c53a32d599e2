"""Pinned packages are imported from their sources: a bytecode cache may say something else than the source beside it,
and Python need not notice (PEP 552, unchecked hash-based files)."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import CodeType, ModuleType

_lock = threading.Lock()


class _FromSource(SourceFileLoader):
    """Compiles what was hashed; caches are neither read nor written."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


class _Finder(MetaPathFinder):
    """Finds modules where Python would, those of pinned packages with a loader that knows no caches."""

    def __init__(self) -> None:
        self.pinned: frozenset[str] = frozenset()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not any(fullname == name or fullname.startswith(f"{name}.") for name in self.pinned):
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is None:
                continue
            if type(spec.loader) is SourceFileLoader and spec.origin is not None:
                spec.loader = _FromSource(fullname, spec.origin)
                spec.cached = None
            return spec
        return None


_finder = _Finder()


def import_from_source(modules: Iterable[str]) -> None:
    """Let ``modules``, and all that lies in them, be imported from their sources from now on: a plugin may import some
    of them only when it works."""
    with _lock:
        _finder.pinned |= set(modules)
        if _finder not in sys.meta_path:
            sys.meta_path.insert(0, _finder)
