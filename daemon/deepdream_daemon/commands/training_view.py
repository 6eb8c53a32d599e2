"""How a training is shown: a bar on a terminal, a line for each epoch elsewhere; and how signals end it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Self

import click

from deepdream_daemon.commands.group import Terminated
from deepdream_daemon.terminal.messages import readable
from deepdream_daemon.terminal.progress import NoBars, bars
from deepdream_engine.errors import Cancelled
from deepdream_engine.training.task import Watcher

if TYPE_CHECKING:
    from pathlib import Path

    from deepdream_engine.training.listing import Listing
    from deepdream_engine.training.splitting import Parts
    from deepdream_engine.training.telling import Standing

_SHOWN = 3
_MANY = 2_000
"""Files: to look into fewer of them takes no time to speak of."""


class Stopping:
    """Which signal asked to end, if any."""

    number: int | None = None


@contextmanager
def stop_on_signals(folder: Path, *, restart: bool) -> Iterator[Stopping]:
    """Let the first Ctrl-C or SIGTERM end the training of the model in ``folder`` after the step at hand; a second one
    ends at once. ``restart`` is whether the command dropped what an earlier one had left."""
    stopping = Stopping()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: FrameType | None) -> None:
        handler = before[signal.Signals(number)]
        if stopping.number is not None and callable(handler):
            handler(number, frame)
        stopping.number = number

    try:
        for number in before:
            signal.signal(number, note)
    except ValueError:  # not in the main thread, where nobody can interrupt
        before.clear()
    try:
        yield stopping
    except Cancelled:
        from deepdream_engine.training.unfinished import is_begun, is_helper

        if is_helper():  # the process that it helps tells of it
            raise SystemExit(1) from None
        if is_begun(folder):
            command = "the same command without --restart" if restart else "the same command"
            click.echo(f"The training is stopped; {command} goes on with it.", err=True)
        else:
            click.echo("The training is stopped before anything was kept; the same command begins it.", err=True)
        if stopping.number == signal.SIGTERM:
            raise Terminated from None
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class View(Watcher):
    """Shows a training on stderr."""

    def __init__(self, name: str, stopping: Stopping) -> None:
        from deepdream_engine.training.unfinished import is_helper

        self._name, self._stopping = name, stopping
        self._bars = NoBars() if is_helper() else bars()
        self._is_terminal = sys.stderr.isatty()
        self._stack = ExitStack()
        self._bar: dict[str, int] = {}
        self._trouble = ""

    def __enter__(self) -> Self:
        self._stack.enter_context(self._bars)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def looking(self, what: str, done: int, of: int) -> None:
        """A bar while pictures are found and read."""
        if of >= _MANY or what == "reading":
            self._advance(what, f"{of} files" if what == "finding" else f"{of} pictures", done, of)
        if self._stopping.number is not None:
            raise Cancelled("stopped")

    def begun(self, parts: Parts, listing: Listing, resumed_step: int) -> None:
        """Say what there is to learn from, and what was left out."""
        counts = f"{len(parts.training)} to learn from, {len(parts.held_out)} held out"
        watched = "" if parts.watched == parts.held_out else f", {len(parts.watched)} to watch meanwhile"
        classes = f"{len(listing.classes)} classes" if listing.classes else "no classes"
        self._say(f"{classes}; pictures: {counts}{watched}")
        self.unreadable(listing.left_out)
        if resumed_step:
            self._say(f"going on at step {resumed_step}")

    def unreadable(self, files: Sequence[tuple[str, str]]) -> None:
        """Name the first few."""
        for name, why in files[:_SHOWN]:
            self._say(f"left out: {readable(name)}: {readable(why)}")
        if len(files) > _SHOWN:
            self._say(f"left out: {len(files) - _SHOWN} more files")

    def troubled(self, what: str) -> None:
        """Say it, once for as long as it is the same."""
        if what != self._trouble:
            self._say(what)
        self._trouble = what

    def standing(self, standing: Standing) -> None:
        """A bar, or a line for each epoch."""
        watched = "" if standing.accuracy is None else f", watched {standing.accuracy:.0%}"
        kind = ", adversarial" if standing.is_robust else ""
        note = (
            f"epoch {standing.epoch}/{standing.epochs}, {standing.side_px} px{kind}: loss {standing.loss:.3f}"
            f"{watched}, {_span(standing.seconds_left)} left"
        )
        self._advance("teaching", note, standing.step, standing.steps)
        if standing.is_epochs_end and not self._is_terminal:
            self._say(note)

    def measuring(self, done: int, of: int) -> None:
        """A bar while held-out pictures are looked at."""
        self._finish("teaching", "taught")
        self._advance("measuring", f"{of} pictures", done, of)

    def should_stop(self) -> bool:
        """Whether a signal came."""
        return self._stopping.number is not None

    def _advance(self, what: str, note: str, done: int, of: int) -> None:
        if what not in self._bar:
            self._bar[what] = self._bars.add(f"{self._name}: {what}", note)
        self._bars.update(self._bar[what], done / max(1, of), note)
        if done == of and what != "teaching":
            self._finish(what, note)

    def _finish(self, what: str, note: str) -> None:
        if (number := self._bar.pop(what, None)) is not None:
            self._bars.finish(number, note)

    def _say(self, text: str) -> None:
        with self._bars.aside():
            click.echo(f"{self._name}: {text}", err=True)


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
