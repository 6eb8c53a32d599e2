"""Mounting without being root: a user and mount namespace of one's own, in which a daemon can be started."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.tools import lacking


class Namespace:
    """A namespace that lives as long as the ``with``; the test is skipped where none may be made.

    What is mounted in it is seen from outside by :meth:`seen` alone.
    """

    def __init__(self) -> None:
        if sys.platform != "linux" or not (shutil.which("unshare") and shutil.which("nsenter")):
            lacking("namespaces", "this is no Linux with unshare and nsenter")
        self.place = Path(tempfile.mkdtemp(prefix="deepdream-mount-"))
        self._holder = subprocess.Popen(
            ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", "echo ready; exec sleep 600"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def __enter__(self) -> Self:
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != b"ready\n":
            self._end()
            lacking("namespaces", "this user may not make a namespace")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    @property
    def enter(self) -> list[str]:
        """What stands before a command that shall run in it; the command takes the place of it."""
        return ["nsenter", "--target", str(self._holder.pid), "--user", "--mount", "--preserve-credentials"]

    def run(self, *command: str | Path) -> None:
        """Run a command in it."""
        subprocess.run([*self.enter, *map(str, command)], check=True, capture_output=True)

    def seen(self, path: Path) -> Path:
        """Return where ``path`` is, as it is in there, from here."""
        return Path(f"/proc/{self._holder.pid}/root{path}")

    def _end(self) -> None:
        self._holder.kill()
        self._holder.communicate()
        os.rmdir(self.place)  # noqa: PTH106  (it is a mount point only in there)
