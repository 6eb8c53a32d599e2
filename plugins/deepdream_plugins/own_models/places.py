"""The names of places in a graph of operations that remembers which module each came from."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

_CALL = re.compile(r"@\d+$")


def named(places: Iterable[tuple[str, str]]) -> Sequence[str]:
    """Return a unique name for each ``(module, operation)``, in order: ``layer1.0.relu`` and ``relu_`` become
    ``layer1.0.relu.relu``, and ``layer1.0.relu.relu_1`` where that module runs again."""
    counts: Counter[str] = Counter()
    names = []
    for module, operation in places:
        path = _CALL.sub("", module)
        name = ".".join(filter(None, (path, operation.strip("_") or operation)))
        names.append(f"{name}_{counts[name]}" if counts[name] else name)
        counts[name] += 1
    return names


def containers(names: Iterable[str]) -> Collection[str]:
    """Return the modules that places lie in: all beginnings of their names."""
    found: dict[str, None] = {}
    for name in names:
        path = name.split(".")
        found.update(dict.fromkeys(".".join(path[:depth]) for depth in range(1, len(path))))
    return found
