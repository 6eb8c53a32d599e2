"""A daemon's house: its folders and configuration, the process that lives in it, and what must be true from outside.

Nothing here looks into the process: it is started, signalled, killed, and its folders and its journal are read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from deepdream_daemon.journal.journal import Journal
from tests.daemon.stub import environment, is_whole_dream, key_of

MODULE = "tests.daemon.faults.deepdream"
READY = "started"
IDLE = {"queued": 0, "waiting": 0, "running": 0, "publishing": 0}


class House:
    """``root/in`` → ``root/out`` with ``root/state``; ``folder`` and ``daemon`` are further lines of those tables."""

    def __init__(
        self,
        root: Path,
        *,
        folder: str = "",
        daemon: str = "",
        output: Path | None = None,
        processed: Path | None = None,
    ) -> None:
        self.root = root
        self.input, self.output, self.state = root / "in", output or root / "out", root / "state"
        self.processed = processed or root / "processed"
        for place in (self.input, self.output, self.processed):
            place.mkdir(parents=True, exist_ok=True)
        self.config = root / "config.toml"
        self.config.write_text(
            f'[[folders]]\ninput = "in"\noutput = "{self.output}"\n{folder}\n'
            f'[daemon]\nstate = "state"\nmin_free_gib = 0\n{_with_defaults(daemon)}\n'
            "[engine]\nmax_batch = 8\n"
        )
        self.log = root / "log.jsonl"
        self._ready_before = 0
        self._process: subprocess.Popen[bytes] | None = None

    # The process

    def command(self, before: Sequence[str] = ()) -> list[str]:
        """Return the command that runs the daemon, with ``before`` in front of it (``strace``, ``nsenter`` …)."""
        run = ["run", "--config", str(self.config), "--log-format", "json"]
        return [*before, sys.executable, "-m", MODULE, *run]

    def start(self, before: Sequence[str] = (), **more: str) -> subprocess.Popen[bytes]:
        """Start the daemon with ``more`` in its environment; it logs into ``root/log.jsonl``."""
        self._ready_before = len(self.logged(READY))
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(before), env=environment(**more), stdout=subprocess.DEVNULL, stderr=log, cwd=self.root
            )
        return self._process

    def wait_until_started(self, seconds: float = 60.0) -> None:
        """Wait until the daemon that was started last has looked at its folders."""
        self.wait_until(lambda _: len(self.logged(READY)) > self._ready_before, seconds)

    @contextlib.contextmanager
    def running(self, before: Sequence[str] = (), **more: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run the daemon, and end it as a service manager would; it must end well."""
        process = self.start(before, **more)
        try:
            yield process
            self.wait_until_started()  # before that, nobody hears the signal
            os.kill(self.logged("started")[-1]["pid"], signal.SIGTERM)  # not to what may stand before it
            assert process.wait(20) == 0, f"it ended with {process.returncode}: {self.last_log()}"
        finally:
            process.kill()
            process.wait()

    def run_until_killed(self, seconds: float = 60.0, **more: str) -> bool:
        """Run the daemon until it kills itself; ``False`` when it had nothing to do before it came to that."""
        process = self.start(**more)
        try:
            until = time.monotonic() + seconds
            while process.poll() is None:
                assert time.monotonic() < until, f"it neither died nor came to rest: {self.counts()}"
                time.sleep(0.02)
            assert process.returncode == -signal.SIGKILL, self.last_log()
            return True
        finally:
            process.kill()
            process.wait()

    def last_log(self, lines: int = 12) -> str:
        """Return the end of the log."""
        with contextlib.suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        return ""

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Return the lines of the log about ``event``."""
        found: list[dict[str, Any]] = []
        if not self.log.exists():
            return found
        for line in self.log.read_text(errors="replace").splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                record = json.loads(line)
                if record.get("event") == event:
                    found.append(record)
        return found

    # What other processes see

    def counts(self) -> dict[str, int]:
        """Return how many jobs there are in each state; none before there is a journal."""
        with self.journal() as journal:
            return journal.counts()

    @contextlib.contextmanager
    def journal(self) -> Iterator[Journal]:
        """Open the journal to look only."""
        journal = Journal.open(self.state, read_only=True)
        try:
            yield journal
        finally:
            journal.close()

    def wait_for(self, seconds: float = 60.0, **wanted: int) -> None:
        """Wait until as many jobs are in each state."""
        self.wait_until(lambda counts: all(counts[state] == n for state, n in wanted.items()), seconds)

    def wait_until(self, condition: Callable[[dict[str, int]], bool], seconds: float = 60.0) -> None:
        """Wait until the counts are as they should be."""
        until = time.monotonic() + seconds
        while True:
            with contextlib.suppress(sqlite3.OperationalError):
                counts = self.counts()
                if condition(counts):
                    return
                assert time.monotonic() < until, f"not within {seconds} s: {counts}\n{self.last_log()}"
                ended = None if self._process is None else self._process.poll()
                assert ended is None, f"it ended with {ended}: {self.last_log()}"
            time.sleep(0.05)

    # The folders

    def drop(self, name: str, text: str = "") -> Path:
        """Drop a stub picture."""
        path = self.input / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(text or name))
        return path

    def dreams(self) -> list[Path]:
        """Return the visible files below the output folder."""
        return visible(self.output)

    def temps(self) -> list[Path]:
        """Return the files below the output folder that are not for anybody's eyes."""
        return sorted(path for path in self.output.rglob(".*") if path.is_file())

    def violations(self) -> list[str]:
        """Say what is wrong with the outputs at this moment, if anything: it must never be, whatever goes on."""
        found = [f"{path.name} is torn" for path in self.dreams() if not is_whole_dream(path)]
        keys = [key_of(path) for path in self.dreams() if is_whole_dream(path)]
        found += [f"{key} has {keys.count(key)} results" for key in set(keys) if keys.count(key) > 1]
        return found

    def check_rest(self, sources: dict[str, bytes], *, bad: int = 0, beside: dict[str, bytes] | None = None) -> None:
        """Check what must be so once the daemon has come to rest: every picture has one dream, no more, nothing less;
        what the journal says is what is there; no source, and nothing that lay ``beside`` one, is lost or changed.
        """
        violations, dreams = self.violations(), self.dreams()
        assert violations == [], violations
        assert len(dreams) == len(sources) - bad, sorted(path.name for path in dreams)
        with self.journal() as journal:
            counts = journal.counts()
            recorded = {job.output: job.key for job in journal.recent("done", 10**6)}
        assert {state: counts[state] for state in IDLE} == IDLE
        assert (counts["done"], counts["failed"]) == (len(sources) - bad, bad), counts
        assert recorded == {path: key_of(path) for path in dreams}, recorded
        misplaced = whereabouts(sources | (beside or {}), self.input, self.processed)
        assert misplaced == [], misplaced
        assert self.temps() == [], self.temps()
        assert len(visible(self.state / "quarantine")) == bad, visible(self.state / "quarantine")


