"""What the tests of copying share: folders that copy, files to be copied, and points at which copying halts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deepdream_daemon.configuration.settings import Settings
from deepdream_daemon.disposal import copier, copying, disposer
from deepdream_daemon.intake.selection import copy_key
from deepdream_daemon.intake.sources import fingerprint
from deepdream_daemon.journal.claims import COPIED
from deepdream_daemon.journal.intake import NewJob, Taken
from deepdream_daemon.journal.journal import Journal
from tests.daemon.stub import make_settings


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for files, and try again, more often than daemons do."""
    monkeypatch.setattr(disposer, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(copying, "delay_seconds", lambda misses: 0.1 * 2**misses)


def copying_settings(root: Path, **folder: Any) -> Settings:
    """Return settings for a folder that copies; ``folder`` are further ones."""
    settings = make_settings(root)
    return replace(settings, folders=(replace(settings.folders[0], copy_through=True, **folder),))


def write_note(root: Path, name: str, text: str | None = None) -> Path:
    """Write a file that is no picture."""
    path = root / "in" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(name if text is None else text)
    return path


def queue_copy(settings: Settings, path: Path) -> Path:
    """Have the file at ``path`` queued to be copied, as the intake does."""
    journal = Journal.open(settings.state)
    seen = fingerprint(path)
    job = NewJob(key=copy_key(path, seen), folder=settings.folders[0].input, sha256="", recipe=COPIED, seed=0)
    journal.record([Taken(path=path, fingerprint=seen, job=job)])
    journal.close()
    return path


def names(root: Path) -> list[str]:
    """Return what there is below ``root``."""
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


class Halt:
    """Copying halts the first time that it passes a point, until it is released."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
        self._reached, self._may = threading.Event(), threading.Event()
        monkeypatch.setattr(copier, "hit", at(point, self._halt))

    def _halt(self) -> None:
        self._reached.set()
        self._may.wait(60)

    def wait(self) -> bool:
        """Wait until it does."""
        return self._reached.wait(60)

    def release(self) -> None:
        """Let it go on."""
        self._may.set()


def at(point: str, what: Callable[[], object]) -> Callable[[str], None]:
    """Return a ``hit`` that does ``what`` at a point."""
    return lambda name: what() and None if name == point else None


def and_then(real: Callable[..., Any], then: Callable[[], object]) -> Callable[..., Any]:
    """Return ``real``, with something to do ``then``."""

    def both(*args: Any) -> Any:
        result = real(*args)
        then()
        return result

    return both
