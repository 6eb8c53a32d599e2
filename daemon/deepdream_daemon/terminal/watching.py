"""``deepdream status --watch``: the daemon's screen in any terminal, also over ssh, until q or Ctrl-C.

The daemon goes on whatever becomes of the screen. What it does just now comes from the file that it writes while it is
watched; without a daemon, or with one that hangs, the screen shows what the journal knows.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from types import FrameType

from rich.console import Console, RenderableType
from rich.live import Live

from deepdream_daemon.commands.group import Exit
from deepdream_daemon.commands.standing import Standing, look
from deepdream_daemon.configuration.settings import Settings
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.monitoring.showing import watching
from deepdream_daemon.running.snapshot import Finished, Snapshot, Trouble
from deepdream_daemon.terminal.live import draw

REFRESH_SECONDS = 0.5
LAST = 5
_QUIT = set(b"qQ\x04")  # Ctrl-D, too
_HINT = "q ends this; the daemon goes on."


def watch_status(settings: Settings) -> None:
    """Show how the daemon of ``settings`` stands until a key ends it."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Exit("--watch needs a terminal. Over ssh: ssh -t HOST deepdream status --watch")
    with watching(settings.state) as latest:
        _show(lambda: screen(settings, latest()))


def screen(settings: Settings, shown: Snapshot | None) -> RenderableType:
    """Draw what the daemon shows, or else what the journal knows of it."""
    journal = Journal.open(settings.state, read_only=True)  # each time: it may not have been there before
    try:
        standing = look(journal, settings, LAST, into_folders=False)
    finally:
        journal.close()
    if standing.pid is None:
        hint = f"The daemon is not running; start it: deepdream run. {_HINT}"
    elif shown is None:
        hint = f"The daemon, process {standing.pid}, runs; it shows no progress at the moment. {_HINT}"
    else:
        return draw(settings, shown, hint=f"The daemon runs, process {standing.pid}. {_HINT}")
    return draw(settings, from_journal(standing), hint=hint)


def from_journal(standing: Standing) -> Snapshot:
    """Return what the journal alone tells."""
    done, failed = reversed(standing.jobs["done"]), reversed(standing.jobs["failed"])
    return Snapshot(
        counts=standing.counts,
        finished=tuple(
            Finished(job=job.id, path=job.source, output=job.output, seconds=job.seconds or 0.0)
            for job in done
            if job.output is not None
        ),
        errors=tuple(
            Trouble(job=job.id, path=job.source, error=job.error or "", advice=job.advice or "", final=True)
            for job in failed
        ),
        degraded="; ".join([*standing.troubles, *filter(None, [standing.reload_error])]) or None,
        disabled=standing.disabled,
        undelivered=standing.undelivered,
        paused=standing.paused is not None,
        draining=standing.draining is not None,
        reload_error=standing.reload_error,
        worker_restarts=standing.worker_restarts,
        last_death=standing.last_death,
    )


def _show(render: Callable[[], RenderableType]) -> None:
    live = Live(console=Console(highlight=False), screen=True, auto_refresh=False, vertical_overflow="crop")
    with _keys() as wait, live:
        while True:
            live.update(render(), refresh=True)
            if wait(REFRESH_SECONDS):
                return


@contextlib.contextmanager
def _keys() -> Iterator[Callable[[float], bool]]:
    """Read keys one by one, unechoed; yields a wait that tells whether q was pressed, or the terminal is gone."""
    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)

    def wait(seconds: float) -> bool:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if select.select([number], [], [], left)[0]:
                keys = os.read(number, 64)
                if not keys or (keys[:1] != b"\x1b" and not _QUIT.isdisjoint(keys)):
                    return True  # the terminal is gone, or asked to be let go; an arrow key may have a q in it
        return False

    def leave(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt  # so that the terminal is given back as it was

    on_hangup = signal.signal(signal.SIGHUP, leave)
    on_stop = signal.signal(signal.SIGTSTP, signal.SIG_IGN)  # suspended, it would leave the terminal as it is now
    try:
        tty.setcbreak(number)
        yield wait
    except KeyboardInterrupt:
        pass  # Ctrl-C is the other way to end it
    finally:
        with contextlib.suppress(termios.error):
            termios.tcsetattr(number, termios.TCSADRAIN, before)
        signal.signal(signal.SIGHUP, on_hangup)
        signal.signal(signal.SIGTSTP, on_stop)