def whereabouts(sources: dict[str, bytes], *places: Path) -> list[str]:
    """Say which of the ``sources`` (by name below their folder) are not in exactly one of the places, unchanged."""
    wrong = []
    for name, data in sources.items():
        found = [place / name for place in places if (place / name).is_file()]
        if len(found) != 1:
            wrong.append(f"{name} is in {len(found)} places")
        elif found[0].read_bytes() != data:
            wrong.append(f"{name} has changed")
    extra = {path.relative_to(place).as_posix() for place in places for path in visible(place)} - set(sources)
    return wrong + [f"{name} came from nowhere" for name in sorted(extra)]


def visible(folder: Path) -> list[Path]:
    """Return all files below ``folder`` that are not hidden."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))


def picture(text: str) -> bytes:
    """Return the bytes of a stub picture."""
    return b"PICTURE " + text.encode()


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def descriptors(process: subprocess.Popen[bytes]) -> int:
    """Return how many descriptors a process has open."""
    return len(os.listdir(f"/proc/{process.pid}/fd"))  # noqa: PTH208


def _with_defaults(lines: str) -> str:
    quick = {"settle_seconds": "0.1", "rescan_seconds": "0.5", "max_attempts": "1"}
    given = {line.partition("=")[0].strip() for line in lines.splitlines()}
    return "\n".join([lines, *(f"{key} = {value}" for key, value in quick.items() if key not in given)])
