"""What plugins print goes to the log under their names, or to stderr where no log is kept: the program's own output is
for scripts to read.

From the first call of a plugin's code on, a stand-in for ``sys.stdout`` looks at who writes: what others write goes
through as ever. What a plugin writes past Python (a child process, a library in C) cannot be told apart.
"""

from __future__ import annotations

import io
import logging
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Any

from deepdream_plugins.hosting import under_way

_LOG = logging.getLogger(__name__)
_LONGEST_LINE = 2000

_speaker: ContextVar[str] = ContextVar("deepdream_plugin", default="")
_lock = threading.Lock()
_lines: Counter[str] = Counter()


def lines_printed(plugin: str) -> int:
    """Return how many lines ``plugin`` has printed so far, in this process."""
    return _lines[plugin]


def begin_speaking(plugin: str) -> Token[str]:
    """Send what is printed in this thread to the log, as said by ``plugin``, until :func:`end_speaking`. It is in the
    step loop: there is a lock only where somebody has put something else in the place of the stand-in."""
    if type(sys.stdout) is not _StandIn:
        with _lock:
            if sys.stdout is not None and type(sys.stdout) is not _StandIn:
                sys.stdout = _StandIn(sys.stdout)
    return _speaker.set(plugin)


def end_speaking(plugin: str, token: Token[str]) -> None:
    """Go back to who has spoken before :func:`begin_speaking` gave the ``token``."""
    out = sys.stdout
    if type(out) is _StandIn and out.has_begun:
        out.end_line(plugin)
    _speaker.reset(token)


@contextmanager
def speaking_for_ourselves() -> Iterator[None]:
    """Let what is printed in this thread be the program's again, and the time that it takes: a plugin has called us."""
    token = _speaker.set("")
    before = under_way.pause()
    try:
        yield
    finally:
        under_way.end(before)
        _speaker.reset(token)


class _StandIn(io.TextIOBase):
    """``sys.stdout`` as everybody else knows it, but for those who are :func:`speaking`."""

    def __init__(self, real: Any) -> None:
        self.real = real
        self._begun: dict[tuple[str, int], str] = {}

    def write(self, text: str, /) -> int:
        plugin = _speaker.get()
        if not plugin:
            return int(self.real.write(text) or 0)
        key = (plugin, threading.get_ident())
        *lines, rest = f"{self._begun.pop(key, '')}{text}".split("\n")
        for line in lines:
            _tell(plugin, line)
        if rest:
            self._begun[key] = rest
        return len(text)

    @property
    def has_begun(self) -> bool:
        """Whether somebody has printed something without ending the line."""
        return bool(self._begun)

    def end_line(self, plugin: str) -> None:
        """Tell what ``plugin`` has printed in this thread without ending the line."""
        line = self._begun.pop((plugin, threading.get_ident()), "")
        if line:
            _tell(plugin, line)

    @property
    def buffer(self) -> Any:
        """The bytes below; a plugin's go to the log as well."""
        return _Bytes(self) if _speaker.get() else self.real.buffer

    def writable(self) -> bool:
        return True

    def flush(self) -> None:
        self.real.flush()

    def isatty(self) -> bool:
        return not _speaker.get() and bool(self.real.isatty())

    def fileno(self) -> int:
        return int(self.real.fileno())

    def close(self) -> None:
        """Leave the real one open: it is not ours."""

    def __getattribute__(self, name: str) -> Any:
        # What io.TextIOBase answers for itself, the real one knows better.
        if name in ("encoding", "errors", "newlines", "line_buffering", "mode", "name", "closed", "reconfigure"):
            return getattr(object.__getattribute__(self, "real"), name)
        return object.__getattribute__(self, name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


class _Bytes(io.RawIOBase):
    def __init__(self, above: _StandIn) -> None:
        self._above = above

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        raw = bytes(data)
        self._above.write(raw.decode("utf-8", "backslashreplace"))
        return len(raw)


def _tell(plugin: str, line: str) -> None:
    _lines[plugin] += 1
    if not line.strip():
        return
    shown = "".join(char if char.isprintable() else " " for char in line.rstrip()[:_LONGEST_LINE])
    if _LOG.hasHandlers():
        _LOG.info("plugin %s prints: %s", plugin, shown)
    elif sys.stderr is not None:
        sys.stderr.write(f"plugin {plugin} prints: {shown}\n")
