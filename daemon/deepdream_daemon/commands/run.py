"""``deepdream run``: the daemon in the foreground, until Ctrl-C or SIGTERM. SIGHUP has it take up its configuration."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Literal

import click

from deepdream_daemon.commands.group import ALREADY_RUNNING, Exit, Invocation
from deepdream_daemon.commands.shared import config_option

if TYPE_CHECKING:
    from deepdream_daemon.configuration.assembly import Assembly
    from deepdream_daemon.configuration.settings import Settings
    from deepdream_daemon.running.background import Background
    from deepdream_daemon.worker.workshop import Workshop


SIGNALS = (signal.SIGINT, signal.SIGTERM)


@click.command()
@config_option
@click.option(
    "--log-format",
    type=click.Choice(("auto", "plain", "json")),
    help="auto: a live table on a terminal, plain lines elsewhere.  [default: as configured]",
)
def run(config: Path | None, log_format: str | None) -> None:
    """Watch the configured folders until Ctrl-C or SIGTERM.

    The configuration is taken up again when it has changed, and on SIGHUP. A mistake in it is told, and leaves
    everything as it was.
    """
    _refuse_second(config)
    from deepdream_daemon.configuration.changes import Changes
    from deepdream_daemon.monitoring.heartbeats import Heartbeats
    from deepdream_daemon.monitoring.monitoring import Monitoring
    from deepdream_daemon.running.background import Background, GivenUp
    from deepdream_daemon.running.daemon import Daemon
    from deepdream_daemon.running.lock import AlreadyRunning
    from deepdream_daemon.running.planning import Planner
    from deepdream_daemon.running.reloading import Reloading

    planner = Planner(config, _workshop)
    changes = Changes(planner.path)  # before it is read: what is written meanwhile is a change
    plan = planner.first()
    invocation = click.get_current_context().find_object(Invocation)
    logs = _Logs(log_format, tracebacks=invocation is not None and invocation.debug)
    with contextlib.ExitStack() as stack:
        beats = Heartbeats()
        monitoring = stack.enter_context(Monitoring(plan.settings.state, beats))

        def accept(settings: Settings) -> None:
            monitoring.serve(settings.monitoring.port, planner.place("monitoring", "port"))
            logs.follow(settings)

        daemon = Daemon(
            plan.settings,
            plan.book,
            plan.renderer,
            sinks=plan.sinks,
            out_of_use=plan.out_of_use,
            reloading=Reloading(changes, planner.next),
            accept=accept,
            supervision=monitoring,
            beats=beats,
        )
        background = Background(daemon)
        logs.follow(plan.settings)
        restore_screen: Callable[[], object] = lambda: None  # noqa: E731  (a method of the console, if there is one)
        if logs.are_beside_a_screen:
            from rich.console import Console

            from deepdream_daemon.terminal.live import live

            console = Console(highlight=False)
            restore_screen = lambda: console.show_cursor(True)  # noqa: E731
            stack.enter_context(live(background, console))
        _heed_signals(background, restore_screen)
        monitoring.watch(daemon.snapshot, daemon.worker_trouble)
        try:
            with planner.placing_device(), background:
                while background.runs(0.2) and not background.stop.is_set():
                    pass
        except AlreadyRunning as error:
            raise Exit(str(error), ALREADY_RUNNING) from error
        except GivenUp:
            restore_screen()
            os._exit(0)


def _refuse_second(config: Path | None) -> None:
    """Say at once that a daemon runs already, before plugins are loaded."""
    from deepdream_daemon.configuration.config import find_config, load_settings
    from deepdream_daemon.running.lock import AlreadyRunning, check_alone

    path = find_config(config)
    if path is not None:
        try:
            check_alone(load_settings(path, folders_must_exist=False).state)
        except AlreadyRunning as error:
            raise Exit(str(error), ALREADY_RUNNING) from error


def _workshop(assembly: Assembly) -> Workshop:
    from deepdream_daemon.worker.workshop import Workshop

    settings = assembly.settings
    return Workshop(settings.engine, settings.pictures, assembly.catalogue.host.selection)


class _Logs:
    """Where the log goes and how it looks: as ``[logging]`` says, or ``log_format`` from the command line."""

    def __init__(self, log_format: str | None, *, tracebacks: bool) -> None:
        self._option = log_format
        self._tracebacks = tracebacks
        self._is_begun = False
        self._now: tuple[Literal["plain", "json"], str] | None = None
        self.are_beside_a_screen = False

    def follow(self, settings: Settings) -> None:
        """Log as ``settings`` say. Whether there is a live table is decided at the start."""
        from deepdream_daemon.terminal.logs import set_up

        style = self._option or settings.log_format
        if not self._is_begun:
            self._is_begun = True
            self.are_beside_a_screen = style == "auto" and _on_terminal()
        form: Literal["plain", "json"] = "json" if style == "json" and not self.are_beside_a_screen else "plain"
        if self._now == (form, settings.log_level):
            return
        self._now = form, settings.log_level
        target = settings.state / "daemon.log" if self.are_beside_a_screen else None
        # A file is for those who look into what went wrong; on a screen a traceback is for those who ask for it.
        set_up(form, settings.log_level, target, tracebacks=target is not None or self._tracebacks)


def _on_terminal() -> bool:
    return sys.stdout.isatty() and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def _heed_signals(background: Background, restore_screen: Callable[[], object]) -> None:
    """Let the first signal wind the daemon down, and the second end the process at once; SIGHUP takes up the
    configuration, unless it says that the terminal was closed."""
    terminal = next((number for number in (0, 1, 2) if os.isatty(number)), None)

    def end(number: int, _frame: FrameType | None) -> None:
        if background.stop.is_set():
            restore_screen()
            os._exit(128 + number)
        background.stop.set()

    def hang_up(number: int, frame: FrameType | None) -> None:
        if terminal is not None and not os.isatty(terminal):
            if not background.stop.is_set():
                end(number, frame)
            return
        background.daemon.reload()

    for number in SIGNALS:
        signal.signal(number, end)
    signal.signal(signal.SIGHUP, hang_up)
