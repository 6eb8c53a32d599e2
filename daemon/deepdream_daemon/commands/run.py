"""``deepdream run``: the daemon in the foreground, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Literal

import click

from deepdream_daemon.commands.group import ALREADY_RUNNING, Exit, Invocation
from deepdream_daemon.commands.shared import config_option
from deepdream_engine.errors import BadOption

if TYPE_CHECKING:
    from deepdream_daemon.configuration.settings import Settings

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@click.command()
@config_option
@click.option(
    "--log-format",
    type=click.Choice(("auto", "plain", "json")),
    help="auto: a live table on a terminal, plain lines elsewhere.  [default: as configured]",
)
def run(config: Path | None, log_format: str | None) -> None:
    """Watch the configured folders until Ctrl-C or SIGTERM."""
    from deepdream_daemon.background import Background
    from deepdream_daemon.configuration.assembly import assemble
    from deepdream_daemon.daemon import AlreadyRunning, Daemon
    from deepdream_daemon.pipeline.darkroom import Darkroom

    assembly = assemble(config, to_run=True)
    settings = assembly.settings
    _check_folders(settings)
    renderer = Darkroom(settings.engine, settings.max_megapixels, assembly.catalogue.host)
    daemon = Daemon(settings, assembly.book, renderer, sinks=assembly.sinks, out_of_use=assembly.out_of_use)
    background = Background(daemon)
    style = log_format or settings.log_format
    with contextlib.ExitStack() as stack:
        if style == "auto" and _on_terminal():
            from rich.console import Console

            from deepdream_daemon.terminal.live import live

            _set_up_logs("plain", settings, settings.state / "daemon.log")
            console = Console(highlight=False)
            _stop_on_signals(background.stop, lambda: console.show_cursor(True))
            stack.enter_context(live(settings, background, console))
        else:
            _set_up_logs("json" if style == "json" else "plain", settings)
            _stop_on_signals(background.stop, lambda: None)
        try:
            with assembly.placing_device(), background:
                while background.runs(0.2) and not background.stop.is_set():
                    pass
        except AlreadyRunning as error:
            raise Exit(str(error), ALREADY_RUNNING) from error


def _check_folders(settings: Settings) -> None:
    if settings.path is None:
        raise BadOption("there is no configuration, so no folder is watched. Make one: deepdream init.")
    if not settings.folders:
        entry = '[[folders]], and below it input = "in" and output = "out"'
        raise BadOption(f"{settings.path}: no folder is watched. Add {entry}.")


def _on_terminal() -> bool:
    return sys.stdout.isatty() and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def _set_up_logs(style: Literal["plain", "json"], settings: Settings, target: Path | None = None) -> None:
    from deepdream_daemon.terminal.logs import set_up

    invocation = click.get_current_context().find_object(Invocation)
    # A file is for those who look into what went wrong; on a screen a traceback is for those who ask for it.
    wanted = target is not None or (invocation is not None and invocation.debug)
    set_up(style, settings.log_level, target, tracebacks=wanted)


def _stop_on_signals(stop: threading.Event, restore_screen: Callable[[], object]) -> None:
    """Let the first signal wind the daemon down, and the second end the process at once."""

    def handle(number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            restore_screen()
            os._exit(128 + number)
        stop.set()

    for number in SIGNALS:
        signal.signal(number, handle)
