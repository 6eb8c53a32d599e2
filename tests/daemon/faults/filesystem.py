"""A file-system layer that fails: the functions of ``os`` by which the daemon touches files below some folders.

``DEEPDREAM_FILE_FAULTS`` is JSON: ``{"below": ["/a/in"], "faults": {"open": {"EIO": 0.02}}, "seed": 1, "while":
"/a/flag"}``. Each call with a path below those folders, or with a descriptor that was opened there, fails with that
probability, before it has done anything; with ``while`` only as long as that file is there.
"""

from __future__ import annotations

import errno
import functools
import json
import os
import random
import threading
from collections.abc import Callable
from typing import Any

VARIABLE = "DEEPDREAM_FILE_FAULTS"
CALLS = ("open", "stat", "lstat", "scandir", "listdir", "mkdir", "link", "unlink", "replace", "rename")
"""Those that name a path; ``fsync`` goes by its descriptor."""


class FaultyCalls:
    """Wraps functions of ``os``; safe in any thread."""

    def __init__(self, below: list[str], faults: dict[str, dict[str, float]], seed: int, flag: str = "") -> None:
        if unknown := set(faults) - {*CALLS, "fsync"}:
            raise ValueError(f"{sorted(unknown)} cannot fail. Valid: {', '.join(CALLS)}, fsync.")
        self._below = tuple(below)
        self._faults = faults
        self._flag = flag
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._exists = os.path.exists  # before anything is wrapped
        self._readlink = os.readlink
        self.count = 0

    def install(self) -> None:
        """Let the calls fail from now on."""
        for name in self._faults:
            setattr(os, name, self._wrapped(name, getattr(os, name)))

    def _wrapped(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(real)
        def call(*args: Any, **kwargs: Any) -> Any:
            path = self._path(args[0] if args else ".", kwargs.get("dir_fd", kwargs.get("src_dir_fd")))
            if path.startswith(self._below):
                self._maybe_fail(name, path)
            return real(*args, **kwargs)

        return call

    def _path(self, place: Any, at: int | None = None) -> str:
        name = f"/proc/self/fd/{place}" if isinstance(place, int) else os.fsdecode(place)
        if name.startswith("/proc/self/fd/"):  # a descriptor, or a file that is opened by way of one
            try:
                return self._readlink(name)
            except OSError:
                return ""
        return name if at is None else f"{self._path(at)}/{name}"

    def _maybe_fail(self, name: str, path: str) -> None:
        # A link would be followed by a call that is wrapped itself, so the flag is looked for by its name alone.
        with self._lock:
            if self._flag and not self._exists(self._flag):
                return
            for error, share in self._faults[name].items():
                if self._random.random() < share:
                    self.count += 1
                    number = getattr(errno, error)
                    raise OSError(number, os.strerror(number), path)


def install(text: str) -> FaultyCalls | None:
    """Install what the variable's value asks for, if anything."""
    if not text:
        return None
    wanted = json.loads(text)
    calls = FaultyCalls(wanted["below"], wanted["faults"], wanted.get("seed", 0), wanted.get("while", ""))
    calls.install()
    return calls
