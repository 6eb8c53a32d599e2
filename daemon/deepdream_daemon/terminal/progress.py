"""Progress on stderr: a bar for each picture on a terminal, a line for each finished one elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Protocol, Self

import click


class Bars(Protocol):
    """Shows how far named pieces of work are; safe to use from the engine's thread."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def add(self, name: str, note: str) -> int:
        """Show a new piece of work and return its number."""
        ...

    def update(self, number: int, fraction: float, note: str | None = None) -> None:
        """Set how much of it is done, in [0, 1], and what is being done."""
        ...

    def finish(self, number: int, note: str) -> None:
        """Show that it has ended, and how."""
        ...

    def aside(self) -> AbstractContextManager[None]:
        """Clear the way for something else to be written meanwhile."""
        ...


def bars() -> Bars:
    """Return what suits stderr."""
    return TerminalBars() if sys.stderr.isatty() else Lines()


class NoBars:
    """Nothing, for a process that helps one which shows what they do together."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def add(self, name: str, note: str) -> int:  # noqa: ARG002  (a bar shows it)
        return 0

    def update(self, number: int, fraction: float, note: str | None = None) -> None:
        pass

    def finish(self, number: int, note: str) -> None:
        pass

    @contextmanager
    def aside(self) -> Iterator[None]:
        yield


class TerminalBars:
    """Bars drawn by rich; they pulse until the first step is done, while the model loads."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

        # Redirected output would end up on stderr: results are printed after the bars have stopped.
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=32),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", style="dim", markup=False),
            console=Console(stderr=True, highlight=False),
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def add(self, name: str, note: str) -> int:
        return int(self._progress.add_task(name, total=None, note=note))

    def update(self, number: int, fraction: float, note: str | None = None) -> None:
        from rich.progress import TaskID

        self._progress.update(TaskID(number), total=1.0 if fraction else None, completed=fraction)
        if note is not None:
            self._progress.update(TaskID(number), note=note)

    def finish(self, number: int, note: str) -> None:
        from rich.progress import TaskID
        from rich.text import Text

        task = self._progress.tasks[number]
        self._progress.update(TaskID(number), note=note, visible=False)  # dozens would leave no room for those that run
        self._progress.stop_task(TaskID(number))
        line = Text(f"{task.description}: {note} after {task.elapsed or 0:.1f} s")
        self._progress.console.print(line, soft_wrap=True)

    @contextmanager
    def aside(self) -> Iterator[None]:
        self._progress.live.transient = True  # gone while something else is written, and drawn anew below it
        self._progress.stop()
        try:
            yield
        finally:
            self._progress.live.transient = False
            self._progress.start()


class Lines(NoBars):
    """One line for each piece of work that has ended."""

    def __init__(self) -> None:
        self._begun: list[tuple[str, float]] = []

    def add(self, name: str, note: str) -> int:  # noqa: ARG002  (a bar shows it)
        self._begun.append((name, time.monotonic()))
        return len(self._begun) - 1

    def finish(self, number: int, note: str) -> None:
        name, since = self._begun[number]
        click.echo(f"{name}: {note} after {time.monotonic() - since:.1f} s", err=True)
